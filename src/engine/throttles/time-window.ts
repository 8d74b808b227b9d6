import { isWithin } from '../../domain/time-window.ts';
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
