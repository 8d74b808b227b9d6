import type { Throttle } from '../domain/run.ts';
import type { Session } from '../target/session.ts';

export interface HealthContext {
  /** a session of its own, read-only */
  readonly monitor: Session;
  /** of the sessions that do the batches */
  readonly workerPids: readonly number[];
  readonly throttle: Throttle;
}

/** One reason for which a run may have to rest. A check that can't be read counts as an objection. */
export interface HealthCheck {
  readonly name: string;
  /** Says in a sentence why the run should rest, or null. */
  objection(context: HealthContext): Promise<string | null>;
}
