import type { Throttle } from '../domain/run.ts';
import type { Session } from '../target/session.ts';

export interface HealthContext {
  /** a session of its own, read-only */
  readonly monitor: Session;
  /** of the sessions that do the batches */
  readonly workerPids: readonly number[];
  readonly throttle: Throttle;
  /** the tables that the run works on */
  readonly tables: readonly number[];
  readonly now: Date;
  /** that the archive's folder has left; null where there is none, or nobody can tell. @throws Stop when it cannot be read */
  readonly archiveFreeBytes: () => Promise<number | null>;
}

/** Why a run should rest, in a sentence. */
export type Objection = string | PauseObjection;

/** Worse than a reason to rest: the run pauses until somebody resumes it. */
export interface PauseObjection {
  readonly pause: string;
  readonly code: 'OVERLOAD' | 'RESOURCE';
}

/** One reason for which a run may have to rest. A check that can't be read counts as an objection. */
export interface HealthCheck {
  readonly name: string;
  objection(context: HealthContext): Promise<Objection | null>;
}
