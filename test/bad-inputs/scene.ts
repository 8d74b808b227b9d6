import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { randomUUID } from 'node:crypto';
import { importJWK, SignJWT } from 'jose';
import {
  EMBEDDED_AUDIENCE,
  EMBEDDED_ISSUER,
  type EmbeddedIssuer,
  issueToken,
  openEmbeddedIssuer,
} from '../../src/security/embedded-issuer.ts';
import type { Client } from '../support/api-server.ts';
import { type TestDatabase, testDatabase, testStore } from '../support/postgres.ts';
import { dumpOf } from './dump.ts';
import { prepare, type Prepared, SHOP } from './prepare.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

export interface Reply {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  readonly data: Record<string, unknown> | null;
  readonly errors: readonly { message: string; extensions: Record<string, unknown> }[];
}

type Claims = Readonly<Record<string, unknown>>;

/** A real server in a process of its own, a database that is registered there, and whatever was answered so far. */
export interface Scene {
  readonly port: number;
  readonly target: TestDatabase;
  readonly storeName: string;
  readonly issuer: EmbeddedIssuer;
  readonly known: Prepared;
  /** must not be in any answer or line of the log */
  readonly password: string;
  token(client: Client): Promise<string>;
  /** A good token, but for what is given; undefined takes a claim away. */
  sign(claims?: Claims, header?: Claims): Promise<string>;
  ask(client: Client | null, query: unknown, variables?: unknown): Promise<Reply>;
  /** A request as it is, to /graphql unless told otherwise. */
  send(init: RequestInit, path?: string): Promise<Reply>;
  /** Bytes as they are; what came back until the server has closed. */
  raw(text: string): Promise<string>;
  /** What takes long, by what was sent, begun before everything else. */
  readonly slow: Map<string, Promise<string>>;
  /** Every text that was answered. */
  readonly answers: string[];
  readonly log: () => string;
  /** Of the database and of the control store, but for the audit trail and the plans that were made since. */
  dump(): Promise<string[]>;
  close(): Promise<void>;
}

/** "400 BAD_USER_INPUT", "200 OK" */
export function say({ status, text, data, errors }: Reply): string {
  if (data === null && errors.length === 0) return `${status} ${text.slice(0, 80)}`;
  const code = errors[0]?.extensions['code'];
  return `${status} ${errors.length === 0 ? 'OK' : String(code)}`;
}

/** The same of an answer as it came over the wire. */
export const sayRaw = (answer: string): string =>
  `${/^HTTP\/1.1 (\d+)/.exec(answer)?.[1] ?? ''} ${/"code":"(\w+)"/.exec(answer)?.[1] ?? ''}`;

export async function openScene(): Promise<Scene> {
  const dataDir = await mkdtemp(join(tmpdir(), 'declutter-abuse-'));
  const control = await testStore();
  const target = await testDatabase();
  const password = await target.address.password();
  await target.run(SHOP);
  const server = await start(dataDir, control.url, password);
  const issuer = await openEmbeddedIssuer(join(dataDir, 'secrets'));
  const talk = talkTo(server.url, issuer);
  const storeName = new URL(control.url).pathname.slice(1);
  const known = await prepare(talk.ask, target);
  const ours = (sql: string) => control.store.prisma.$queryRawUnsafe<Record<string, unknown>[]>(sql);
  const prepared = new Date().toISOString();
  const without = { 'public.audit_event': 'true', 'public.plan': `t."createdAt" > '${prepared}'` };
  return {
    ...talk,
    port: Number(new URL(server.url).port),
    target,
    storeName,
    issuer,
    known,
    password,
    raw: (text) => rawAnswer(server.url, text),
    slow: new Map(),
    log: server.log,
    dump: async () => [...(await dumpOf(target.run)), ...(await dumpOf(ours, without))],
    close: async () => {
      server.child.kill('SIGTERM');
      await server.ended;
      await target.drop();
      await control.close();
      await rm(dataDir, { recursive: true, force: true });
    },
  };
}

interface Started {
  readonly url: string;
  readonly child: ChildProcess;
  readonly ended: Promise<unknown>;
  readonly log: () => string;
}

