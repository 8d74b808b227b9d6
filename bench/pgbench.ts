import { execFile } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as rest } from 'node:timers/promises';
import { promisify } from 'node:util';
import { binariesOf } from '../test/support/installations.ts';
import type { BenchServer } from './bench-server.ts';

const PGBENCH = join(binariesOf('debian-15'), 'pgbench');
const SCRIPTS = join(import.meta.dirname, 'foreground');
/** Of ten transactions: six look-ups by key, two short ranges, an update and an insert. */
const MIX = ['read.sql@6', 'range.sql@2', 'update.sql@1', 'insert.sql@1'];

/** What an application felt, in milliseconds. */
export interface Felt {
  readonly p50: number;
  readonly p95: number;
  readonly p99: number;
  readonly longest: number;
}

export interface Application {
  /** of its table */
  readonly rows: number;
  /** transactions a second */
  readonly rate: number;
  readonly leadSeconds: number;
  readonly seconds: number;
  readonly folder: string;
}

/** null where Debian's PostgreSQL 15, which has pgbench, is installed. */
export const missingPgbench = (): string | null =>
  existsSync(PGBENCH) ? null : `There is no ${PGBENCH} (apt-get install postgresql-15).`;

/** Of the attempts the slowest counts: what a machine can do at its best it cannot do for long. */
const ATTEMPTS = 4;
const ATTEMPT_SECONDS = 10;

/** Transactions a second that last, as fast as they go. */
export async function capacityOf(server: BenchServer, database: string, rows: number): Promise<number> {
  const timing = ['-T', String(ATTEMPT_SECONDS), '-D', `rows=${rows}`];
  const rates: number[] = [];
  while (rates.length < ATTEMPTS) {
    const { stdout } = await run(server, database, timing);
    const tps = Number(/^tps = ([\d.]+)/m.exec(stdout)?.[1]);
    if (!(tps > 0)) throw new Error(`pgbench told no rate: ${stdout}`);
    rates.push(tps);
    await rest(ATTEMPT_SECONDS * 1_000);
  }
  return Math.min(...rates);
}

/**
 * An application of that many transactions a second. What it felt in the first `leadSeconds` does not count. A transaction's time counts from the moment at which it was due.
 * @throws when one of its sessions was ended or a transaction failed
 */
export async function foreground(
  server: BenchServer,
  database: string,
  { rows, rate, leadSeconds, seconds, folder }: Application,
): Promise<Felt> {
  const prefix = join(folder, 'transactions');
  const timing = ['-T', String(leadSeconds + seconds), '-R', rate.toFixed(0), '-D', `rows=${rows}`];
  await run(server, database, [...timing, '--log', `--log-prefix=${prefix}`]);
  const from = Date.now() / 1_000 - seconds;
  const files = readdirSync(folder).filter((name) => name.startsWith('transactions.'));
  const times = files.flatMap((name) => timesIn(join(folder, name), from)).sort((a, b) => a - b);
  for (const name of files) rmSync(join(folder, name));
  const at = (share: number) => times[Math.min(times.length - 1, Math.floor(times.length * share))] ?? NaN;
  return { p50: at(0.5), p95: at(0.95), p99: at(0.99), longest: at(1) };
}

/** In milliseconds, of the transactions that ended from then on; the log has microseconds in its third column, the time in its fifth and sixth. */
const timesIn = (file: string, from: number): number[] =>
  readFileSync(file, 'utf8')
    .split('\n')
    .map((line) => line.split(' ').map(Number))
    .filter(([, , , , seconds = 0, microseconds = 0]) => seconds + microseconds / 1e6 >= from)
    .map(([, , took = NaN]) => took / 1_000);

async function run(server: BenchServer, database: string, options: readonly string[]) {
  const { host, port, user, password } = server;
  const scripts = MIX.flatMap((script) => ['-f', join(SCRIPTS, script)]);
  const login = ['-h', host, '-p', String(port), '-U', user];
  return promisify(execFile)(
    PGBENCH,
    ['-n', '-c', '4', '-j', '2', ...options, ...scripts, ...login, database],
    { env: { PGPASSWORD: password, PGAPPNAME: 'application' }, maxBuffer: 2 ** 24 },
  );
}
