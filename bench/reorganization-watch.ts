import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { setTimeout as rest } from 'node:timers/promises';
import type { BenchServer } from './bench-server.ts';
import type { Probed } from './probe-writer.ts';

const DISK_MS = 50;
const LOCK_MS = 5;
/** A report keeps its transaction open for so long while its page is made, and the next one begins after as long again. */
const REPORT_MS = 1_000;
const MEGABYTE = 1_000_000;

/** What work cost, besides its time. */
export interface Watched extends Probed {
  /** of the database's files above what they were, in MB */
  readonly peakMb: number;
  /** of write-ahead log, of everybody, in MB */
  readonly walMb: number;
  /** that a lock which makes readers or writers of the table wait was held, in milliseconds, as far as the looks have seen */
  readonly lockMs: number;
  readonly seconds: number;
}

/** Connected already: what it sees begins with the work. */
type Watch<T> = () => Promise<T>;

/** Does the work with a writer, and eyes on disk and locks, beside it. Looking costs something: it is watched also when it is nothing. */
export async function watched(
  server: BenchServer,
  database: string,
  work: () => Promise<void>,
): Promise<Watched> {
  const over = new AbortController();
  const before = await read(server, database);
  const writing = await writes(server, database, over.signal);
  const watching = [
    await peakBytes(server, database, over.signal),
    await longestLock(server, database, over.signal),
    await reports(server, database, over.signal),
  ].map((begin) => begin());
  const probing = writing();
  const begun = performance.now();
  try {
    await work();
  } finally {
    over.abort();
  }
  const seconds = (performance.now() - begun) / 1000;
  const [peak, lockMs] = (await Promise.all(watching)) as [number, number];
  const probed = await probing;
  const after = await read(server, database);
  const walMb = (after.wal - before.wal) / MEGABYTE;
  return { ...probed, lockMs, walMb, peakMb: Math.max(0, peak - before.bytes) / MEGABYTE, seconds };
}

async function read(server: BenchServer, database: string): Promise<{ bytes: number; wal: number }> {
  const client = await server.connect(database);
  const { rows } = await client.query<{ bytes: number; wal: number }>(
    `SELECT pg_database_size(current_database())::float8 AS bytes, pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::float8 AS wal`,
  );
  await client.end();
  return rows[0] ?? { bytes: 0, wal: 0 };
}

async function writes(server: BenchServer, database: string, over: AbortSignal): Promise<Watch<Probed>> {
  const child = fork(join(import.meta.dirname, 'probe-writer.ts'), {
    execArgv: [],
    env: { ...process.env, PROBE_URL: server.urlOf(database) },
  });
  await messageOf(child);
  return async () => {
    child.send('begin');
    over.addEventListener('abort', () => child.send('stop'), { once: true });
    return (await messageOf(child)) as Probed;
  };
}

/** @throws when it ends without a word */
async function messageOf(child: ChildProcess): Promise<unknown> {
  const ended = new AbortController();
  const message = once(child, 'message', { signal: ended.signal });
  const leave = () => ended.abort(new Error('The probe has ended early.'));
  child.once('exit', leave);
  try {
    return ((await message) as [unknown])[0];
  } finally {
    child.off('exit', leave);
  }
}

async function peakBytes(server: BenchServer, database: string, over: AbortSignal): Promise<Watch<number>> {
  const client = await server.connect('postgres');
  return async () => {
    let peak = 0;
    while (!over.aborted) {
      const { rows } = await client.query<{ bytes: number }>(
        `SELECT pg_database_size('${database}')::float8 AS bytes`,
      );
      peak = Math.max(peak, rows[0]?.bytes ?? 0);
      await rest(DISK_MS);
    }
    await client.end();
    return peak;
  };
}

/** By the same session in the same mode, from the first look that saw it to the last. */
async function longestLock(server: BenchServer, database: string, over: AbortSignal): Promise<Watch<number>> {
  const client = await server.connect(database);
  return async () => {
    const since = new Map<string, number>();
    let longest = 0;
    while (!over.aborted) {
      const now = performance.now();
      const { rows } = await client.query<{ held: string }>(HELD);
      const held = new Set(rows.map((row) => row.held));
      for (const key of since.keys()) if (!held.has(key)) since.delete(key);
      for (const key of held) {
        if (!since.has(key)) since.set(key, now);
        longest = Math.max(longest, performance.now() - (since.get(key) ?? now));
      }
      await rest(LOCK_MS);
    }
    await client.end();
    return longest;
  };
}

/** Reads the table, as whoever has a report made does: what wants the table for itself meets one half of the time. */
async function reports(server: BenchServer, database: string, over: AbortSignal): Promise<Watch<number>> {
  const client = await server.connect(database);
  return async () => {
    let made = 0;
    for (; !over.aborted; made += 1) {
      await client.query('BEGIN');
      await client.query('SELECT tenant, count(*) FROM public.records WHERE tenant < 5 GROUP BY tenant');
      await rest(REPORT_MS);
      await client.query('COMMIT');
      await rest(REPORT_MS);
    }
    await client.end();
    return made;
  };
}

const HELD = `
  SELECT pid || ' ' || mode AS held FROM pg_locks
   WHERE locktype = 'relation' AND granted AND relation = (SELECT oid FROM pg_class WHERE relname = 'records' AND relnamespace = 'public'::regnamespace)
     AND mode IN ('ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')`;
