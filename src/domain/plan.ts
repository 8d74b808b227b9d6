import type { Orphan, RowFilter } from './filter.ts';
import type { NewIndex, RemovedIndex } from './index-spec.ts';
import type { PartitionSpec } from './partition.ts';
import type { Throttle } from './run.ts';
import type {
  ArchiveFormat,
  DependentRows,
  DuplicateReferences,
  EffectKind,
  KeepOrder,
  PlanKind,
  RestoreConflict,
  RestoreInto,
} from './words.ts';

/** Which server and database a plan was made for: a restored copy or a fork is another one. */
export interface DatabaseIdentity {
  /** of pg_control_system(); the same for a primary and its standbys */
  readonly systemIdentifier: string;
  readonly databaseOid: number;
  readonly databaseName: string;
}

/** A table as it was when the plan was made. */
export interface RelationIdentity {
  readonly oid: number;
  readonly schema: string;
  readonly name: string;
  /** SHA-256 over columns, keys, foreign keys both ways, triggers, rules, row security, inheritance (target/fingerprint) */
  readonly fingerprint: string;
}

export interface Limits {
  /** in a plan's spec the smaller of what was asked for and maxShare of the table as it was; each batch asserts it */
  readonly maxRows: number | null;
  /** of the table's rows, 0..1 */
  readonly maxShare: number | null;
  readonly maxDurationMs: number | null;
}

/** How the rows are found: reading the heap block by block, or by a list of their places made through an index. */
export type Pick = 'HEAP_RANGES' | 'INDEX';

export type ArchiveDestination =
  | { readonly kind: 'FILES' | 'S3'; readonly store: string; readonly format: ArchiveFormat }
  | { readonly kind: 'TABLE'; readonly schema: string; readonly table: string };

/** One column of a key, and which differences between its values do not count. */
export interface DuplicateKey {
  readonly column: string;
  readonly ignoreCase: boolean;
  readonly trim: boolean;
}

/** Of rows with the same key the first by this column stays; NULLs come last, ties are decided by primary key, then place. */
export interface KeepRule {
  readonly by: string;
  readonly order: KeepOrder;
}

export type OperationSpec =
  | {
      readonly kind: 'PURGE';
      readonly filter: RowFilter;
      readonly dependents: DependentRows;
      readonly pick: Pick;
      /** of a partitioned subject: those with rows that go, in the order in which they are treated */
      readonly partitions?: readonly PartitionSpec[];
    }
  | {
      readonly kind: 'ARCHIVE';
      readonly filter: RowFilter;
      readonly dependents: DependentRows;
      readonly pick: Pick;
      /** as above */
      readonly partitions?: readonly PartitionSpec[];
      readonly destination: ArchiveDestination;
    }
  | {
      readonly kind: 'DEDUPLICATION';
      readonly key: readonly DuplicateKey[];
      readonly keep: KeepRule;
      readonly references: DuplicateReferences;
      /** null: all rows of the table */
      readonly filter: RowFilter | null;
      readonly destination: ArchiveDestination;
    }
  | {
      readonly kind: 'ORPHAN_REMOVAL';
      /** the orphans, and what holds leave of them */
      readonly filter: RowFilter;
      readonly orphan: Orphan;
      readonly dependents: DependentRows;
      readonly pick: Pick;
      /** null: the rows are not kept */
      readonly destination: ArchiveDestination | null;
      /** the foreign key that says the same, when there is one */
      readonly constraint: { readonly name: string; readonly enforced: boolean } | null;
      /** the columns that are pointed to are unique: a foreign key can be declared */
      readonly isKey: boolean;
    }
  | {
      readonly kind: 'RESTORE';
      readonly archiveId: string;
      /** of the run that made the archive */
      readonly sourceRunId: string;
      readonly where: RowFilter | null;
      readonly into: RestoreInto;
      readonly onConflict: RestoreConflict;
      /** where the rows go: the source, or the side table that the run creates */
      readonly schema: string;
      readonly table: string;
    }
  | {
      readonly kind: 'ARCHIVE_EXPIRY';
      readonly archiveId: string;
      /** that the rows came from: a hold there keeps the archive as well */
      readonly schema: string;
      readonly table: string;
      /** SHA-256 of the list of segments */
      readonly segments: string;
    }
  | {
      readonly kind: 'REINDEX';
      readonly indexes: readonly IndexIdentity[];
      /** left behind by rebuilds that were broken off: they go first. Missing in plans of earlier versions */
      readonly leftovers?: readonly IndexIdentity[];
      /** the schema of amcheck, which looks at each new index; missing: it does not */
      readonly amcheck?: string;
    }
  | { readonly kind: 'INDEX_CREATION'; readonly indexes: readonly NewIndex[] }
  | { readonly kind: 'INDEX_REMOVAL'; readonly index: RemovedIndex }
  | { readonly kind: 'REORGANIZATION'; readonly method: 'ANALYZE' | 'VACUUM_FULL' }
  | { readonly kind: 'REORGANIZATION'; readonly method: 'VACUUM'; readonly settings?: VacuumOptions }
  | { readonly kind: 'REORGANIZATION'; readonly method: 'CLUSTER'; readonly index: IndexIdentity }
  | {
      readonly kind: 'REORGANIZATION';
      readonly method: 'COMPACT';
      /** that an UPDATE sets to itself, to move a row */
      readonly column: string;
      /** that get an entry for each move, and are rebuilt after */
      readonly indexes: readonly IndexIdentity[];
    }
  | {
      readonly kind: 'REORGANIZATION';
      readonly method: 'REPACK';
      readonly by: RepackBy;
      /** that the copy takes; missing in plans of earlier versions */
      readonly diskNeededBytes?: number;
    };

