import { randomBytes, randomUUID } from 'node:crypto';
import { link, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createLocalJWKSet, exportJWK, generateKeyPair, importJWK, type JWK, SignJWT } from 'jose';
import { z } from 'zod';
import { Role } from '../domain/words.ts';
import { badInput, DeclutterError } from '../errors.ts';
import type { TrustedIssuer } from './authenticate.ts';
import { scopesOfRole } from './permissions.ts';

/**
 * The issuer of the embedded mode and the tests. Its name holds no port, so that tokens outlive a move to another one; what makes
 * two of them different is their keys.
 */
export const EMBEDDED_ISSUER = 'http://127.0.0.1/declutter';
export const EMBEDDED_AUDIENCE = 'urn:declutter:api';

export interface EmbeddedClient {
  readonly id: string;
  readonly secret: string;
  readonly scope: string;
}

export interface EmbeddedIssuer extends TrustedIssuer {
  readonly clients: readonly EmbeddedClient[];
  readonly privateKey: JWK;
}

const Clients = z.record(z.string(), z.string());
const Keys = z.object({
  keys: z.tuple([z.looseObject({ kty: z.string(), kid: z.string(), alg: z.string() })]),
});

/** One client for each role. Approver and admin stand for people: on loopback whoever reads the file is the person. */
const ROLES = Object.values(Role);
const PEOPLE = [Role.APPROVER, Role.ADMIN].map((role) => role.toLowerCase());

/** Reads the key and the clients from the data folder, or makes them at the first start; only their owner can read the files. */
export async function openEmbeddedIssuer(dataDir: string): Promise<EmbeddedIssuer> {
  await mkdir(dataDir, { recursive: true });
  const { keys } = await readOrMake(join(dataDir, 'keys.json'), Keys, makeKeys);
  const secrets = await readOrMake(join(dataDir, 'clients.json'), Clients, makeClients);
  const privateKey = keys[0] as JWK;
  return {
    issuer: EMBEDDED_ISSUER,
    audience: EMBEDDED_AUDIENCE,
    keys: createLocalJWKSet({ keys: [publicPart(privateKey)] }),
    people: new Set(PEOPLE),
    clients: ROLES.map((role) => clientOf(role, secrets, dataDir)),
    privateKey,
  };
}

function clientOf(role: Role, secrets: Readonly<Record<string, string>>, dataDir: string): EmbeddedClient {
  const id = role.toLowerCase();
  const secret = secrets[id];
  if (secret === undefined) throw damaged(join(dataDir, 'clients.json'), `it has no client "${id}"`);
  return { id, secret, scope: scopesOfRole(role) };
}

const damaged = (file: string, why: unknown) =>
  new DeclutterError(
    'CONFIGURATION',
    `${file} cannot be used: ${String(why)}. Remove it to have it made anew.`,
  );

/** The first process makes the file; whoever comes at the same time reads what the first has made. */
async function readOrMake<T>(file: string, shape: z.ZodType<T>, make: () => Promise<T>): Promise<T> {
  const text = await readFile(file, 'utf8').catch((error: unknown) => {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  });
  if (text === null) {
    await writeOnce(file, JSON.stringify(await make(), null, 2));
    return readOrMake(file, shape, make);
  }
  try {
    return shape.parse(JSON.parse(text));
  } catch (error) {
    throw damaged(file, (error as Error).name);
  }
}

/** Appears whole or not at all, and never replaces what is there. */
async function writeOnce(file: string, text: string): Promise<void> {
  const draft = `${file}.${randomUUID()}`;
  await writeFile(draft, text, { mode: 0o600, flag: 'wx' });
  try {
    await link(draft, file);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  } finally {
    await rm(draft);
  }
}

async function makeKeys(): Promise<z.infer<typeof Keys>> {
  const { privateKey } = await generateKeyPair('ES256', { extractable: true });
  const key = await exportJWK(privateKey);
  return { keys: [{ ...key, kty: 'EC', kid: randomUUID(), alg: 'ES256', use: 'sig' }] };
}

const makeClients = async (): Promise<z.infer<typeof Clients>> =>
  Object.fromEntries(ROLES.map((role) => [role.toLowerCase(), randomBytes(32).toString('base64url')]));

function publicPart(key: JWK): JWK {
  const { d: _private, ...rest } = key;
  return rest;
}

/** Long enough for a person who has pasted it somewhere; programs ask POST /oauth/token for shorter ones. */
const PASTED_TOKEN_LIFE_S = 3600;

/** Signs an access token by the key in the data folder: works with no server running. @throws BAD_USER_INPUT */
export async function issueToken(
  issuer: EmbeddedIssuer,
  clientId: string,
  now: Date,
  lifeSeconds: number = PASTED_TOKEN_LIFE_S,
): Promise<string> {
  const client = issuer.clients.find(({ id }) => id === clientId);
  if (!client)
    throw badInput(
      `There is no client "${clientId}". There are ${issuer.clients.map(({ id }) => id).join(', ')}.`,
    );
  const issuedAt = Math.floor(now.getTime() / 1000);
  return new SignJWT({ client_id: client.id, scope: client.scope })
    .setProtectedHeader({ alg: 'ES256', typ: 'at+jwt', kid: issuer.privateKey.kid ?? '' })
    .setIssuer(issuer.issuer)
    .setAudience(issuer.audience)
    .setSubject(client.id)
    .setIssuedAt(issuedAt)
    .setExpirationTime(issuedAt + lifeSeconds)
    .setJti(randomUUID())
    .sign(await importJWK(issuer.privateKey, 'ES256'));
}