async function start(dataDir: string, storeUrl: string, password: string): Promise<Started> {
  const main = join(ROOT, 'src/main.ts');
  const child = spawn(process.execPath, ['--import', '@swc-node/register/esm-register', main, 'serve'], {
    cwd: ROOT,
    env: {
      PATH: process.env['PATH'],
      DATABASE_URL: storeUrl,
      DECLUTTER_DATA_DIR: dataDir,
      DECLUTTER_PORT: '0',
      DECLUTTER_TARGET_HOSTS: 'localhost',
      DECLUTTER_TARGET_SHOP_PASSWORD: password,
      DECLUTTER_SECRET_KEY: 'ab'.repeat(32),
      DECLUTTER_RATE_POINTS: '100000000',
      DECLUTTER_RATE_DESTRUCTIVE: '1000000',
      DECLUTTER_GRACE_MS: '3000',
      PGPASSWORD: 'canary-of-libpq',
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const ended = once(child, 'exit');
  let log = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => (log += text));
  for await (const line of createInterface({ input: child.stdout })) {
    const url = /answers at (http:\S+)\/graphql/.exec(line)?.[1];
    if (url !== undefined) return { url, child, ended, log: () => log };
  }
  throw new Error(`The server did not start:\n${log}`);
}

type Talk = Pick<Scene, 'token' | 'sign' | 'ask' | 'send' | 'answers'>;

function talkTo(url: string, issuer: EmbeddedIssuer): Talk {
  const answers: string[] = [];
  const tokens = new Map<Client, Promise<string>>();
  const token = (client: Client) => {
    const known = tokens.get(client) ?? issueToken(issuer, client, new Date());
    tokens.set(client, known);
    return known;
  };
  const send: Scene['send'] = async (init, path = '/graphql') => {
    const response = await fetch(`${url}${path}`, { method: 'POST', redirect: 'manual', ...init });
    const text = await response.text();
    answers.push(text);
    return { status: response.status, headers: response.headers, text, ...parsed(text) };
  };
  return {
    answers,
    token,
    send,
    sign: (claims, header) => sign(issuer, claims, header),
    ask: async (client, query, variables) => {
      const headers = {
        'content-type': 'application/json',
        ...(client === null ? {} : { authorization: `Bearer ${await token(client)}` }),
      };
      return send({ headers, body: JSON.stringify({ query, variables }) });
    },
  };
}

function parsed(text: string): Pick<Reply, 'data' | 'errors'> {
  if (!text.startsWith('{')) return { data: null, errors: [] };
  const { data = null, errors = [] } = JSON.parse(text) as Partial<Reply>;
  return { data, errors };
}

async function sign(
  { privateKey }: EmbeddedIssuer,
  claims: Claims = {},
  header: Claims = {},
): Promise<string> {
  const now = Math.floor(Date.now() / 1000);
  const all = {
    iss: EMBEDDED_ISSUER,
    aud: EMBEDDED_AUDIENCE,
    sub: 'mallory',
    client_id: 'console',
    iat: now,
    exp: now + 300,
    jti: randomUUID(),
    scope: 'declutter:read',
    ...claims,
  };
  const given = Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined));
  const protectedHeader = { alg: 'ES256', typ: 'at+jwt', kid: String(privateKey.kid), ...header };
  return new SignJWT(given).setProtectedHeader(protectedHeader).sign(await importJWK(privateKey, 'ES256'));
}

/** The server has to close by itself. @throws after a minute */
function rawAnswer(url: string, text: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(Number(new URL(url).port), '127.0.0.1', () => socket.write(text));
    let answer = '';
    socket.setTimeout(60_000, () => socket.destroy(new Error('The server did not close.')));
    socket.setEncoding('utf8').on('data', (part: string) => (answer += part));
    let failure: Error | null = null;
    socket.once('error', (error) => (failure = error)); // a reset, say, of what it did not want to read
    socket.once('close', () => (answer === '' && failure !== null ? reject(failure) : resolve(answer)));
  });
}
