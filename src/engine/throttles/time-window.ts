import type { TimeWindow } from '../../domain/run.ts';
import type { HealthCheck } from '../define-throttle.ts';

/** Rests outside of the hours that are given to it. */
export const timeWindow: HealthCheck = {
  name: 'time-window',
  objection({ now, throttle: { window } }) {
    if (window === null || isWithin(window, now)) return Promise.resolve(null);
    const { from, to, timeZone } = window;
    return Promise.resolve(`It works from ${from} to ${to} (${timeZone}) only.`);
  },
};

function isWithin({ from, to, timeZone }: TimeWindow, now: Date): boolean {
  const time = now.toLocaleTimeString('en-GB', {
    timeZone,
    hour: '2-digit',
    minute: '2-digit',
    hourCycle: 'h23',
  });
  return from < to ? from <= time && time < to : time >= from || time < to;
}
