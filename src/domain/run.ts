import type { RunState } from './words.ts';

/**
 * Which state may follow which, and when that happens. Intent (PAUSING, CANCELLING) and fact (PAUSED, CANCELLED) are
 * different states, since the worker is another process and finishes its batch first.
 */
export const RUN_TRANSITIONS: Readonly<Record<RunState, Partial<Record<RunState, string>>>> = {
  QUEUED: {
    RUNNING: 'A worker has taken the lease.',
    PAUSED: 'Somebody paused the run before a worker took it, or the maintenance stop is on.',
    CANCELLING: 'Somebody cancels a run that may already have done batches; a worker makes it safe first.',
  },
  RUNNING: {
    PAUSING: 'Somebody asked for a pause; the worker stops after its batch.',
    PAUSED: 'The engine itself stopped: locked, drift, hold, unreachable, no room, maintenance stop.',
    CANCELLING: 'Somebody asked to cancel; the worker stops after its batch and seals what is archived.',
    INTERRUPTED: 'The lease has run out, or the worker is shutting down.',
    SUCCEEDED: 'All is done and verified.',
    FAILED: 'Something that a pause cannot mend; retryRun continues from the cursor.',
  },
  PAUSING: {
    PAUSED: 'The worker has stopped after its batch.',
    CANCELLING: 'Somebody changed their mind.',
    SUCCEEDED: 'That was the last batch.',
    INTERRUPTED: 'The lease has run out, or the worker is shutting down.',
    FAILED: 'The batch before the pause failed.',
  },
  PAUSED: {
    QUEUED: 'Somebody resumed the run.',
    CANCELLING: 'Somebody cancels; a worker seals what is archived.',
  },
  CANCELLING: {
    CANCELLED: 'The worker has stopped; what is archived stays archived and can be restored.',
    INTERRUPTED: 'The lease has run out, or the worker is shutting down.',
    FAILED: 'What is archived could not be sealed.',
  },
  INTERRUPTED: {
    RUNNING: 'Another worker has taken over.',
    PAUSED: 'A pause had been asked for before the interruption.',
    CANCELLING: 'Somebody cancels, or had asked to before the interruption.',
    CANCELLED: 'A cancel had been asked for, and another worker has made it safe.',
  },
  FAILED: { QUEUED: 'Somebody retries, from the cursor.' },
  CANCELLED: {},
  SUCCEEDED: {},
};

export const mayFollow = (from: RunState, to: RunState): boolean => RUN_TRANSITIONS[from][to] !== undefined;

/** Ended for good or until a retry: holds no lock on its tables. */
export const ENDED_STATES = ['CANCELLED', 'SUCCEEDED', 'FAILED'] as const satisfies readonly RunState[];

export const hasEnded = (state: RunState): boolean => (ENDED_STATES as readonly RunState[]).includes(state);

/** Ended or waiting for a person: what waitForRun answers at. */
export const needsSomebody = (state: RunState): boolean => hasEnded(state) || state === 'PAUSED';

/** Stable words for why a run waits, paused or failed; each has a line in docs/errors.md. */
export type StateCode =
  | 'PAUSED_BY_REQUEST'
  | 'CANCELLED_BY_REQUEST'
  | 'WORKER_LOST'
  | 'WORKER_STOPPED'
  | 'LOCKED'
  | 'SCHEMA_DRIFT'
  | 'IDENTITY_CHANGED'
  | 'HOLD'
  | 'UNREACHABLE'
  | 'READ_ONLY'
  | 'RESOURCE'
  | 'ARCHIVE_STORE'
  | 'ARCHIVE_FORMAT'
  | 'ARCHIVE_KEY'
  | 'MAINTENANCE_STOP'
  | 'OVERLOAD'
  | 'DEPENDENTS'
  | 'LIMIT'
  | 'RIGHTS'
  | 'CONFLICT'
  | 'ROW_TOO_LARGE'
  | 'ROWS_KEPT'
  | 'ARCHIVE_DAMAGED'
  | 'ARCHIVE_IN_USE'
  | 'ARCHIVE_EXPIRED'
  | 'CLIENT_MISSING'
  | 'CORRUPTION'
  | 'UNEXPECTED';

