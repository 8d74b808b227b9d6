import type { DueTick, TickChoice } from '../store/policy-ticks.ts';
import { nextOpening, nextTick } from './timetable.ts';

/** Later than this, nobody was there: a worker looks every few seconds. */
const LATE_MS = 300_000;

/** What is done about a tick that is due. Ticks that are not late come one by one, each as its own. */
export function chooseTick({ name, timetable, missed, tick, now }: DueTick): TickChoice {
  if (now.getTime() - tick.runsAt.getTime() <= LATE_MS)
    return { tickAt: tick.at, missed: null, next: nextTick(name, timetable, tick.at) };
  if (missed === 'SKIP') {
    const next = nextTick(name, timetable, latest(tick.at, new Date(now.getTime() - LATE_MS)));
    return { tickAt: tick.at, missed: missedWords(tick.at, now), next };
  }
  const opening = nextOpening(timetable, timetable.window, now);
  if (opening !== null) return { waitsUntil: opening };
  return { tickAt: tick.at, missed: null, next: nextTick(name, timetable, latest(tick.at, now)) };
}

const latest = (a: Date, b: Date) => (a > b ? a : b);

const missedWords = (tick: Date, now: Date) =>
  `No worker was there from ${tick.toISOString()} until ${now.toISOString()}; what was due then is left out (missed: SKIP).`;
