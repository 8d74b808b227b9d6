import { execFile } from 'node:child_process';
import { existsSync, readFileSync, unlinkSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { promisify } from 'node:util';
import { DeclutterError } from '../errors.ts';

/** A running server, as its own lock file tells. */
export interface Postmaster {
  readonly pid: number;
  readonly port: number;
  readonly isReady: boolean;
}

/**
 * Who serves this cluster. PostgreSQL's postmaster.pid is the lock: of several servers that start at once on one cluster it lets
 * one through. Its pid is believed only when that process is a postgres on this very folder, since after a crash or in a
 * restarted container the same pid may be anything.
 */
export async function readPostmaster(cluster: string): Promise<Postmaster | null> {
  const file = join(cluster, 'postmaster.pid');
  const text = await textOf(file);
  const [pid, , , port, , , , status] = text?.split('\n') ?? [];
  if (!pid) return null;
  const command = await commandOf(Number(pid));
  if (command === null) return null; // a dead server's file: the next server removes it by itself
  if (basename(command[0] ?? '') !== 'postgres') {
    removeIfStill(file, text); // another program has that pid now, which a server takes for its living predecessor
    return null;
  }
  if (!command.includes(cluster)) throw strange(file, pid);
  return { pid: Number(pid), port: Number(port), isReady: status?.trim() === 'ready' };
}

/** Resolves when the server's process is gone, or with false after that time. */
export async function untilGone(cluster: string, pid: number, timeoutMs: number): Promise<boolean> {
  for (const deadline = Date.now() + timeoutMs; Date.now() < deadline;) {
    const command = await commandOf(pid);
    if (command === null || !command.includes(cluster)) return true;
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
  return false;
}

/** At one go, so that no server writes its own file in between. */
function removeIfStill(file: string, text: string | null): void {
  if (existsSync(file) && readFileSync(file, 'utf8') === text) unlinkSync(file);
}

async function textOf(file: string): Promise<string | null> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
}

/** The command line of a process; null when there is no such process, or it has ended and only waits to be reaped. */
async function commandOf(pid: number): Promise<string[] | null> {
  if (process.platform === 'linux') {
    const text = await textOf(`/proc/${pid}/cmdline`).catch(() => null); // ESRCH: it ended while we read
    return text ? text.split('\0').slice(0, -1) : null;
  }
  return promisify(execFile)('ps', ['-ww', '-o', 'args=', '-p', String(pid)]).then(
    ({ stdout }) => stdout.trim().split(' '),
    () => null, // ps ends with 1 when there is no such process
  );
}

const strange = (file: string, pid: string) =>
  new DeclutterError(
    'PRECONDITION_FAILED',
    `${file} names process ${pid}, a PostgreSQL server on another folder (was the folder moved or copied while in use?). ` +
      'Stop that server, or, if it has nothing to do with this folder, remove the file; then start again.',
  );