export interface RunResult {
  readonly rowsDeleted: number;
  readonly rowsArchived: number;
  readonly rowsRestored: number;
  readonly rowsRepointed: number;
  /** given back to the disk */
  readonly bytesReclaimed: number | null;
  /** free within the table's files, for new rows */
  readonly bytesReusable: number | null;
  readonly nextStep: string | null;
  /** that name the table, of runs that put one in order; missing: pg_stat_statements does not tell */
  readonly statements?: readonly StatementFigures[];
}

/** A statement as pg_stat_statements had counted it before a run, and at its end. Types, since what is stored as JSON has no interface. */
export type StatementFigures = {
  readonly id: string;
  readonly query: string;
  readonly before: StatementCount;
  readonly end: StatementCount;
};

type StatementCount = {
  readonly calls: number;
  /** of all calls together */
  readonly ms: number;
};

export const NO_RESULT: RunResult = {
  rowsDeleted: 0,
  rowsArchived: 0,
  rowsRestored: 0,
  rowsRepointed: 0,
  bytesReclaimed: null,
  bytesReusable: null,
  nextStep: null,
};

/** As stored with the run; every field has a value once the run exists. */
export interface Throttle {
  /** share of the time spent working, above 0 up to 1 */
  readonly dutyCycle: number;
  /** upper bound of rows in a batch; the engine tunes below it */
  readonly batchRows: number;
  /** what one batch aims to take, in milliseconds */
  readonly batchMs: number;
  readonly maxReplicaLagMs: number;
  /** of WAL that a standby has not replayed */
  readonly maxReplicaLagBytes: number;
  readonly maxBlockedSessions: number;
  /** finished WAL segments that wait for archive_command */
  readonly maxUnarchivedSegments: number;
  /** of WAL that the slot which is furthest behind keeps on the disk */
  readonly maxRetainedWalBytes: number;
  /** of the oldest snapshot that another session holds; null: of any age */
  readonly maxSnapshotAgeMs: number | null;
  /** of others; null: any number */
  readonly maxActiveSessions: number | null;
  /** above this many the run pauses until somebody resumes it; null: never */
  readonly criticalActiveSessions: number | null;
  /** how many times as long statements of others may take because of us; not looked at where no rest is wanted */
  readonly maxSlowdown: number;
  /** that the folder of the archive must have left */
  readonly minArchiveFreeBytes: number;
  /** rest while VACUUM, ANALYZE or the like is at work on the table */
  readonly restForMaintenance: boolean;
  /** the time of day to work in; null: always */
  readonly window: TimeWindow | null;
}

/** From one time of day to another ("22:00" to "06:00" goes past midnight), in a time zone of the IANA list. */
export interface TimeWindow {
  readonly from: string;
  readonly to: string;
  readonly timeZone: string;
}

export interface ThrottleInput {
  dutyCycle?: number | null;
  batchRows?: number | null;
  batchMs?: number | null;
  maxReplicaLagMs?: number | null;
  maxReplicaLagBytes?: number | null;
  maxBlockedSessions?: number | null;
  maxUnarchivedSegments?: number | null;
  maxRetainedWalBytes?: number | null;
  maxSnapshotAgeMs?: number | null;
  maxActiveSessions?: number | null;
  criticalActiveSessions?: number | null;
  maxSlowdown?: number | null;
  minArchiveFreeBytes?: number | null;
  restForMaintenance?: boolean | null;
  window?: TimeWindow | null;
}

/** A fifth of the time, in batches of single milliseconds: a foreground at half load does not notice (docs/benchmarks.md). */
export const DEFAULT_THROTTLE: Throttle = {
  dutyCycle: 0.2,
  batchRows: 10_000,
  batchMs: 5,
  maxReplicaLagMs: 10_000,
  maxReplicaLagBytes: 1024 ** 3,
  maxBlockedSessions: 0,
  maxUnarchivedSegments: 42,
  maxRetainedWalBytes: 16 * 1024 ** 3,
  maxSnapshotAgeMs: null,
  maxActiveSessions: null,
  criticalActiveSessions: null,
  maxSlowdown: 1.25,
  minArchiveFreeBytes: 256 * 1024 ** 2,
  restForMaintenance: true,
  window: null,
};
