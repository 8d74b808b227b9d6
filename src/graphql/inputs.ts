import type { RowFilterInput } from '../domain/filter.ts';
import type { ThrottleInput } from '../domain/run.ts';
import type {
  ArchiveFormat,
  ArchiveKind,
  DependentRows,
  DuplicateReferences,
  Environment,
  KeepOrder,
  MissedTicks,
  ReorganizationMethod,
  RestoreConflict,
  RestoreInto,
  TlsMode,
} from '../domain/words.ts';

/** What the API hands to the use-cases: the shapes are checked, the meaning is not yet. */

type Maybe<T> = T | null | undefined;

export interface RegisterDatabaseInput {
  name: string;
  host: string;
  port: number;
  database: string;
  user: string;
  passwordRef?: Maybe<string>;
  password?: Maybe<string>;
  tls: TlsMode;
  caRef?: Maybe<string>;
  environment: Environment;
  replicas?: Maybe<{ host: string; port: number }[]>;
  allowSuperuser: boolean;
}

export interface UpdateDatabaseInput {
  host?: Maybe<string>;
  port?: Maybe<number>;
  user?: Maybe<string>;
  passwordRef?: Maybe<string>;
  password?: Maybe<string>;
  tls?: Maybe<TlsMode>;
  caRef?: Maybe<string>;
  environment?: Maybe<Environment>;
  replicas?: Maybe<{ host: string; port: number }[]>;
}

export interface LimitsInput {
  maxRows?: Maybe<number>;
  maxShare?: Maybe<number>;
  maxDuration?: Maybe<string>;
}

interface PlanTableInput {
  database: string;
  schema: string;
  table: string;
  reason?: Maybe<string>;
}

export interface DuplicateKeyInput {
  column: string;
  ignoreCase: boolean;
  trim: boolean;
}

export interface KeepNewestInput {
  by: string;
  count: number;
  per?: string[] | null;
}

export interface PlanPurgeInput extends PlanTableInput {
  where: RowFilterInput;
  keepNewest?: KeepNewestInput | null;
  trial: boolean;
  dependents: DependentRows;
  limits?: Maybe<LimitsInput>;
  throttle?: Maybe<ThrottleInput>;
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

export interface KeepRuleInput {
  by: string;
  order: KeepOrder;
}

export interface PlanReorganizationInput extends PlanTableInput {
  method: ReorganizationMethod;
  index?: Maybe<string>;
  throttle?: Maybe<ThrottleInput>;
}

export interface PlanReindexInput extends PlanTableInput {
  indexes?: Maybe<string[]>;
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
