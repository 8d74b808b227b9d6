import { setTimeout as rest } from 'node:timers/promises';
import type { Relation } from '../target/catalog.ts';
import type { Session } from '../target/session.ts';
import { integer, sql } from '../target/sql.ts';
import { TargetError } from '../target/sqlstate.ts';
import { type Holder, holdersInWords } from '../target/waits.ts';
import type { StatementProgress } from './define-operation.ts';
import type { RepackWords } from './repack-words.ts';

/** Phases by what pg_repack's sessions have sent last. */
const PHASES: readonly (readonly [RegExp, string])[] = [
  [/^CREATE (UNIQUE )?INDEX/i, 'building indexes'],
  [/repack_swap|repack_drop/, 'taking its place'],
  [/repack_apply|FROM pg_locks/, 'applying what has changed meanwhile'],
  [/repack\.table_\d/, 'copying'],
];

/** Bytes of the copy against those of the table: it ends before the total, which holds the waste. null while the copy is locked */
export async function readRepackProgress(
  monitor: Session,
  { oid, totalBytes }: Relation,
  name: string,
): Promise<StatementProgress | null> {
  try {
    const [row] = await monitor.transaction(() =>
      monitor.query<{ query: string; done: number }>(sql`
        SELECT a.query, coalesce((SELECT pg_catalog.pg_total_relation_size(c.oid)
                                    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
                                   WHERE n.nspname = 'repack' AND c.relname = ${`table_${oid}`}), 0)::pg_catalog.float8 AS done
          FROM pg_catalog.pg_stat_activity a
         WHERE a.application_name = ${name} AND a.query NOT LIKE 'LOCK TABLE%'
         ORDER BY a.query_start DESC NULLS LAST, a.pid LIMIT 1`),
    );
    if (row === undefined) return null;
    const phase = PHASES.find(([pattern]) => pattern.test(row.query))?.[1] ?? 'getting ready';
    return { phase, done: row.done, total: totalBytes };
  } catch (error) {
    if (error instanceof TargetError && error.failure === 'LOCKED') return null;
    throw error;
  }
}

/** Transactions that were open when the copy was made have to end first. */
const PATIENCE_MS = 60_000;
const LOOK_MS = 1_000;

/** Gives pg_repack up, which itself would wait for ever, when it has waited too long for the same session. */
export function waitsTooLong(session: Session, words: RepackWords) {
  const [giveUp, left] = [new AbortController(), new AbortController()];
  let reason: string | null = null;
  let failure: unknown = null;
  const watching = watch(session, words, left.signal)
    .then((holder) => {
      if (holder !== null)
        reason = `pg_repack has waited ${PATIENCE_MS / 1_000} s for the transaction of ${holdersInWords([holder])}. Resume when it has ended.`;
    })
    .catch((error: unknown) => (failure = error))
    .finally(() => giveUp.abort()); // also without eyes on it: it must not wait for ever
  return {
    signal: giveUp.signal,
    /** Before the session is used for anything else. */
    leave: async () => {
      left.abort();
      await watching;
      if (failure !== null) throw failure as Error;
    },
    reason: () => reason,
  };
}

/** Whom it has waited for too long; null: it was left before. */
async function watch(session: Session, words: RepackWords, left: AbortSignal): Promise<Holder | null> {
  let since = performance.now();
  for (;;) {
    await rest(LOOK_MS, undefined, { signal: left }).catch(() => undefined); // being left early is how it ends
    if (left.aborted) return null;
    const holder = words.waitsFor === null ? null : await openTransaction(session, words.waitsFor);
    if (holder === null) since = performance.now();
    else if (performance.now() - since >= PATIENCE_MS) return holder;
  }
}

async function openTransaction(session: Session, pid: number): Promise<Holder | null> {
  const [holder] = await session.transaction(() =>
    session.query<Holder>(sql`
      SELECT pid, nullif(application_name, '') AS name, xact_start::pg_catalog.timestamptz(0)::pg_catalog.text AS since
        FROM pg_catalog.pg_stat_activity WHERE pid = ${integer(pid)} AND xact_start IS NOT NULL`),
  );
  return holder ?? null;
}
