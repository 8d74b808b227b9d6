/** Longer than this at a time would look like a run that hangs. */
const MAX_REST_MS = 10_000;

/** How long to rest after a batch, in milliseconds: at a duty cycle of 0.25 three times as long as it took. */
export const restAfter = (batchMs: number, { dutyCycle }: { readonly dutyCycle: number }): number =>
  Math.min(MAX_REST_MS, batchMs * (1 / dutyCycle - 1));

/** How long the same small statement took, in milliseconds: while we rest, and with a batch of ours under way. */
export interface Latencies {
  readonly alone: readonly number[];
  readonly beside: readonly number[];
}

/** Of a hundred statements of others, half a one more may be slow than without us. */
const BUDGET = 0.005;
/** As many statements as this are done within a time that is usual. */
const USUAL = 0.95;
/** Fewer say nothing about the slowest twentieth. */
const LEAST = 20;
/** A run that never works never ends. */
const LEAST_SHARE = 0.005;

/**
 * Which part of the statements beside a batch is slow for it: takes more than `maxSlowdown` times what is usual while we rest. One that
 * is slow and one that is not are added to what was seen (Laplace's rule of succession): a run begins gently, and works more with
 * each statement that does not notice it.
 */
export function slowedBeside({ alone, beside }: Latencies, maxSlowdown: number): number {
  if (alone.length < LEAST) return 1;
  const limit = maxSlowdown * quantile(alone);
  const slow = (of: readonly number[]) => of.filter((ms) => ms > limit).length;
  return Math.max(0, (slow(beside) + 1) / (beside.length + 2) - slow(alone) / alone.length);
}

/** The share of the time, up to the wanted one, at which others hardly notice. They come at any moment: as many meet a batch as that share. */
export const affordableShare = (wanted: number, slowed: number): number =>
  Math.min(wanted, Math.max(LEAST_SHARE, BUDGET / slowed));

function quantile(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length * USUAL)] ?? 0;
}
