import { createRemoteJWKSet, errors, type JWTVerifyGetKey } from 'jose';
import { z } from 'zod';
import type { Clock } from '../clock.ts';
import { DeclutterError } from '../errors.ts';
import type { Log } from '../log.ts';
import type { TrustedIssuer } from './authenticate.ts';

const TIMEOUT_MS = 5_000;
/** While the issuer does not answer, it is asked no more often than this. */
const RETRY_MS = 5_000;
/** A token whose key is not there makes us look again, but no more often than this: publish new keys ahead of their use. */
const COOLDOWN_MS = 30_000;
/** Keys that were withdrawn are trusted no longer than this. */
const CACHE_MS = 600_000;

interface RemoteIssuerDeps {
  readonly clock: Pick<Clock, 'monotonicMs'>;
  readonly log: Log;
}

/** Trusts an external issuer. Its key set is found by discovery, at its own address and never at one that a token names. */
export function remoteIssuer(issuer: string, audience: string, deps: RemoteIssuerDeps): TrustedIssuer {
  const find = discovery(issuer, deps);
  const keys: JWTVerifyGetKey = async (header, token) => {
    try {
      return await (
        await find()
      )(header, token);
    } catch (error) {
      throw isAboutTheToken(error) ? error : unavailable(error);
    }
  };
  find().catch((error: unknown) =>
    deps.log.warn({ err: error, issuer }, 'the issuer of access tokens does not answer yet'),
  );
  return { issuer, audience, keys, people: new Set() };
}

/** Everything else that jose throws here is about fetching the keys. */
const isAboutTheToken = (error: unknown) =>
  error instanceof errors.JWKSNoMatchingKey ||
  error instanceof errors.JWKSMultipleMatchingKeys ||
  error instanceof errors.JOSENotSupported;

const unavailable = (cause: unknown) =>
  cause instanceof DeclutterError
    ? cause
    : new DeclutterError(
        'AUTHORIZATION_SERVER_UNAVAILABLE',
        'The keys of the authorization server cannot be had now, so no token can be checked. Try again in a moment.',
        {},
        { cause },
      );

/** Once it has succeeded, its answer stays; a failure is remembered for a moment, so that an outage costs no request a wait. */
function discovery(issuer: string, { clock }: RemoteIssuerDeps): () => Promise<JWTVerifyGetKey> {
  let found: Promise<JWTVerifyGetKey> | undefined;
  let failedAt: number | undefined;
  return () => {
    if (failedAt !== undefined && clock.monotonicMs() - failedAt > RETRY_MS) found = undefined;
    found ??= discover(issuer).then(
      (uri) => {
        failedAt = undefined;
        return createRemoteJWKSet(uri, {
          timeoutDuration: TIMEOUT_MS,
          cooldownDuration: COOLDOWN_MS,
          cacheMaxAge: CACHE_MS,
        });
      },
      (error: unknown) => {
        failedAt = clock.monotonicMs();
        throw error;
      },
    );
    return found;
  };
}

const Metadata = z.object({ issuer: z.string(), jwks_uri: z.string() });

/** RFC 8414, or OpenID Connect Discovery, which most issuers have. */
async function discover(issuer: string): Promise<URL> {
  const { origin, pathname } = new URL(issuer);
  const path = pathname.replace(/\/$/, '');
  const places = [
    `${origin}${path}/.well-known/openid-configuration`,
    `${origin}/.well-known/oauth-authorization-server${path}`,
  ];
  const answers = await Promise.allSettled(places.map(fetchJson));
  const answer = answers.find(({ status }) => status === 'fulfilled') ?? answers[0];
  if (answer?.status !== 'fulfilled') throw unavailable(answer?.reason);
  return keySetOf(issuer, answer.value);
}

function keySetOf(issuer: string, answer: unknown): URL {
  const metadata = Metadata.safeParse(answer);
  const uri = metadata.success ? URL.parse(metadata.data.jwks_uri) : null;
  if (uri === null || metadata.data?.issuer !== issuer)
    throw unavailable(`${issuer} describes another issuer`);
  if (uri.protocol !== 'https:' && uri.protocol !== new URL(issuer).protocol)
    throw unavailable(`${uri.href} is not https`);
  return uri;
}

async function fetchJson(url: string): Promise<unknown> {
  const response = await fetch(url, { redirect: 'manual', signal: AbortSignal.timeout(TIMEOUT_MS) });
  if (response.status !== 200) throw unavailable(`${url} answered ${response.status}`);
  return response.json();
}
