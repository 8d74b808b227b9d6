import type { Session } from '../target/session.ts';
import { integer, sql } from '../target/sql.ts';
import { TargetError } from '../target/sqlstate.ts';
import { type Ending, endingAsked } from './endings.ts';
import type { Performance } from './perform-batches.ts';

/** How often the watchdog looks at a statement that runs. */
const LOOK_MS = 500;
/** Waiting for old transactions is part of some statements; waiting longer than this is reported with who is in the way. */
const MAX_BLOCKED_MS = 60_000;

export interface Watched extends Pick<Performance, 'session' | 'clock' | 'lease' | 'stopping'> {
  /** sees and cancels the statement from a session of its own */
  readonly monitor: Session;
}

/** Cancels the statement when somebody asks for an end, the lease is at risk, or it has waited too long for others. */
export class Watchdog {
  readonly #run: Watched;
  #ending: Ending | null = null;
  #blockedSince: number | null = null;

  constructor(run: Watched) {
    this.#run = run;
  }

  async during<T>(work: () => Promise<T>): Promise<T> {
    const finished = new AbortController();
    const watching = this.#watch(finished.signal);
    try {
      return await work();
    } finally {
      finished.abort();
      await watching;
    }
  }

  verdict(): Ending {
    return (
      this.#ending ?? {
        state: 'PAUSED',
        code: 'LOCKED',
        reason: 'Somebody cancelled the statement in the database. Resume the run to try again.',
      }
    );
  }

  async #watch(finished: AbortSignal): Promise<void> {
    while (!finished.aborted && this.#ending === null) {
      await this.#run.clock.sleep(LOOK_MS, finished);
      if (finished.aborted) return;
      await this.#look();
    }
  }

  async #look(): Promise<void> {
    try {
      this.#ending = endingAskedSafely(this.#run) ?? (await this.#blockedTooLong());
      if (this.#ending) await this.#cancel();
    } catch (error) {
      // Without eyes on it the statement must not go on: the turn begins anew, with new sessions.
      this.#run.session.destroy();
      if (!(error instanceof TargetError)) throw error;
    }
  }

  async #blockedTooLong(): Promise<Ending | null> {
    const { monitor, session, clock } = this.#run;
    const blockers = await monitor.transaction(() =>
      monitor.query<{ pid: number }>(sql`
        SELECT DISTINCT pid FROM pg_catalog.unnest(pg_catalog.pg_blocking_pids(${integer(session.backend.pid)})) AS pid ORDER BY pid`),
    );
    if (blockers.length === 0) {
      this.#blockedSince = null;
      return null;
    }
    this.#blockedSince ??= clock.monotonicMs();
    if (clock.monotonicMs() - this.#blockedSince < MAX_BLOCKED_MS) return null;
    const pids = blockers.map(({ pid }) => pid).join(', ');
    return {
      state: 'PAUSED',
      code: 'LOCKED',
      reason: `Waited ${MAX_BLOCKED_MS / 1000} s for the transaction(s) of pid ${pids}. Resume when they have ended.`,
    };
  }

  async #cancel(): Promise<void> {
    const { monitor, session } = this.#run;
    await monitor.transaction(() =>
      monitor.query(sql`SELECT pg_catalog.pg_cancel_backend(${integer(session.backend.pid)})`),
    );
  }
}

/** A lease that is lost ends the statement as well: whoever takes over starts it anew. */
function endingAskedSafely(run: Watched): Ending | null {
  try {
    return endingAsked(run);
  } catch {
    return {
      state: 'INTERRUPTED',
      code: 'WORKER_LOST',
      reason: 'The lease of this run could not be renewed in time.',
    };
  }
}
