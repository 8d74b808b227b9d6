import { badInput } from '../errors.ts';
import { DEFAULT_THROTTLE, type Throttle, type ThrottleInput } from './run.ts';

/** Fills in what is not given and checks the ranges. @throws BAD_USER_INPUT */
export function throttleFrom(
  input: ThrottleInput | null | undefined,
  base: Throttle = DEFAULT_THROTTLE,
): Throttle {
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
