/** A counter's value at one time, as it is kept in a finding's evidence. */
export interface Reading {
  readonly at: string;
  readonly value: string;
}

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
/** Older growth says little about today's. */
const KEPT_DAYS = 60;
/** One a day is enough: less than a day after the last one, none is added. */
const APART_MS = 20 * HOUR_MS;
/** A date further away than this is not a date. */
const FARTHEST_DAYS = 100 * 365;

export interface End {
  /** when nothing is left, at the pace so far; null when it does not move, or not in a hundred years */
  readonly on: Date | null;
  readonly perDay: number;
  /** how long the pace was watched */
  readonly days: number;
}

/** What can be made of the evidence of an earlier finding; a counter that was set back starts anew. */
export function usableReadings(evidence: unknown, value: bigint, up: boolean, now: Date): Reading[] {
  const isBehind = (then: bigint) => (up ? then <= value : then >= value);
  return readingsIn(evidence).filter(
    (reading) =>
      now.getTime() - Date.parse(reading.at) < KEPT_DAYS * DAY_MS && isBehind(BigInt(reading.value)),
  );
}

function readingsIn(evidence: unknown): Reading[] {
  if (typeof evidence !== 'object' || evidence === null || !('readings' in evidence)) return [];
  return Array.isArray(evidence.readings) ? (evidence.readings as Reading[]) : [];
}

/** With this one, unless the last is too near. */
export function withReading(readings: readonly Reading[], value: bigint, now: Date): Reading[] {
  const last = readings.at(-1);
  if (last && now.getTime() - Date.parse(last.at) < APART_MS) return [...readings];
  return [...readings, { at: now.toISOString(), value: String(value) }];
}

/** From the oldest reading to now; null while there is none that is an hour old. */
export function forecastEnd(
  readings: readonly Reading[],
  value: bigint,
  left: bigint,
  now: Date,
): End | null {
  const first = readings[0];
  const ms = first ? now.getTime() - Date.parse(first.at) : 0;
  if (!first || ms < HOUR_MS) return null;
  const days = ms / DAY_MS;
  const moved = Math.abs(Number(value - BigInt(first.value)));
  const perDay = moved / days;
  const daysLeft = perDay === 0 ? Infinity : Number(left) / perDay;
  return {
    on: daysLeft > FARTHEST_DAYS ? null : new Date(now.getTime() + Math.max(daysLeft, 0) * DAY_MS),
    perDay,
    days,
  };
}