/** How a VACUUM works; missing in plans of earlier versions: by the server's defaults. */
export interface VacuumOptions {
  /** freezes all rows, against wraparound */
  readonly freeze: boolean;
  /** ON: also where few rows are dead; OFF: leaves indexes for later, since freezing is urgent */
  readonly indexCleanup: 'AUTO' | 'ON' | 'OFF';
  /** workers for the indexes beside the one for the table; 0: none */
  readonly parallel: number;
  /** milliseconds that it rests each time it has done some work; 0: it does not rest */
  readonly costDelayMs: number;
}

/** PG_REPACK: the extension's client of that version; SERVER: REPACK (CONCURRENTLY) of PostgreSQL 19. */
export type RepackBy = { readonly tool: 'PG_REPACK'; readonly version: string } | { readonly tool: 'SERVER' };

/** Where rows that the operation takes away are kept; null: nowhere, or it takes none away. */
export const destinationOf = (operation: OperationSpec): ArchiveDestination | null =>
  'destination' in operation ? operation.destination : null;

export interface IndexIdentity {
  readonly oid: number;
  readonly schema: string;
  readonly name: string;
}

/** A hold on rows of a table that goes along: none of them was reached when the plan was made. */
export interface HeldBeside {
  readonly hold: string;
  /** of the table */
  readonly oid: number;
  readonly filter: RowFilter;
  readonly reason: string;
}

/** Everything that a plan's hash covers; a run does exactly this. */
export interface PlanSpec {
  readonly version: 1;
  readonly kind: PlanKind;
  readonly identity: DatabaseIdentity;
  /** every table that the run touches; the first is the subject */
  readonly relations: readonly RelationIdentity[];
  readonly operation: OperationSpec;
  readonly limits: Limits;
  readonly throttle: Throttle;
  /** ids of the holds in force on the relations when the plan was made */
  readonly holds: readonly string[];
  /** rows that the run will treat, as counted; the run may not exceed it beyond ROW_TOLERANCE */
  readonly rows: number;
  readonly rowsAreExact: boolean;
  /** INCLUDE: rows of other tables that go along; null: they could not be counted */
  readonly included?: number | null;
  /** INCLUDE: what each batch asks of the rows that go along; missing: nothing */
  readonly heldBeside?: readonly HeldBeside[];
}

/** A plan whose count has drifted beyond this share (and ROW_TOLERANCE_FLOOR rows) is stale. */
export const ROW_TOLERANCE = 0.1;
export const ROW_TOLERANCE_FLOOR = 1_000;

export interface PlanImpact {
  readonly rows: number;
  readonly rowsAreExact: boolean;
  readonly share: number;
  readonly bytes: number;
  readonly estimatedSeconds: number | null;
  readonly walBytes: number | null;
  readonly diskNeededBytes: number | null;
  /** that the disk of the table has; null or missing: not known, or not asked */
  readonly diskFreeBytes?: number | null;
  /** what the run should give back to the disk; the run's result has the fact. Missing in plans of earlier versions */
  readonly bytesReclaimed?: number | null;
  /** what it should make free within the table's files */
  readonly bytesReusable?: number | null;
}

export interface PlanEffect {
  readonly schema: string;
  readonly table: string;
  readonly effect: EffectKind;
  readonly rows: number;
  readonly detail: string;
}

export interface PlanLock {
  readonly relation: string;
  readonly mode: string;
  readonly longestMs: number | null;
}

/** A blocker or a warning: a stable code (docs/errors.md), what is the matter, what to do. */
export interface PlanNotice {
  readonly code: string;
  readonly message: string;
  readonly hint: string | null;
}

export interface PlanStep {
  readonly position: number;
  readonly description: string;
  readonly sql: string;
}

/** What a plan tells people; not part of the hash. */
export interface PlanForecast {
  readonly impact: PlanImpact;
  readonly effects: readonly PlanEffect[];
  readonly locks: readonly PlanLock[];
  readonly blockers: readonly PlanNotice[];
  readonly warnings: readonly PlanNotice[];
  readonly steps: readonly PlanStep[];
  /** up to 100 of the rows, as JSON made by PostgreSQL (row_to_json): kept as text, never parsed into JavaScript values */
  readonly sample: readonly string[];
}
