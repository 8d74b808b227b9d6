import type { HealthCheck } from './define-throttle.ts';
import { activeSessions } from './throttles/active-sessions.ts';
import { archiveSpace } from './throttles/archive-space.ts';
import { blockedSessions } from './throttles/blocked-sessions.ts';
import { criticalLoad } from './throttles/critical-load.ts';
import { oldSnapshots } from './throttles/old-snapshots.ts';
import { replicaLag } from './throttles/replica-lag.ts';
import { retainedWal } from './throttles/retained-wal.ts';
import { tableMaintenance } from './throttles/table-maintenance.ts';
import { timeWindow } from './throttles/time-window.ts';
import { walArchiving } from './throttles/wal-archiving.ts';

/** Every reason to rest, the gravest first: the first objection is the one that is shown. */
export const HEALTH_CHECKS: readonly HealthCheck[] = [
  criticalLoad,
  archiveSpace,
  timeWindow,
  blockedSessions,
  replicaLag,
  walArchiving,
  retainedWal,
  tableMaintenance,
  oldSnapshots,
  activeSessions,
];
