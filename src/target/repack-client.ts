import { execFile, spawn } from 'node:child_process';
import { glob, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { rootCertificates } from 'node:tls';
import { promisify } from 'node:util';
import type { TargetAddress } from './session.ts';

/** Where packages put it: a folder for each major version of PostgreSQL, or one that people put a link into. */
const PLACES = [
  '/usr/local/bin/pg_repack',
  '/usr/bin/pg_repack',
  '/usr/lib/postgresql/*/bin/pg_repack',
  '/usr/pgsql-*/bin/pg_repack',
];

/** The program of this version on this machine: pg_repack works with its extension only when both are of one version. */
export async function findRepackClient(version: string): Promise<string | null> {
  for await (const program of glob(PLACES)) {
    if ((await versionOf(program)) === version) return program;
  }
  return null;
}

/**
 * Whether no impostor can get the password from it. libpq refuses to tell it in clear text or as MD5 from version 16 on
 * (require_auth), and earlier ones only talk to the server that the certificate names, or to one on this machine.
 */
export async function keepsPassword(
  program: string,
  { tls, ip }: Pick<TargetAddress, 'tls' | 'ip'>,
): Promise<boolean> {
  return tls === 'VERIFY_FULL' || isLoopback(ip) || (await knowsRequireAuth(program));
}

const isLoopback = (ip: string): boolean => ip === '::1' || /^127\./.test(ip);

/** A libpq that knows the setting complains of a value that there is not, before it connects; to nowhere, in any case. */
async function knowsRequireAuth(program: string): Promise<boolean> {
  const env = { PGHOST: '/nonexistent', PGREQUIREAUTH: 'nonsense', LC_ALL: 'C' };
  try {
    await promisify(execFile)(program, ['--dbname=nowhere', '--table=nothing'], { env, timeout: 5_000 });
    return false;
  } catch (error) {
    return /require_auth/.test((error as { stderr?: string }).stderr ?? '');
  }
}

/** null: it does not start, or says something else. */
async function versionOf(program: string): Promise<string | null> {
  try {
    const { stdout } = await promisify(execFile)(program, ['--version'], { env: {}, timeout: 5_000 });
    return /^pg_repack ([\w.]+)/.exec(stdout)?.[1] ?? null;
  } catch {
    return null; // not for this machine, or without the libraries that it needs
  }
}

export interface RepackCall {
  readonly program: string;
  /** quoted and qualified */
  readonly table: string;
  /** its sessions' application_name */
  readonly name: string;
  /** in seconds: how long it tries to get a lock, a second or less at a time */
  readonly waitSeconds: number;
}

/** null: it was ended by a signal */
export type RepackEnd = { readonly code: number | null };

/**
 * What pg_repack is told. It never ends anybody's session (--no-kill-backend), and gives up when it does not get a lock in
 * time. --no-order: rows keep the order in which they lie. --no-superuser-check: the plan has looked at the rights, and the
 * server does again.
 */
export const repackArguments = ({ table, waitSeconds }: Omit<RepackCall, 'program' | 'name'>) => [
  '--no-kill-backend',
  `--wait-timeout=${waitSeconds}`,
  '--no-order',
  '--no-password',
  '--no-superuser-check',
  `--table=${table}`,
];

/** Runs it to its end; the signal interrupts it, which makes it tidy up and leave. onLine: what it says. */
export async function runRepack(
  address: TargetAddress,
  call: RepackCall,
  signal: AbortSignal,
  onLine: (line: string) => void,
): Promise<RepackEnd> {
  const folder = await mkdtemp(path.join(tmpdir(), 'declutter-repack-'));
  try {
    const env = await environment(address, call.name, folder);
    return await ended(call, env, signal, onLine);
  } finally {
    await rm(folder, { recursive: true });
  }
}

/** How long it may take to tidy up. */
const LEAVE_MS = 10_000;

function ended(
  call: RepackCall,
  env: NodeJS.ProcessEnv,
  signal: AbortSignal,
  onLine: (line: string) => void,
): Promise<RepackEnd> {
  return new Promise((resolve, reject) => {
    const child = spawn(call.program, repackArguments(call), { env, stdio: ['ignore', 'pipe', 'pipe'] });
    let impatience: NodeJS.Timeout | undefined;
    const interrupt = () => {
      child.kill('SIGINT');
      impatience = setTimeout(() => child.kill('SIGKILL'), LEAVE_MS);
    };
    for (const stream of [child.stdout, child.stderr]) createInterface(stream).on('line', onLine);
    signal.addEventListener('abort', interrupt, { once: true });
    const leave = () => {
      clearTimeout(impatience);
      signal.removeEventListener('abort', interrupt);
    };
    child.once('error', (error) => {
      leave();
      reject(error);
    });
    child.once('close', (code) => {
      leave();
      resolve({ code });
    });
    if (signal.aborted) interrupt();
  });
}

/**
 * What libpq goes by: the address that was checked, and nothing of this process's own environment. Waits for locks that
 * pg_repack does not bound itself are bounded by the sessions' default.
 */
async function environment(
  address: TargetAddress,
  name: string,
  folder: string,
): Promise<Record<string, string>> {
  return {
    PATH: '/usr/bin:/bin',
    HOME: folder,
    LC_ALL: 'C',
    PGHOST: address.host,
    PGHOSTADDR: address.ip,
    PGPORT: String(address.port),
    PGDATABASE: address.database,
    PGUSER: address.user,
    PGPASSWORD: await address.password(),
    PGPASSFILE: path.join(folder, 'none'),
    PGSERVICEFILE: path.join(folder, 'none'),
    PGAPPNAME: name,
    PGCONNECT_TIMEOUT: '10',
    PGGSSENCMODE: 'disable',
    PGREQUIREAUTH: '!password,!md5', // libpq 16 and later; earlier ones do not know it
    PGOPTIONS: '-c lock_timeout=2000',
    ...(await encryption(address, folder)),
  };
}

async function encryption({ tls, ca }: TargetAddress, folder: string): Promise<Record<string, string>> {
  if (tls === 'DISABLE') return { PGSSLMODE: 'disable' };
  if (tls === 'REQUIRE') return { PGSSLMODE: 'require' };
  const file = path.join(folder, 'root.crt');
  await writeFile(file, ca ?? rootCertificates.join('\n'), { mode: 0o600 });
  return { PGSSLMODE: 'verify-full', PGSSLROOTCERT: file };
}
