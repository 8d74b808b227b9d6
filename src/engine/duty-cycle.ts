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

/** Of all statements, as many as this are no slower than what is looked at: the few slowest are what people notice. */
const QUANTILE = 0.98;
/** Each step down works so much less. */
const STEP = 0.85;
/** A run that never works never ends. */
const LEAST_SHARE = 0.01;

/**
 * How many times as long as without us statements of others take when a batch is under way for that share of the time. They come
 * at any moment, so as many of them as that share meet one.
 */
export function slowdownAt(share: number, { alone, beside }: Latencies): number {
  const rest = alone.map((ms) => ({ ms, weight: (1 - share) / alone.length }));
  const work = beside.map((ms) => ({ ms, weight: share / beside.length }));
  const whole = alone.map((ms) => ({ ms, weight: 1 / alone.length }));
  return quantile([...rest, ...work]) / quantile(whole);
}

/** The largest share of the time, up to the wanted one, at which others are slowed down no more than they may be. */
export function affordableShare(wanted: number, latencies: Latencies, maxSlowdown: number): number {
  let share = wanted;
  while (share > LEAST_SHARE && slowdownAt(share, latencies) > maxSlowdown) share *= STEP;
  return Math.max(Math.min(wanted, LEAST_SHARE), share);
}

function quantile(values: { readonly ms: number; readonly weight: number }[]): number {
  let left = 1 - QUANTILE;
  const slowest = values.sort((a, b) => b.ms - a.ms);
  for (const { ms, weight } of slowest) {
    left -= weight;
    if (left < 0) return ms;
  }
  return slowest.at(-1)?.ms ?? 0;
}
