import type { StateCode } from '../domain/run.ts';
import { LeaseLost } from './batch.ts';
import type { Performance } from './perform-batches.ts';

/** How a worker's turn at a run ends. */
export interface Ending {
  readonly state: 'SUCCEEDED' | 'PAUSED' | 'CANCELLED' | 'INTERRUPTED' | 'FAILED';
  readonly code: StateCode | null;
  readonly reason: string | null;
}

export const CANCELLED: Ending = {
  state: 'CANCELLED',
  code: 'CANCELLED_BY_REQUEST',
  reason: 'Cancelled as asked. What is archived can be restored.',
};

export const PAUSED: Ending = {
  state: 'PAUSED',
  code: 'PAUSED_BY_REQUEST',
  reason: 'Paused as asked. Resume it to go on from the last batch.',
};

/** Whether somebody, or something, asks the run to stop after its batch. @throws LeaseLost */
export function endingAsked({ lease, stopping }: Pick<Performance, 'lease' | 'stopping'>): Ending | null {
  if (!lease.isSafe) throw new LeaseLost();
  const { state, maintenanceStop, newHolds } = lease.latest;
  if (state === 'CANCELLING') return CANCELLED;
  if (state === 'PAUSING') return PAUSED;
  if (maintenanceStop !== null) {
    return {
      state: 'PAUSED',
      code: 'MAINTENANCE_STOP',
      reason: `The maintenance stop is on (${maintenanceStop}). Resume the run when it is off again.`,
    };
  }
  if (newHolds > 0) {
    return {
      state: 'PAUSED',
      code: 'HOLD',
      reason: 'A hold was placed on the table. Release it and resume, or cancel the run.',
    };
  }
  if (stopping.aborted) {
    return {
      state: 'INTERRUPTED',
      code: 'WORKER_STOPPED',
      reason: 'Its worker was shut down; another one goes on from the last batch.',
    };
  }
  return null;
}

/** Somebody asks for an end while the run is only being made ready. */
export class EndingWanted extends Error {
  readonly ending: Ending;

  constructor(ending: Ending) {
    super('The run is to end.');
    this.name = 'EndingWanted';
    this.ending = ending;
  }
}
