import { badInput } from '../errors.ts';
import type { ArchiveDestination } from './plan.ts';
import { DEFAULT_THROTTLE, type Throttle, type ThrottleInput } from './run.ts';
import { checkedWindow } from './time-window.ts';

/**
 * Who lets a run work (almost) all the time has no foreground to spare: batches seven times as long cost less in fences and
 * commits, and stay below a tenth of a second (docs/benchmarks.md).
 */
const RESTLESS = { dutyCycle: 0.9, batchMs: 35 };

const DAY_MS = 86_400_000;
const LARGEST = Number.MAX_SAFE_INTEGER;

type NumberOf<T> = { [Key in keyof T]-?: T[Key] extends number | null ? Key : never }[keyof T];

/** The lowest and the highest value that makes sense. */
const RANGES: Readonly<Record<NumberOf<Throttle>, readonly [number, number]>> = {
  dutyCycle: [0.01, 1],
  batchRows: [1, 100_000],
  batchMs: [1, 5_000],
  maxReplicaLagMs: [0, DAY_MS],
  maxReplicaLagBytes: [0, LARGEST],
  maxBlockedSessions: [0, 10_000],
  maxUnarchivedSegments: [0, 1_000_000],
  maxRetainedWalBytes: [0, LARGEST],
  maxSnapshotAgeMs: [1_000, 30 * DAY_MS],
  maxActiveSessions: [0, 100_000],
  criticalActiveSessions: [1, 100_000],
  maxSlowdown: [1, 100],
  minArchiveFreeBytes: [0, LARGEST],
};

/** Fills in what is not given and checks the ranges. @throws BAD_USER_INPUT */
export function throttleFrom(input: ThrottleInput | null | undefined): Throttle {
  return checked(input, defaultsFor(input?.dutyCycle));
}

/** Of objects each takes its time however small it is, and a row group of Parquet is what readers read at once. */
export const wantsLargeBatches = (destination: ArchiveDestination | null): boolean =>
  destination?.kind === 'S3' || (destination?.kind === 'FILES' && destination.format === 'PARQUET');

/** For archives of larger batches. @throws BAD_USER_INPUT */
export function throttleForObjects(input: ThrottleInput | null | undefined): Throttle {
  return checked(input, objectDefaults(input?.dutyCycle));
}

/**
 * What is not given stays; what is null becomes what it is when a plan does not give it, so that a bound that has no default is
 * taken away again. @throws BAD_USER_INPUT
 */
export function changedThrottle(input: ThrottleInput, known: Throttle, forObjects: boolean): Throttle {
  const dutyCycle = input.dutyCycle === undefined ? known.dutyCycle : input.dutyCycle;
  const defaults = forObjects ? objectDefaults(dutyCycle) : defaultsFor(dutyCycle);
  const reset = Object.entries(input).filter(([, value]) => value === null);
  return checked(input, {
    ...known,
    ...Object.fromEntries(reset.map(([name]) => [name, defaults[name as keyof Throttle]])),
  });
}

function checked(input: ThrottleInput | null | undefined, known: Throttle): Throttle {
  const given = Object.fromEntries(Object.entries(input ?? {}).filter(([, value]) => value != null));
  const throttle: Throttle = { ...known, ...given };
  for (const [name, [low, high]] of Object.entries(RANGES) as [NumberOf<Throttle>, [number, number]][]) {
    const value = throttle[name];
    if (value !== null && !(value >= low && value <= high))
      throw badInput(`throttle.${name} must be from ${low} to ${high}.`);
  }
  return { ...throttle, window: throttle.window && checkedWindow(throttle.window, 'throttle.window') };
}

/** Each batch is an object of its own, and each object takes a while however small it is: they must not be too many. */
const OBJECT_MS = 50;

const objectDefaults = (dutyCycle: number | null | undefined): Throttle => ({
  ...defaultsFor(dutyCycle),
  batchMs: OBJECT_MS,
});

/** No rest is wanted: batches may be longer, and overlap. */
export const isRestless = ({ dutyCycle }: Pick<Throttle, 'dutyCycle'>): boolean =>
  dutyCycle >= RESTLESS.dutyCycle;

/** Whether it matters what others notice: not where no rest is wanted, nor where they may be slowed down as much as can be said. */
export const isConsiderate = (throttle: Pick<Throttle, 'dutyCycle' | 'maxSlowdown'>): boolean =>
  !isRestless(throttle) && throttle.maxSlowdown < RANGES.maxSlowdown[1];

const defaultsFor = (dutyCycle: number | null | undefined): Throttle =>
  dutyCycle != null && isRestless({ dutyCycle })
    ? { ...DEFAULT_THROTTLE, batchMs: RESTLESS.batchMs }
    : DEFAULT_THROTTLE;
