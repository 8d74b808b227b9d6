import type { RowFilterInput } from './filter.ts';
import type { LimitsInput } from './limits.ts';
import type { ThrottleInput } from './run.ts';
import type {
  ArchiveFormat,
  ArchiveKind,
  DependentRows,
  DuplicateReferences,
  KeepOrder,
  MissedTicks,
  ReorganizationMethod,
  RestoreConflict,
  RestoreInto,
} from './words.ts';

/** What the API hands to the use-cases: the shapes are checked, the meaning is not yet. */

type Maybe<T> = T | null | undefined;

interface PlanTableInput {
  database: string;
  schema: string;
  table: string;
  reason?: Maybe<string>;
}

export interface PlanPurgeInput extends PlanTableInput {
  where: RowFilterInput;
  /** Rows that no run of this plan touches. */
  keepNewest?: Maybe<KeepNewestInput>;
  dependents: DependentRows;
  /** Also deletes a few rows in a transaction that is rolled back. */
  trial?: Maybe<boolean>;
  limits?: Maybe<LimitsInput>;
  throttle?: Maybe<ThrottleInput>;
}

export interface KeepNewestInput {
  by: string;
  count: number;
  per?: Maybe<string[]>;
}

export interface ArchiveDestinationInput {
  kind: ArchiveKind;
  store?: Maybe<string>;
  format?: Maybe<ArchiveFormat>;
  schema?: Maybe<string>;
  table?: Maybe<string>;
}

export interface PlanArchiveInput extends PlanPurgeInput {
  destination: ArchiveDestinationInput;
}

export interface PlanOrphanRemovalInput extends PlanTableInput {
  columns: string[];
  referencedSchema: string;
  referencedTable: string;
  referencedColumns: string[];
  dependents: DependentRows;
  destination?: Maybe<ArchiveDestinationInput>;
  limits?: Maybe<LimitsInput>;
  throttle?: Maybe<ThrottleInput>;
}

export interface PlanDeduplicationInput extends PlanTableInput {
  key: DuplicateKeyInput[];
  keep: KeepRuleInput;
  references: DuplicateReferences;
  where?: Maybe<RowFilterInput>;
  destination?: Maybe<ArchiveDestinationInput>;
  limits?: Maybe<LimitsInput>;
  throttle?: Maybe<ThrottleInput>;
}

export interface DuplicateKeyInput {
  column: string;
  ignoreCase: boolean;
  trim: boolean;
}

export interface KeepRuleInput {
  by: string;
  order: KeepOrder;
}

export interface PlanReorganizationInput extends PlanTableInput {
  method: ReorganizationMethod;
  index?: Maybe<string>;
  acknowledgeTriggers?: Maybe<boolean>;
  diskFreeBytes?: Maybe<number>;
  throttle?: Maybe<ThrottleInput>;
}

export interface PlanReindexInput extends PlanTableInput {
  indexes?: Maybe<string[]>;
  /** Also has amcheck compare each new index with its table. */
  amcheck?: Maybe<boolean>;
}

export interface PlanIndexCreationInput extends PlanTableInput {
  columns: string[];
  name?: Maybe<string>;
  unique: boolean;
}

export interface PlanIndexRemovalInput {
  database: string;
  schema: string;
  index: string;
  reason?: Maybe<string>;
}

export interface PlanRestoreInput {
  archiveId?: Maybe<string>;
  runId?: Maybe<string>;
  where?: Maybe<RowFilterInput>;
  into: RestoreInto;
  onConflict: RestoreConflict;
  throttle?: Maybe<ThrottleInput>;
  reason?: Maybe<string>;
}

export interface HoldInput {
  database: string;
  schema: string;
  table: string;
  where?: Maybe<RowFilterInput>;
  reason: string;
}

export interface PolicyInput {
  name: string;
  enabled: boolean;
  schedule?: Maybe<string>;
  timeZone: string;
  window?: Maybe<{ from: string; to: string }>;
  missed: MissedTicks;
  jitterSeconds: number;
  purge?: Maybe<PlanPurgeInput>;
  archive?: Maybe<PlanArchiveInput>;
  deduplication?: Maybe<PlanDeduplicationInput>;
  orphanRemoval?: Maybe<PlanOrphanRemovalInput>;
  reorganization?: Maybe<PlanReorganizationInput>;
  reindex?: Maybe<PlanReindexInput>;
  autoStartMaxRows?: Maybe<number>;
}
