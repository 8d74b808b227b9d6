import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { openSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as rest } from 'node:timers/promises';
import { promisify } from 'node:util';
import pg from 'pg';
import { type ApiClient, apiClient } from '../src/cli/client/api-client.ts';
import { RegisterDatabaseDocument } from '../src/cli/client/generated/api.ts';
import { missing } from '../test/support/installations.ts';
import { freePort, type Server, startServer } from '../test/support/server.ts';
import { type TcpProxy, tcpProxy } from '../test/support/tcp-proxy.ts';
import { persistently } from './persistently.ts';

const MAIN = path.join(import.meta.dirname, '..', 'dist', 'main.js');

/** What is committed is on the disk, and a crash of the server loses nothing. */
const DURABLE = { fsync: 'on', synchronous_commit: 'on', full_page_writes: 'on', shared_buffers: '256MB' };

const TOKEN_MS = 40 * 60_000;

/** The built product with two workers, a server for its control store, one for a database, and a network in between: all of them can fail. */
export interface FaultProduct {
  readonly target: Server;
  readonly control: Server;
  readonly proxy: TcpProxy;
  readonly archiveDir: string;
  readonly controlUrl: string;
  readonly workers: readonly WorkerHandle[];
  /** as superuser, past the proxy */
  connect(database?: string): Promise<pg.Client>;
  urlOf(database: string): string;
  client(): Promise<ApiClient>;
  register(database: string): Promise<void>;
  stop(): Promise<void>;
}

export interface WorkerHandle {
  readonly pid: number;
  /** With SIGKILL, and nothing in its place. */
  kill(): Promise<void>;
  /** Ends it so, and starts another in its place. */
  replace(signal: 'SIGKILL' | 'SIGTERM'): Promise<void>;
}

/** log: a file for what the processes say; null: they say nothing. */
export async function startFaultProduct(
  folder: string,
  leaseMs: number,
  log: string | null = null,
): Promise<FaultProduct> {
  const installation = missing('debian-15') === null ? 'debian-15' : 18;
  const [target, control] = await Promise.all([
    startServer(installation, DURABLE),
    startServer(installation, DURABLE),
  ]);
  const proxy = await tcpProxy(target.address);
  const urlOf = (server: Server, database: string) =>
    `postgres://postgres:${server.address.password}@127.0.0.1:${server.address.port}/${database}`;
  const connect = async (url: string) => {
    const client = new pg.Client({ connectionString: url, application_name: 'soak' });
    client.on('error', () => undefined); // the statement under way fails too, and says why
    await client.connect();
    return client;
  };
  const admin = await connect(urlOf(control, 'postgres'));
  await admin.query('CREATE DATABASE declutter_control');
  await admin.end();
  const controlUrl = urlOf(control, 'declutter_control');
  const port = await freePort();
  const archiveDir = path.join(folder, 'archives');
  const env = {
    PATH: process.env['PATH'],
    DATABASE_URL: controlUrl,
    DECLUTTER_DATA_DIR: path.join(folder, 'data'),
    DECLUTTER_ARCHIVE_DIR: archiveDir,
    DECLUTTER_PORT: String(port),
    DECLUTTER_TARGET_HOSTS: '127.0.0.1',
    DECLUTTER_TARGET_SOAK_PASSWORD: target.address.password,
    DECLUTTER_LOG_LEVEL: log === null ? 'fatal' : 'warn',
    DECLUTTER_SNAPSHOT_EVERY: '0',
    DECLUTTER_RATE_POINTS: '10000000',
    DECLUTTER_RATE_DESTRUCTIVE: '1000000',
    DECLUTTER_LEASE_MS: String(leaseMs),
    DECLUTTER_HEARTBEAT_MS: String(Math.min(5_000, leaseMs / 4)),
  };
  const said = log === null ? 'inherit' : openSync(log, 'a');
  const start = (command: string) =>
    spawn(process.execPath, [MAIN, command], { env, stdio: ['ignore', 'ignore', said] });
  await promisify(execFile)(process.execPath, [MAIN, 'migrate'], { env });
  const api = start('serve');
  const url = `http://127.0.0.1:${port}`;
  await untilReady(url, api);
  const workers = [makeWorker(() => start('work')), makeWorker(() => start('work'))];
  let known: { readonly client: ApiClient; readonly until: number } | null = null;
  const client = async () => {
    if (known && performance.now() < known.until) return known.client;
    const args = [MAIN, 'token', '--client', 'admin'];
    const { stdout } = await promisify(execFile)(process.execPath, args, { env });
    known = {
      client: apiClient({ url, credentials: { token: stdout.trim() } }),
      until: performance.now() + TOKEN_MS,
    };
    return known.client;
  };
  return {
    target,
    control,
    proxy,
    archiveDir,
    controlUrl,
    workers,
    // A crash of the server may be the fault before, and its recovery take a while.
    connect: (database = 'soak') => persistently(() => connect(urlOf(target, database)), 120),
    urlOf: (database) => urlOf(target, database),
    client,
    register: async (database) => {
      const input = {
        name: database,
        database,
        host: '127.0.0.1',
        port: proxy.port,
        user: 'postgres',
        passwordRef: 'env:DECLUTTER_TARGET_SOAK_PASSWORD',
        tls: 'DISABLE' as const,
        environment: 'DEVELOPMENT' as const,
        allowSuperuser: true,
      };
      await (await client()).request(RegisterDatabaseDocument, { input });
    },
    stop: async () => {
      await Promise.all([...workers.map((worker) => worker.end()), end(api)]);
      await proxy.close();
      await Promise.all([target.stop(), control.stop()]);
    },
  };
}

function makeWorker(start: () => ChildProcess): WorkerHandle & { end(): Promise<void> } {
  let worker = start();
  return {
    get pid() {
      return worker.pid ?? 0;
    },
    async kill() {
      worker.kill('SIGKILL');
      await ended(worker);
    },
    async replace(signal) {
      worker.kill(signal);
      await ended(worker);
      worker = start();
    },
    end: () => end(worker),
  };
}

async function end(process: ChildProcess): Promise<void> {
  process.kill('SIGTERM');
  process.kill('SIGCONT');
  await ended(process);
}

async function ended(process: ChildProcess): Promise<void> {
  if (process.exitCode === null && process.signalCode === null) await once(process, 'exit');
}

async function untilReady(url: string, api: ChildProcess): Promise<void> {
  for (let tries = 0; tries < 300; tries += 1) {
    if (api.exitCode !== null) break;
    const response = await fetch(`${url}/readyz`).catch(() => null); // it does not listen yet
    if (response?.ok) return;
    await rest(100);
  }
  throw new Error('The API did not become ready.');
}
