import { StoreBusy } from '../archive/store-busy.ts';
import type { Clock } from '../clock.ts';
import { Stop } from '../domain/stop.ts';
import { sql } from '../target/sql.ts';
import type { Session } from '../target/session.ts';
import { type FailureClass, TargetError } from '../target/sqlstate.ts';

const TRIES = 5;

/** What a failure of the target that a retry does not mend means for the run. */
const STOPS: Partial<Record<FailureClass, Pick<Stop, 'stateCode' | 'outcome'>>> = {
  RETRY: { stateCode: 'LOCKED', outcome: 'PAUSED' },
  LOCKED: { stateCode: 'LOCKED', outcome: 'PAUSED' },
  CANCELLED: { stateCode: 'LOCKED', outcome: 'PAUSED' },
  READ_ONLY: { stateCode: 'READ_ONLY', outcome: 'PAUSED' },
  RESOURCE: { stateCode: 'RESOURCE', outcome: 'PAUSED' },
  REFERENCED: { stateCode: 'DEPENDENTS', outcome: 'PAUSED' },
  RIGHTS: { stateCode: 'RIGHTS', outcome: 'PAUSED' },
  DRIFT: { stateCode: 'SCHEMA_DRIFT', outcome: 'PAUSED' },
  CONFLICT: { stateCode: 'CONFLICT', outcome: 'FAILED' },
  CORRUPTION: { stateCode: 'CORRUPTION', outcome: 'FAILED' },
  OTHER: { stateCode: 'UNEXPECTED', outcome: 'FAILED' },
};

/** Turns a failure of the target into the reason why the run stops; connection losses and all else pass unchanged. */
export function stopFor(error: unknown): unknown {
  if (!(error instanceof TargetError)) return error;
  const stop = STOPS[error.failure];
  return stop ? new Stop(stop.stateCode, error.message, stop.outcome, { cause: error }) : error;
}

const PASSING: readonly FailureClass[] = ['RETRY', 'LOCKED', 'CANCELLED'];

/** Whether another try may do. */
const passes = (error: unknown): boolean =>
  error instanceof StoreBusy || (error instanceof TargetError && PASSING.includes(error.failure));

/** How often a batch is tried again: deadlocks and time-outs pass, a lock held for long does not. */
export class RetryBudget {
  readonly #session: Session;
  readonly #clock: Clock;
  #failures = 0;
  /** The next try had better treat fewer rows: this one was too slow for the database, or again for the archive store. */
  wantsLess = false;

  constructor({ session, clock }: { session: Session; clock: Clock }) {
    this.#session = session;
    this.#clock = clock;
  }

  succeeded(): void {
    this.#failures = 0;
  }

  /** Waits a little before the next try. @throws Stop with the reason once the tries are used up, or where none would help */
  async waitFor(error: unknown): Promise<void> {
    if (!passes(error)) throw stopFor(error);
    this.#failures += 1;
    this.wantsLess = error instanceof TargetError ? error.failure === 'CANCELLED' : this.#failures > 1;
    if (this.#failures < TRIES) {
      await this.#clock.sleep(2 ** this.#failures * 50 * (0.5 + Math.random()));
      return;
    }
    throw stopFor(await namingHolder(error, this.#session, ` in ${TRIES} tries`));
  }
}

/** A lock that could not be had, with who holds it; all else unchanged. */
export async function namingHolder(error: unknown, session: Session, tried = ''): Promise<unknown> {
  if (!(error instanceof TargetError) || error.failure !== 'LOCKED') return error;
  const holder = await oldestHolder(session);
  const reason =
    holder === null
      ? `A lock could not be had${tried}. Resume when the lock is free.`
      : `A lock could not be had${tried}. The oldest transaction with locks: pid ${holder.pid} (${holder.name || 'no name'}), since ${holder.since}. Resume when it has ended.`;
  return new Stop('LOCKED', reason, 'PAUSED', { cause: error });
}

interface LockHolder {
  readonly pid: number;
  readonly name: string;
  readonly since: string;
}

async function oldestHolder(session: Session): Promise<LockHolder | null> {
  const [holder] = await session.query<LockHolder>(sql`
      SELECT a.pid, a.application_name AS name, coalesce(a.xact_start, a.backend_start)::pg_catalog.text AS since
        FROM pg_catalog.pg_locks AS l JOIN pg_catalog.pg_stat_activity AS a ON a.pid = l.pid
       WHERE l.granted AND l.locktype IN ('relation', 'tuple', 'transactionid') AND a.pid <> pg_catalog.pg_backend_pid()
         AND a.datname = pg_catalog.current_database() AND a.backend_type = 'client backend'
         AND NOT pg_catalog.starts_with(a.application_name, 'declutter/')
       ORDER BY a.xact_start NULLS LAST LIMIT 1`);
  return holder ?? null;
}
