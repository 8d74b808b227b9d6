import type { Throttle } from '../domain/run.ts';

/** Longer than this at a time would look like a run that hangs. */
const MAX_REST_MS = 10_000;

/** How long to rest after a batch, in milliseconds: at a duty cycle of 0.25 three times as long as it took. */
export const restAfter = (batchMs: number, { dutyCycle }: Throttle): number =>
  Math.min(MAX_REST_MS, batchMs * (1 / dutyCycle - 1));
