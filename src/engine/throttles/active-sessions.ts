import { ACTIVITY_HIDDEN, countActive } from '../count-active.ts';
import type { HealthCheck } from '../define-throttle.ts';

/** Rests while many sessions are at work: the application comes first. */
export const activeSessions: HealthCheck = {
  name: 'active-sessions',
  async objection({ monitor, workerPids, throttle: { maxActiveSessions } }) {
    if (maxActiveSessions === null) return null;
    const active = await countActive(monitor, workerPids);
    if (active === null) return ACTIVITY_HIDDEN;
    return active <= maxActiveSessions
      ? null
      : `${active} other sessions are active; at most ${maxActiveSessions} may be.`;
  },
};
