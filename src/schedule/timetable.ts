import { createHash } from 'node:crypto';
import { Cron } from 'croner';
import type { PolicyWindow, Tick, Timetable } from '../domain/policy.ts';
import { checkedWindow, isTimeZone, isWithin } from '../domain/time-window.ts';
import { badInput } from '../errors.ts';

/** A day has so many minutes at most, with room for the hour that comes twice in autumn: a window that none of them meets is never met. */
const TICKS_OF_A_DAY = 1_560;
const MAX_JITTER_SECONDS = 3_600;
const MAX_SCHEDULE = 200;

/** @param now ticks are looked for after it @throws BAD_USER_INPUT */
export function checkTimetable(timetable: Timetable, now: Date): void {
  const { schedule, timeZone, window, jitterSeconds } = timetable;
  if (!isTimeZone(timeZone)) throw badInput('timeZone must be one such as Europe/Berlin.');
  if (window !== null) checkedWindow({ ...window, timeZone }, 'window');
  if (!Number.isInteger(jitterSeconds) || jitterSeconds < 0 || jitterSeconds > MAX_JITTER_SECONDS)
    throw badInput(`jitterSeconds must be from 0 to ${MAX_JITTER_SECONDS}.`);
  if (schedule.length > MAX_SCHEDULE || !isCron(schedule, timeZone))
    throw badInput(
      'schedule must be cron with five fields: minute, hour, day of month, month, day of week, such as "30 2 * * 1-5".',
    );
  if (nextAt(timetable, now) === null)
    throw badInput(window === null ? 'schedule has no tick.' : 'schedule has no tick within window.');
}

/** Names such as @daily and fields for seconds and years are no cron of five fields; neither are L and W for last days and workdays. */
const CRON = /^[\d*,/a-z-]+(?: [\d*,/a-z-]+){4}$/i;
const OTHER_DIALECTS = /(?:^|[\s,\d])[lw]+(?=[\s,-]|$)/i;

function isCron(schedule: string, timeZone: string): boolean {
  if (!CRON.test(schedule) || OTHER_DIALECTS.test(schedule)) return false;
  try {
    return cronOf(schedule, timeZone).getPattern() !== undefined;
  } catch {
    return false; // an error is how it says no
  }
}

/**
 * As cron does since Vixie: a fixed time that spring leaves out comes at the first moment after, one that autumn repeats comes once, at its
 * first; with a step or a star, ticks come by the clock that everybody sees, in the repeated hour too.
 */
const cronOf = (schedule: string, timeZone: string) =>
  new Cron(schedule, { timezone: timeZone, mode: '5-part', fixedTimeRule: 'no-wildcard', paused: true });

/** The first tick after that moment; null when there is none. The same for whoever asks. */
export function nextTick(name: string, timetable: Timetable, after: Date): Tick | null {
  const at = nextAt(timetable, after);
  return at && { at, runsAt: new Date(at.getTime() + jitterMs(name, at, timetable.jitterSeconds)) };
}

function nextAt({ schedule, timeZone, window }: Timetable, after: Date): Date | null {
  const cron = cronOf(schedule, timeZone);
  let at = cron.nextRun(after);
  for (let looked = 1; at !== null && looked < TICKS_OF_A_DAY; looked += 1) {
    if (window === null || isWithin({ ...window, timeZone }, at)) return at;
    at = cron.nextRun(at);
  }
  return null;
}

/** Drawn from the name and the tick, so that every process draws the same. */
function jitterMs(name: string, at: Date, jitterSeconds: number): number {
  const drawn = createHash('sha256').update(`${name}\n${at.toISOString()}`).digest().readUInt32BE(0);
  return Math.floor((drawn / 2 ** 32) * jitterSeconds * 1_000);
}

/** null: it is open now */
export function nextOpening(
  { timeZone }: Pick<Timetable, 'timeZone'>,
  window: PolicyWindow | null,
  now: Date,
): Date | null {
  if (window === null || isWithin({ ...window, timeZone }, now)) return null;
  const [hour, minute] = window.from.split(':');
  return cronOf(`${Number(minute)} ${Number(hour)} * * *`, timeZone).nextRun(now);
}
