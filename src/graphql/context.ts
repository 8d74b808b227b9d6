import type { Principal } from '../domain/principal.ts';
import type { FindingKind, PlanState, RunState, Severity, TableOrder } from '../domain/words.ts';
import type { Bloat } from '../domain/finding.ts';
import type { Growth } from '../domain/growth.ts';
import type { ThrottleInput } from '../domain/run.ts';
import type { Permission } from '../security/permissions.ts';
import type { Page, PageRequest } from '../store/page.ts';
import type * as databaseInput from '../domain/database-inputs.ts';
import type * as input from '../domain/plan-inputs.ts';
import type * as view from './views.ts';

/** Everything that the API can do. Resolvers call these and nothing else. */
export interface UseCases {
  readonly databases: DatabaseUseCases;
  readonly analysis: AnalysisUseCases;
  readonly plans: PlanUseCases;
  readonly runs: RunUseCases;
  readonly archives: ArchiveUseCases;
  readonly policies: PolicyUseCases;
  readonly protection: ProtectionUseCases;
  readonly audit: AuditUseCases;
}

export interface DatabaseUseCases {
  list(): Promise<view.DatabaseView[]>;
  find(name: string): Promise<view.DatabaseView | null>;
  register(input: databaseInput.RegisterDatabaseInput, by: Principal): Promise<view.DatabaseView>;
  update(name: string, input: databaseInput.UpdateDatabaseInput, by: Principal): Promise<view.DatabaseView>;
  remove(name: string, by: Principal): Promise<boolean>;
  check(name: string, by: Principal): Promise<view.DatabaseCheck>;
}

export interface TableQuery extends PageRequest {
  readonly schema?: string | null;
  readonly orderBy?: TableOrder | null;
}

export interface FindingQuery extends PageRequest {
  readonly databaseId?: string;
  readonly databaseName?: string;
  readonly kinds?: readonly FindingKind[] | null;
  readonly minSeverity?: Severity | null;
  readonly includeSuppressed?: boolean;
}

export interface AnalysisUseCases {
  analyze(name: string, exact: boolean, by: Principal): Promise<view.SnapshotView>;
  tables(databaseId: string, query: TableQuery): Promise<Page<view.TableView>>;
  table(databaseName: string, schema: string, name: string): Promise<view.TableView | null>;
  tableBloat(databaseName: string, schema: string, name: string, exact: boolean): Promise<Bloat>;
  tableDuplicates(
    databaseName: string,
    wanted: {
      readonly schema: string;
      readonly table: string;
      readonly key: readonly input.DuplicateKeyInput[];
      readonly exact: boolean;
    },
  ): Promise<view.DuplicateCountView>;
  indexBloat(databaseName: string, schema: string, index: string, exact: boolean): Promise<Bloat>;
  findings(query: FindingQuery): Promise<Page<view.FindingView>>;
  snapshots(databaseId: string, page: PageRequest): Promise<Page<view.SnapshotView>>;
  history(
    databaseId: string,
    schema: string,
    table: string,
    first?: number | null,
  ): Promise<readonly view.TableSampleView[]>;
  /** Open findings about a table that nobody has silenced. */
  tableFindings(databaseId: string, schema: string, table: string): Promise<readonly view.FindingView[]>;
  growth(databaseId: string): Promise<Growth | null>;
  tableGrowth(databaseId: string, schema: string, table: string): Promise<Growth | null>;
  suppress(id: string, reason: string, until: Date | null, by: Principal): Promise<view.FindingView>;
  unsuppress(id: string, by: Principal): Promise<view.FindingView>;
}

export interface PlanUseCases {
  purge(input: input.PlanPurgeInput, by: Principal): Promise<view.PlanView>;
  archive(input: input.PlanArchiveInput, by: Principal): Promise<view.PlanView>;
  deduplication(input: input.PlanDeduplicationInput, by: Principal): Promise<view.PlanView>;
  orphanRemoval(input: input.PlanOrphanRemovalInput, by: Principal): Promise<view.PlanView>;
  reindex(input: input.PlanReindexInput, by: Principal): Promise<view.PlanView>;
  indexCreation(input: input.PlanIndexCreationInput, by: Principal): Promise<view.PlanView>;
  indexRemoval(input: input.PlanIndexRemovalInput, by: Principal): Promise<view.PlanView>;
  reorganization(input: input.PlanReorganizationInput, by: Principal): Promise<view.PlanView>;
  restore(input: input.PlanRestoreInput, by: Principal): Promise<view.PlanView>;
  archiveExpiry(archiveId: string, reason: string, by: Principal): Promise<view.PlanView>;
  find(id: string): Promise<view.PlanView | null>;
  list(query: PlanQuery): Promise<Page<view.PlanView>>;
  approve(id: string, hash: string, comment: string | null, by: Principal): Promise<view.PlanView>;
  reject(id: string, comment: string | null, by: Principal): Promise<view.PlanView>;
}

