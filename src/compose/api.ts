import type { Config } from '../config.ts';
import { DeclutterError } from '../errors.ts';
import type { UseCases } from '../graphql/context.ts';
import { startHttp } from '../http/server.ts';
import { makeAuthenticate } from '../security/authenticate.ts';
import { type EmbeddedIssuer, openEmbeddedIssuer } from '../security/embedded-issuer.ts';
import { remoteIssuer } from '../security/remote-issuer.ts';
import { openRateLimits } from '../store/rate-limits.ts';
import { secretsFolder } from '../store/secret-file.ts';
import type { Parts } from './parts.ts';
import { makeUseCases } from './use-cases.ts';

export interface Api {
  readonly url: string;
  readonly useCases: UseCases;
  /** null when the issuer is an external one. */
  readonly issuer: EmbeddedIssuer | null;
  /** /readyz says no before that. */
  setReady(): void;
}

/** Answers from now on. */
export async function openApi(parts: Parts, stack: AsyncDisposableStack): Promise<Api> {
  const { config, store, log, clock } = parts;
  const useCases = makeUseCases(parts);
  const meter = stack.adopt(await openRateLimits(store.url, config.rate), (opened) => opened.close());
  const issuer = config.auth === null ? await openEmbeddedIssuer(await secretsFolder(config.dataDir)) : null;
  const trusted = issuer ?? remote(config, parts);
  const state = { isReady: false };
  const http = await startHttp({
    ...config.http,
    useCases,
    authenticate: makeAuthenticate(trusted, () => clock.now()),
    auth: { issuer: trusted.issuer, audience: trusted.audience },
    embeddedIssuer: issuer,
    meter,
    ready: async () => {
      if (!state.isReady) throw new DeclutterError('STORE_UNAVAILABLE', 'still starting');
      await store.prisma.$queryRaw`SELECT 1`;
    },
    log,
    graceMs: config.graceMs,
  });
  stack.defer(() => http.close());
  return { url: http.url, useCases, issuer, setReady: () => (state.isReady = true) };
}

function remote({ auth }: Config, { clock, log }: Parts) {
  if (auth === null) throw new TypeError('There is no issuer.');
  return remoteIssuer(auth.issuer, auth.audience, { clock, log });
}
