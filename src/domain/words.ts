/** The closed sets of words that the API, the store and the engine share. */

const words = <const W extends string>(...all: W[]): { readonly [K in W]: K } =>
  Object.freeze(Object.fromEntries(all.map((word) => [word, word]))) as { readonly [K in W]: K };

export const Role = words('VIEWER', 'OPERATOR', 'APPROVER', 'ADMIN');
export type Role = keyof typeof Role;

export const TlsMode = words('DISABLE', 'REQUIRE', 'VERIFY_FULL');
export type TlsMode = keyof typeof TlsMode;

export const Environment = words('DEVELOPMENT', 'STAGING', 'PRODUCTION');
export type Environment = keyof typeof Environment;

export const TableOrder = words('WASTED_BYTES', 'TOTAL_BYTES', 'DEAD_ROWS', 'NAME');
export type TableOrder = keyof typeof TableOrder;

export const BloatVerdict = words('HEALTHY', 'NEEDS_VACUUM', 'NEEDS_REWRITE', 'UNKNOWN');
export type BloatVerdict = keyof typeof BloatVerdict;

export const BloatMethod = words('STATISTICS', 'SCAN', 'NONE');
export type BloatMethod = keyof typeof BloatMethod;

export const DuplicateMethod = words('COUNT', 'LOOK_UP', 'SAMPLE', 'NONE');
export type DuplicateMethod = keyof typeof DuplicateMethod;

export const Severity = words('INFO', 'NOTICE', 'WARNING', 'CRITICAL');
export type Severity = keyof typeof Severity;

export const FindingKind = words(
  'TABLE_BLOAT',
  'INDEX_BLOAT',
  'VACUUM_BLOCKED',
  'VACUUM_OVERDUE',
  'WRAPAROUND_RISK',
  'STALE_STATISTICS',
  'UNUSED_INDEX',
  'DUPLICATE_INDEX',
  'REDUNDANT_INDEX',
  'INVALID_INDEX',
  'MISSING_FOREIGN_KEY_INDEX',
  'DUPLICATE_ROWS',
  'ORPHAN_ROWS',
  'OBSOLETE_ROWS',
  'UNUSED_TABLE',
  'EMPTY_TABLE',
  'NO_PRIMARY_KEY',
  'UNVALIDATED_CONSTRAINT',
  'SEQUENCE_EXHAUSTION',
  'PADDED_COLUMN_ORDER',
  'UNUSED_COLUMN',
);
export type FindingKind = keyof typeof FindingKind;

export const FilterOp = words(
  'EQ',
  'NE',
  'LT',
  'LE',
  'GT',
  'GE',
  'IN',
  'NOT_IN',
  'IS_NULL',
  'IS_NOT_NULL',
  'OLDER_THAN',
);
export type FilterOp = keyof typeof FilterOp;

export const DependentRows = words('REFUSE', 'INCLUDE');
export type DependentRows = keyof typeof DependentRows;

export const KeepOrder = words('LOWEST', 'HIGHEST');
export type KeepOrder = keyof typeof KeepOrder;

export const DuplicateReferences = words('REPOINT', 'REFUSE');
export type DuplicateReferences = keyof typeof DuplicateReferences;

export const ArchiveKind = words('TABLE', 'FILES', 'S3');
export type ArchiveKind = keyof typeof ArchiveKind;

export const ArchiveState = words('KEPT', 'EXPIRING', 'EXPIRED');
export type ArchiveState = keyof typeof ArchiveState;

export const ArchiveFormat = words('COPY_ZSTD', 'JSONL_ZSTD', 'PARQUET');
export type ArchiveFormat = keyof typeof ArchiveFormat;

export const ReorganizationMethod = words(
  'AUTO',
  'ANALYZE',
  'VACUUM',
  'COMPACT',
  'REPACK',
  'VACUUM_FULL',
  'CLUSTER',
);
export type ReorganizationMethod = keyof typeof ReorganizationMethod;

export const RestoreInto = words('SOURCE', 'SIDE_TABLE');
export type RestoreInto = keyof typeof RestoreInto;

export const RestoreConflict = words('REFUSE', 'SKIP');
export type RestoreConflict = keyof typeof RestoreConflict;

export const PlanKind = words(
  'PURGE',
  'ARCHIVE',
  'DEDUPLICATION',
  'ORPHAN_REMOVAL',
  'REORGANIZATION',
  'REINDEX',
  'INDEX_CREATION',
  'INDEX_REMOVAL',
  'RESTORE',
  'ARCHIVE_EXPIRY',
);
export type PlanKind = keyof typeof PlanKind;

export const PlanState = words(
  'READY',
  'NEEDS_APPROVAL',
  'APPROVED',
  'REJECTED',
  'BLOCKED',
  'STARTED',
  'EXPIRED',
  'STALE',
);
export type PlanState = keyof typeof PlanState;

export const EffectKind = words(
  'DELETE_CASCADE',
  'DELETE_INCLUDED',
  'SET_NULL',
  'SET_DEFAULT',
  'TRIGGER',
  'UNDECLARED_REFERENCE',
  'REPOINT',
);
export type EffectKind = keyof typeof EffectKind;

export const ApprovalDecision = words('APPROVED', 'REJECTED');
export type ApprovalDecision = keyof typeof ApprovalDecision;

export const RunState = words(
  'QUEUED',
  'RUNNING',
  'PAUSING',
  'PAUSED',
  'CANCELLING',
  'CANCELLED',
  'INTERRUPTED',
  'SUCCEEDED',
  'FAILED',
);
export type RunState = keyof typeof RunState;

/** What becomes of ticks that nobody was there for: no run, or one for all of them. */
export const MissedTicks = words('SKIP', 'ONCE');
export type MissedTicks = keyof typeof MissedTicks;

/** What came of a policy that was due, or asked for. */
export const PolicyOutcome = words(
  'PLANNING',
  'STARTED',
  'WAITING',
  'BLOCKED',
  'REJECTED',
  'OVERLAPPED',
  'MISSED',
  'FAILED',
);
export type PolicyOutcome = keyof typeof PolicyOutcome;
