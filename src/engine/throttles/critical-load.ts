import { ACTIVITY_HIDDEN, countActive } from '../count-active.ts';
import type { HealthCheck } from '../define-throttle.ts';

/** Pauses the run when so many sessions are at work that somebody should look first. */
export const criticalLoad: HealthCheck = {
  name: 'critical-load',
  async objection({ monitor, workerPids, throttle: { criticalActiveSessions } }) {
    if (criticalActiveSessions === null) return null;
    const active = await countActive(monitor, workerPids);
    if (active === null) return ACTIVITY_HIDDEN;
    if (active < criticalActiveSessions) return null;
    return {
      code: 'OVERLOAD',
      pause: `${active} other sessions were active; from ${criticalActiveSessions} on the run pauses. Resume it when the load is over.`,
    };
  },
};
