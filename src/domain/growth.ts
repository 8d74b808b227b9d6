/** A figure of a table or database at one time. */
export interface Sample {
  readonly takenAt: Date;
  readonly totalBytes: number;
  /** null: not known then */
  readonly wastedBytes: number | null;
}

export interface Growth {
  /** negative when it shrinks */
  readonly bytesPerDay: number;
  readonly wastedBytesPerDay: number | null;
  /** how many days with a snapshot it rests on, and the first of them */
  readonly days: number;
  readonly since: Date;
  /** where a forecast begins */
  readonly lastBytes: number;
}

/** With fewer days than these a slope says nothing. */
const LEAST_DAYS = 3;

const DAY_MS = 86_400_000;

/** @param samples one of each day, the oldest first. @returns null with too little history */
export function growthOf(samples: readonly Sample[]): Growth | null {
  const first = samples[0];
  const last = samples.at(-1);
  const bytesPerDay = slope(samples.map((sample) => [sample.takenAt, sample.totalBytes]));
  if (first === undefined || last === undefined || bytesPerDay === null) return null;
  return {
    bytesPerDay,
    wastedBytesPerDay: slope(
      samples.flatMap(({ takenAt, wastedBytes }) => (wastedBytes === null ? [] : [[takenAt, wastedBytes]])),
    ),
    days: samples.length,
    since: first.takenAt,
    lastBytes: last.totalBytes,
  };
}

export const forecastBytes = ({ lastBytes, bytesPerDay }: Growth, days: number): number =>
  Math.max(0, Math.round(lastBytes + bytesPerDay * days));

/**
 * The median of the slopes between all pairs of points, per day (Theil 1950, Sen 1968): a single jump, such as that of a
 * clean-up, does not bend it.
 */
function slope(points: readonly (readonly [Date, number])[]): number | null {
  if (points.length < LEAST_DAYS) return null;
  const slopes = points.flatMap(([at, value], i) =>
    points
      .slice(i + 1)
      .map(([later, next]) => ((next - value) * DAY_MS) / Math.max(later.getTime() - at.getTime(), 1)),
  );
  slopes.sort((a, b) => a - b);
  const middle = slopes.length >> 1;
  const upper = slopes[middle] ?? 0;
  const median = slopes.length % 2 === 1 ? upper : ((slopes[middle - 1] ?? upper) + upper) / 2;
  return Math.round(median);
}
