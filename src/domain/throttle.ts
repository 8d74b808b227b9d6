import { badInput } from '../errors.ts';
import { DEFAULT_THROTTLE, type Throttle, type ThrottleInput } from './run.ts';

/**
 * Who lets a run work (almost) all the time has no foreground to spare: batches four times as long cost less in fences and
 * commits, and stay far below a tenth of a second (docs/benchmarks.md).
 */
const RESTLESS = { dutyCycle: 0.9, batchMs: 20 };

/** Fills in what is not given and checks the ranges. @throws BAD_USER_INPUT */
export function throttleFrom(input: ThrottleInput | null | undefined, known?: Throttle): Throttle {
  const base = known ?? defaultsFor(input?.dutyCycle);
  const pick = (name: keyof Throttle, low: number, high: number): number => {
    const value = input?.[name] ?? base[name];
    if (!(value >= low && value <= high)) throw badInput(`throttle.${name} must be from ${low} to ${high}.`);
    return value;
  };
  return {
    dutyCycle: pick('dutyCycle', 0.01, 1),
    batchRows: pick('batchRows', 1, 100_000),
    batchMs: pick('batchMs', 1, 5_000),
    maxReplicaLagMs: pick('maxReplicaLagMs', 0, 86_400_000),
    maxBlockedSessions: pick('maxBlockedSessions', 0, 10_000),
  };
}

/** No rest is wanted: batches may be longer, and overlap. */
export const isRestless = ({ dutyCycle }: Pick<Throttle, 'dutyCycle'>): boolean =>
  dutyCycle >= RESTLESS.dutyCycle;

const defaultsFor = (dutyCycle: number | null | undefined): Throttle =>
  dutyCycle != null && isRestless({ dutyCycle })
    ? { ...DEFAULT_THROTTLE, batchMs: RESTLESS.batchMs }
    : DEFAULT_THROTTLE;
