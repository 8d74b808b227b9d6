import type { StatementProgress } from '../operations/define-operation.ts';
import type { Session } from '../target/session.ts';
import { integer, sql } from '../target/sql.ts';
import { TargetError } from '../target/sqlstate.ts';
import { holdersInWords, readWaits, type Waits } from '../target/waits.ts';
import { type Ending, endingAsked } from './endings.ts';
import type { Performance } from './perform-batches.ts';

/** How often the watchdog looks at a statement that runs. */
export const LOOK_MS = 500;
/** Nobody queues behind a statement that waits for a lock longer than this; it is tried again. */
export const LOCK_TIMEOUT_MS = 2_000;
/** Waiting for old transactions is part of some statements; waiting longer than this is reported with who is in the way. */
export const MAX_BLOCKED_MS = 60_000;
/** Whoever waits for the statement and makes others queue is let past after so long. */
const GIVE_WAY_MS = 5_000;

export interface Watched extends Pick<Performance, 'session' | 'clock' | 'lease' | 'stopping'> {
  /** sees and cancels the statement from a session of its own */
  readonly monitor: Session;
}

/** The statement that is watched, for those who want more than its end. */
export interface Watching {
  /** Others are meant to wait for it. */
  readonly holdsTable: boolean;
  /** application_name of sessions that work for it; null: it has none */
  readonly helpers: string | null;
  readProgress(monitor: Session): Promise<StatementProgress | null>;
  waits(reason: string): Promise<void>;
  moves(progress: StatementProgress): Promise<void>;
}

const NOTHING_TO_TELL: Watching = {
  holdsTable: false,
  helpers: null,
  readProgress: () => Promise.resolve(null),
  waits: () => Promise.resolve(),
  moves: () => Promise.resolve(),
};

/** AGAIN: it waited for a lock, or others for it; another try may do. */
export type Verdict = Ending | { readonly state: 'AGAIN'; readonly reason: string };

/** Cancels the statement when somebody asks for an end, the lease is at risk, or it waits too long for others or they for it. */
export class Watchdog {
  readonly #run: Watched;
  readonly #watching: Watching;
  readonly #broken = new AbortController();
  #verdict: Verdict | null = null;
  #waits: { readonly kind: Waits['kind']; readonly since: number } | null = null;
  #behindSince: number | null = null;
  #holders = '';

  constructor(run: Watched, watching = NOTHING_TO_TELL) {
    this.#run = run;
    this.#watching = watching;
  }

  /** The signal is for work that is more than a statement of the session. */
  async during<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const finished = new AbortController();
    const watching = this.#watch(finished.signal);
    try {
      return await work(this.#broken.signal);
    } finally {
      finished.abort();
      await watching;
    }
  }

  /** Why the work failed with this error, where that is no fault of its own; null: it is. */
  verdictOn(error: unknown): Verdict | null {
    if (this.#verdict !== null) return this.#verdict;
    if (!(error instanceof TargetError)) return null;
    if (error.failure === 'LOCKED') return { state: 'AGAIN', reason: lockedBy(this.#holders) };
    return error.failure === 'CANCELLED' ? CANCELLED_BY_SOMEBODY : null;
  }

  async #watch(finished: AbortSignal): Promise<void> {
    while (!finished.aborted && this.#verdict === null) {
      await this.#run.clock.sleep(LOOK_MS, finished);
      if (finished.aborted) return;
      await this.#look();
    }
  }

  async #look(): Promise<void> {
    const { monitor, session } = this.#run;
    try {
      this.#verdict = endingAskedSafely(this.#run) ?? (await this.#judge());
      if (this.#verdict) return await this.#cancel();
      const progress = await this.#watching.readProgress(monitor);
      if (progress !== null) await this.#watching.moves(progress);
    } catch (error) {
      // Without eyes on it the statement must not go on: the turn begins anew, with new sessions.
      session.destroy();
      this.#broken.abort();
      if (!(error instanceof TargetError)) throw error;
    }
  }

  async #judge(): Promise<Verdict | null> {
    const { monitor, session } = this.#run;
    const waits = await readWaits(monitor, session.backend.pid, this.#watching.helpers);
    return (await this.#waitedTooLong(waits)) ?? this.#heldUpTooLong(waits);
  }

  async #waitedTooLong({ kind, holders }: Waits): Promise<Verdict | null> {
    const now = this.#run.clock.monotonicMs();
    if (kind === null || this.#waits?.kind !== kind)
      this.#waits = kind === null ? null : { kind, since: now };
    if (this.#waits === null) return null;
    this.#holders = holdersInWords(holders);
    const waited = now - this.#waits.since;
    if (kind === 'LOCK')
      return waited < LOCK_TIMEOUT_MS ? null : { state: 'AGAIN', reason: lockedBy(this.#holders) };
    if (waited >= MAX_BLOCKED_MS) return waitedFor(this.#holders);
    await this.#watching.waits(`It waits for transactions that began before it: ${this.#holders}.`);
    return null;
  }

  #heldUpTooLong({ behind }: Waits): Verdict | null {
    const now = this.#run.clock.monotonicMs();
    this.#behindSince = behind === 0 || this.#watching.holdsTable ? null : (this.#behindSince ?? now);
    if (this.#behindSince === null || now - this.#behindSince < GIVE_WAY_MS) return null;
    return {
      state: 'AGAIN',
      reason: `Another session waited ${GIVE_WAY_MS / 1000} s for a lock on the table, with others behind it: the run gave way.`,
    };
  }

  async #cancel(): Promise<void> {
    const { monitor, session } = this.#run;
    this.#broken.abort();
    await monitor.transaction(() =>
      monitor.query(sql`SELECT pg_catalog.pg_cancel_backend(${integer(session.backend.pid)})`),
    );
  }
}

const CANCELLED_BY_SOMEBODY: Ending = {
  state: 'PAUSED',
  code: 'LOCKED',
  reason: 'Somebody cancelled the statement in the database. Resume the run to try again.',
};

const lockedBy = (holders: string) =>
  holders === '' ? 'Another session holds a lock.' : `${holders} held a lock that it needs.`;

/** The statement has to wait for them, however long they take; what it has begun by then is lost when it is cancelled. */
export const waitedFor = (holders: string): Ending => ({
  state: 'PAUSED',
  code: 'LOCKED',
  reason: `Waited ${MAX_BLOCKED_MS / 1000} s for transactions that began before: ${holders}. Resume when they have ended.`,
});

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
