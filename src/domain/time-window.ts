import { badInput } from '../errors.ts';
import type { TimeWindow } from './run.ts';

/** @param name as the caller knows it, for the message @throws BAD_USER_INPUT */
export function checkedWindow({ from, to, timeZone }: TimeWindow, name: string): TimeWindow {
  for (const time of [from, to]) {
    if (!/^([01]\d|2[0-3]):[0-5]\d$/.test(time))
      throw badInput(`${name} goes from and to a time of day such as 22:00.`);
  }
  if (from === to) throw badInput(`${name} is empty. Leave it out to work at any time.`);
  if (!isTimeZone(timeZone)) throw badInput(`${name}.timeZone must be one such as Europe/Berlin.`);
  return { from, to, timeZone };
}

export function isTimeZone(timeZone: string): boolean {
  try {
    return Intl.DateTimeFormat('en', { timeZone }).resolvedOptions().timeZone !== '';
  } catch {
    return false; // a RangeError is how Intl says no
  }
}

export function isWithin({ from, to, timeZone }: TimeWindow, now: Date): boolean {
  const time = now.toLocaleTimeString('en-GB', {
    timeZone,
    hour: '2-digit',
    minute: '2-digit',
    hourCycle: 'h23',
  });
  return from < to ? from <= time && time < to : time >= from || time < to;
}
