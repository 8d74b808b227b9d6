import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chownSync, mkdtempSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { randomBytes } from 'node:crypto';
import { idsToSet, reaching, type ServerUser, serverUser } from '../../src/store/server-user.ts';
import { binariesOf, type Installation } from './installations.ts';

/** How to reach a test server as its superuser. */
export interface ServerAddress {
  readonly host: '127.0.0.1';
  readonly port: number;
  readonly user: 'postgres';
  readonly password: string;
}

export interface Server {
  readonly address: ServerAddress;
  /** Of the postmaster. */
  readonly pid: number;
  /** Stops it as a crash would (immediate), and starts it again. */
  restart(): Promise<void>;
  stop(): Promise<void>;
}

/**
 * Not for tests of durability: a killed server loses nothing, a killed machine would. Autovacuum is off, so that bloat and
 * statistics change only when a test says so.
 */
const FAST_SETTINGS: Readonly<Record<string, string>> = {
  fsync: 'off',
  synchronous_commit: 'off',
  full_page_writes: 'off',
  autovacuum: 'off',
  max_connections: '200',
  max_wal_size: '4GB',
  shared_buffers: '256MB',
  listen_addresses: '127.0.0.1',
  unix_socket_directories: '',
  logging_collector: 'off',
};

/**
 * Makes a cluster in a temporary folder and starts it on a free port of 127.0.0.1. It ends with stop(), and also when this
 * process dies in whatever way.
 */
export async function startServer(
  installation: Installation,
  settings: Readonly<Record<string, string>> = {},
): Promise<Server> {
  const folder = mkdtempSync(join(tmpdir(), 'declutter-test-'));
  const owner = await reaching(await serverUser(), [join(binariesOf(installation), 'postgres')]);
  if (owner.ids) chownSync(folder, owner.ids.uid, owner.ids.gid);
  const password = randomBytes(12).toString('hex');
  initialise(installation, folder, owner, password);
  const port = await freePort();
  const server = launch(installation, folder, owner, { ...FAST_SETTINGS, ...settings, port: String(port) });
  let pid = await untilReady(server);
  return {
    address: { host: '127.0.0.1', port, user: 'postgres', password },
    get pid() {
      return pid;
    },
    restart: async () => {
      const ready = untilReady(server, { isFirst: false });
      server.stdin?.write('restart\n');
      pid = await ready;
    },
    stop: async () => {
      server.stdin?.end();
      if (server.exitCode === null) await once(server, 'exit');
    },
  };
}

function initialise(installation: Installation, folder: string, owner: ServerUser, password: string): void {
  const passwordFile = join(folder, 'password');
  writeFileSync(passwordFile, password, { mode: 0o600 });
  if (owner.ids) chownSync(passwordFile, owner.ids.uid, owner.ids.gid);
  const options = [
    '--no-sync',
    '--auth=scram-sha-256',
    '--username=postgres',
    '--encoding=UTF8',
    '--locale=C.UTF-8',
  ];
  const initdb = [join(binariesOf(installation), 'initdb'), `--pgdata=${join(folder, 'data')}`];
  const [program = '', ...args] = [...owner.prefix, ...initdb, `--pwfile=${passwordFile}`, ...options];
  execFileSync(program, args, { ...idsToSet(owner), cwd: folder, stdio: 'pipe' });
}

/**
 * Each line on the pipe to this shell stops the server at once, as a crash would, and starts it anew. When the pipe closes, because
 * we closed it or died, the server is stopped for good and its folder removed.
 */
const WATCHED =
  'start() { "$@" </dev/null & server=$!; echo "pid $server" >&2; }; halt() { kill -QUIT $server; wait $server; }; ' +
  'start "$@"; while read -r _; do halt; start "$@"; done; halt; cd /; rm -rf "$0"';

function launch(
  installation: Installation,
  folder: string,
  owner: ServerUser,
  settings: Readonly<Record<string, string>>,
): ChildProcess {
  const flags = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
  const command = [join(binariesOf(installation), 'postgres'), '-D', join(folder, 'data'), ...flags];
  const [program = '', ...args] = [...owner.prefix, '/bin/sh', '-c', WATCHED, folder, ...command];
  return spawn(program, args, {
    ...idsToSet(owner),
    cwd: folder,
    env: { PATH: process.env['PATH'], LC_ALL: 'C.UTF-8', TZ: 'UTC' },
    stdio: ['pipe', 'ignore', 'pipe'],
  });
}

/** Sessions that a restart ends are told so with FATAL, too. */
function untilReady(server: ChildProcess, { isFirst } = { isFirst: true }): Promise<number> {
  return new Promise((resolve, reject) => {
    let log = '';
    const read = (text: string) => {
      if (log.length < 100_000) log += text;
      const pid = /^pid (\d+)$/m.exec(log)?.[1];
      if (pid !== undefined && log.includes('ready to accept connections')) resolve(Number(pid));
      else if (!isFirst || !log.includes('FATAL:')) return;
      else reject(new Error(`PostgreSQL did not start:\n${log}`));
      server.stderr?.off('data', read).resume();
    };
    server.stderr?.setEncoding('utf8').on('data', read);
    server.once('exit', () => {
      reject(new Error(`PostgreSQL did not start:\n${log}`));
    });
  });
}

export async function freePort(): Promise<number> {
  const probe = createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const { port } = probe.address() as { port: number };
  probe.close();
  await once(probe, 'close');
  return port;
}