export interface PlanQuery extends PageRequest {
  readonly database?: string | null;
  readonly states?: readonly PlanState[] | null;
}

export interface RunUseCases {
  start(planId: string, planHash: string, idempotencyKey: string, by: Principal): Promise<view.RunView>;
  pause(id: string, reason: string | null, by: Principal): Promise<view.RunView>;
  resume(id: string, by: Principal): Promise<view.RunView>;
  cancel(id: string, reason: string | null, by: Principal): Promise<view.RunView>;
  retry(id: string, by: Principal): Promise<view.RunView>;
  updateThrottle(id: string, throttle: ThrottleInput, by: Principal): Promise<view.RunView>;
  find(id: string): Promise<view.RunView | null>;
  findByPlan(planId: string): Promise<view.RunView | null>;
  list(query: RunQuery): Promise<Page<view.RunView>>;
  wait(id: string, timeoutMs: number): Promise<view.RunView>;
  events(id: string, page: PageRequest): Promise<Page<view.RunEventView>>;
  queryTimes(run: view.RunView): Promise<readonly view.QueryTimeView[]>;
  /** Replays the events after the sequence number, then follows, and ends when the run has ended or the signal aborts. */
  watch(id: string, after: number | null, signal?: AbortSignal): AsyncIterable<view.RunEventView>;
}

export interface RunQuery extends PageRequest {
  readonly database?: string | null;
  readonly states?: readonly RunState[] | null;
}

export interface ArchiveUseCases {
  find(id: string): Promise<view.ArchiveView | null>;
  findByRun(runId: string): Promise<view.ArchiveView | null>;
  list(query: PageRequest & { readonly database?: string | null }): Promise<Page<view.ArchiveView>>;
  tables(id: string): Promise<readonly view.ArchiveTableView[]>;
  segments(id: string, page: PageRequest): Promise<Page<view.ArchiveSegmentView>>;
  verify(id: string, by: Principal): Promise<view.ArchiveVerification>;
}

export interface PolicyUseCases {
  /** With dryRun it says what would be saved. */
  save(input: input.PolicyInput, dryRun: boolean, by: Principal): Promise<view.PolicyView>;
  remove(name: string, by: Principal): Promise<boolean>;
  /** The same key gives the same plan and run. */
  run(name: string, idempotencyKey: string, waitMs: number, by: Principal): Promise<view.PolicyRunView>;
  find(name: string): Promise<view.PolicyView | null>;
  list(): Promise<readonly view.PolicyView[]>;
  lastResult(name: string): Promise<view.PolicyTurnView | null>;
  /** All that a list asks for at once. */
  findRun(id: string): Promise<view.RunView | null>;
}

export interface ProtectionUseCases {
  holds(database?: string | null): Promise<readonly view.HoldView[]>;
  placeHold(input: input.HoldInput, by: Principal): Promise<view.HoldView>;
  releaseHold(id: string, reason: string, by: Principal): Promise<view.HoldView>;
  maintenanceStop(): Promise<view.MaintenanceStopView>;
  setMaintenanceStop(on: boolean, reason: string, by: Principal): Promise<view.MaintenanceStopView>;
}

export interface AuditUseCases {
  list(page: PageRequest): Promise<Page<view.AuditEventView>>;
  record(event: view.AuditInput): Promise<void>;
}

/** What is left of a principal's points for this minute. */
export interface RateLimitState {
  readonly limit: number;
  readonly remaining: number;
  readonly resetsInSeconds: number;
}

export interface RequestInfo {
  readonly id: string;
  readonly ip: string;
}

/** One for each operation; never shared between operations, not even on one WebSocket. */
export interface ApiContext {
  readonly principal: Principal;
  readonly permissions: ReadonlySet<Permission>;
  readonly useCases: UseCases;
  readonly loaders: Loaders;
  readonly request: RequestInfo;
  /** Set once the operation has been charged for. */
  rateLimit: RateLimitState | null;
}

/** Look-ups of one operation, each made once however many rows of a list ask for it. */
export interface Loaders {
  database(id: string): Promise<view.DatabaseView | undefined>;
  plan(id: string): Promise<view.PlanView | null>;
}

export function makeLoaders(useCases: UseCases): Loaders {
  let databases: Promise<ReadonlyMap<string, view.DatabaseView>> | undefined;
  return {
    database: async (id) => (await (databases ??= databasesById(useCases))).get(id),
    plan: once((id) => useCases.plans.find(id)),
  };
}

function once<T>(load: (key: string) => Promise<T>): (key: string) => Promise<T> {
  const loaded = new Map<string, Promise<T>>();
  return (key) => {
    const found = loaded.get(key) ?? load(key);
    loaded.set(key, found);
    return found;
  };
}

async function databasesById(useCases: UseCases) {
  return new Map((await useCases.databases.list()).map((database) => [database.id, database]));
}
