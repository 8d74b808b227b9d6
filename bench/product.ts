import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as rest } from 'node:timers/promises';
import { promisify } from 'node:util';
import { type ApiClient, apiClient } from '../src/cli/client/api-client.ts';
import { RegisterDatabaseDocument } from '../src/cli/client/generated/api.ts';
import { freePort } from '../test/support/server.ts';
import type { BenchServer } from './bench-server.ts';

const MAIN = join(import.meta.dirname, '..', 'dist', 'main.js');

/** As the first line of src/main.ts has them. */
const NODE_OPTIONS = ['--max-semi-space-size=8', '--heap-growing-percent=100'];

/** A token of the command line lives an hour. */
const TOKEN_MS = 40 * 60_000;

/** The built product: an API and a worker, each in a process of its own, as in production. */
export interface Product {
  /** A client with the rights of ADMIN, good for some minutes. */
  client(): Promise<ApiClient>;
  /** Brings a database under the product's care, under its own name. */
  register(database: string): Promise<void>;
  /** The worker starts anew, with a memory that nothing has grown yet. */
  restartWorker(): Promise<void>;
  /** Ends the worker with SIGKILL, as a crash would, and starts another. */
  killWorker(): Promise<void>;
  workerMemory(): Memory;
  apiMemory(): Memory;
  stop(): Promise<void>;
}

/** In MB, of a process. */
export interface Memory {
  readonly now: number;
  readonly peak: number;
}

export async function startProduct(server: BenchServer, folder: string): Promise<Product> {
  const port = await freePort();
  const admin = await server.connect('postgres');
  await admin.query('CREATE DATABASE declutter_control');
  await admin.end();
  const env = environment(server, folder, port);
  const start = (command: string) =>
    spawn(process.execPath, [...NODE_OPTIONS, MAIN, command], {
      env,
      stdio: ['ignore', 'inherit', 'inherit'],
    });
  await promisify(execFile)(process.execPath, [MAIN, 'migrate'], { env });
  const api = start('serve');
  let worker = start('work');
  const url = `http://127.0.0.1:${port}`;
  await untilReady(url, api);
  let known: { readonly client: ApiClient; readonly until: number } | null = null;
  const client = async () => {
    if (known && performance.now() < known.until) return known.client;
    const { stdout } = await promisify(execFile)(process.execPath, [MAIN, 'token', '--client', 'admin'], {
      env,
    });
    known = {
      client: apiClient({ url, credentials: { token: stdout.trim() } }),
      until: performance.now() + TOKEN_MS,
    };
    return known.client;
  };
  return {
    client,
    register: async (database) => {
      const input = { ...loginOf(server), name: database, database };
      await (await client()).request(RegisterDatabaseDocument, { input });
    },
    async restartWorker() {
      await end(worker);
      worker = start('work');
    },
    async killWorker() {
      worker.kill('SIGKILL');
      await once(worker, 'exit');
      worker = start('work');
    },
    workerMemory: () => memoryOf(worker.pid ?? 0),
    apiMemory: () => memoryOf(api.pid ?? 0),
    async stop() {
      await Promise.all([end(api), end(worker)]);
    },
  };
}

const environment = (server: BenchServer, folder: string, port: number) => ({
  PATH: process.env['PATH'],
  DATABASE_URL: server.urlOf('declutter_control'),
  DECLUTTER_DATA_DIR: join(folder, 'data'),
  DECLUTTER_PORT: String(port),
  DECLUTTER_TARGET_HOSTS: '127.0.0.1',
  DECLUTTER_TARGET_BENCH_PASSWORD: server.password,
  DECLUTTER_LOG_LEVEL: 'warn',
  DECLUTTER_SNAPSHOT_EVERY: '0', // the one after a run would fall into the next measurement
  DECLUTTER_RATE_POINTS: '10000000',
});

const loginOf = ({ host, port, user }: BenchServer) => ({
  host,
  port,
  user,
  passwordRef: 'env:DECLUTTER_TARGET_BENCH_PASSWORD',
  tls: 'DISABLE' as const,
  environment: 'DEVELOPMENT' as const,
  allowSuperuser: true,
});

async function untilReady(url: string, api: ChildProcess): Promise<void> {
  for (let tries = 0; tries < 300; tries += 1) {
    if (api.exitCode !== null) break;
    const response = await fetch(`${url}/readyz`).catch(() => null); // it does not listen yet
    if (response?.ok) return;
    await rest(100);
  }
  throw new Error('The API did not become ready.');
}

async function end(process: ChildProcess): Promise<void> {
  if (process.exitCode !== null) return;
  process.kill('SIGTERM');
  await once(process, 'exit');
}

function memoryOf(pid: number): Memory {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  const megabytes = (field: string) =>
    Number(new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(status)?.[1]) / 1024;
  return { now: megabytes('VmRSS'), peak: megabytes('VmHWM') };
}
