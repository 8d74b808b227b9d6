import type { Clock } from '../clock.ts';
import type { Connect } from '../databases/connect.ts';
import type { RowFilter } from '../domain/filter.ts';
import { heldTables } from '../domain/held-tables.ts';
import type { NewIndex } from '../domain/index-spec.ts';
import { governedAs, needsApproval } from '../domain/limits.ts';
import {
  destinationOf,
  type OperationSpec,
  type PlanSpec,
  ROW_TOLERANCE,
  ROW_TOLERANCE_FLOOR,
} from '../domain/plan.ts';
import { DeclutterError } from '../errors.ts';
import { allSegments, findArchiveById } from '../store/archives.ts';
import { findDatabaseById } from '../store/databases.ts';
import { holdsOn } from '../store/holds.ts';
import type { Store } from '../store/open-store.ts';
import { askForApproval, markPlan, type PlanView } from '../store/plans.ts';
import { readCapabilities } from '../target/capabilities.ts';
import { readRelation, readRelationByOid } from '../target/catalog.ts';
import { describeSchema, readFingerprint, schemaChanges } from '../target/fingerprint.ts';
import { removalDrift } from '../target/index-drift.ts';
import { ownRows } from '../target/reached-tables.ts';
import { readIdentity, sameIdentity } from '../target/identity.ts';
import { compileFilter } from '../target/row-filter.ts';
import { READ_SETTINGS, type Session } from '../target/session.ts';
import { sql } from '../target/sql.ts';
import { checkDestination } from './archive-destination.ts';
import { Budget } from './budget.ts';
import { checkArchive } from './check-archive.ts';
import { checkExpiry } from './check-expiry.ts';
import { reorganizationChange } from './check-reorganization.ts';
import { findDuplicates } from './find-duplicates.ts';
import { holdInTheWay } from './holds.ts';
import { digestOf } from './plan-archive-expiry.ts';
import { DEFAULT_BUDGET_MS, type DestinationStore, nameOf } from './plan-context.ts';

export interface CheckDeps {
  readonly store: Store;
  readonly connect: Connect;
  readonly clock: Clock;
  readonly archiveStores: ReadonlyMap<string, DestinationStore>;
  readonly budgetMs?: number;
}

type Plan = Pick<PlanView, 'id' | 'databaseId' | 'state' | 'spec' | 'forecast'>;

/**
 * Looks at the database again before a run starts: a plan is carried out exactly, or not at all.
 * @throws PRECONDITION_FAILED naming the fact that has changed; the plan is STALE then. APPROVAL_REQUIRED
 */
export function makeCheckPlanFresh(deps: CheckDeps): (plan: Plan) => Promise<void> {
  return async (plan) => {
    await requireApproval(deps, plan);
    const session = await deps.connect(plan.databaseId, {
      ...READ_SETTINGS,
      applicationName: 'declutter/check',
    });
    try {
      const change = await changeSince(deps, session, plan);
      if (change === null) return;
      await markPlan(deps.store, plan.id, ['READY', 'NEEDS_APPROVAL', 'APPROVED'], 'STALE');
      throw new DeclutterError('PRECONDITION_FAILED', `The plan is stale: ${change}. Make a new one.`, {
        change,
      });
    } finally {
      await session.close();
    }
  };
}

/** The environment may have become another since the plan was made. */
async function requireApproval({ store }: CheckDeps, plan: Plan): Promise<void> {
  if (plan.state !== 'READY') return;
  const database = await findDatabaseById(store, plan.databaseId);
  const work = governedAs(plan.spec.operation);
  if (database === null || !needsApproval(work, database.environment, plan.forecast.impact)) return;
  await askForApproval(store, plan.id);
  throw new DeclutterError(
    'APPROVAL_REQUIRED',
    `"${database.name}" is ${database.environment} now: this plan needs the approval of somebody else (approvePlan).`,
  );
}

async function changeSince(deps: CheckDeps, session: Session, plan: Plan): Promise<string | null> {
  const { spec } = plan;
  if (!sameIdentity(await readIdentity(session), spec.identity))
    return 'another database answers at this address';
  const budget = new Budget(deps.clock, deps.budgetMs ?? DEFAULT_BUDGET_MS);
  return (
    (await schemaChange(session, plan)) ??
    (await holdChange(deps, session, budget, plan)) ??
    (await destinationChange(deps, session, spec)) ??
    (await archiveChange(deps, session, spec)) ??
    (await expiryChange(deps, session, spec)) ??
    (await reorganizationChange(session, spec)) ??
    (await countChange(session, budget, spec)) ??
    (await duplicateChange(session, budget, spec))
  );
}

async function schemaChange(session: Session, { spec, forecast }: Plan): Promise<string | null> {
  for (const { oid, schema, name, fingerprint } of spec.relations) {
    const table = nameOf({ schema, name });
    const relation = await session.transaction(() => readRelationByOid(session, oid));
    if (relation === null) return `the table ${table} was dropped`;
    if (relation.schema !== schema || relation.name !== name)
      return `the table ${table} is now ${nameOf(relation)}`;
    if ((await readFingerprint(session, oid)) === fingerprint) continue;
    const changes = schemaChanges(forecast.schemaFacts[oid] ?? [], await describeSchema(session, oid));
    return changes.length === 0
      ? `the definition of ${table} has changed`
      : `in ${table}, ${changes.join(', ')}`;
  }
  return indexChange(session, spec.operation);
}

/** Indexes are not part of a table's fingerprint; a rebuild is of those that were planned. */
async function indexChange(session: Session, operation: OperationSpec): Promise<string | null> {
  if (operation.kind === 'INDEX_REMOVAL') return removalDrift(session, operation.index);
  if (operation.kind === 'INDEX_CREATION') return nameChange(session, operation.indexes);
  if (operation.kind !== 'REINDEX') return null;
  for (const { oid, schema, name } of operation.indexes) {
    const index = await session.transaction(() => readRelationByOid(session, oid));
    if (index?.schema !== schema || index.name !== name)
      return `the index ${schema}.${name} was dropped, renamed or made anew`;
  }
  return null;
}

async function nameChange(session: Session, indexes: readonly NewIndex[]): Promise<string | null> {
  for (const { schema, name } of indexes) {
    const taken = await session.transaction(() => readRelation(session, schema, name));
    if (taken !== null)
      return `there is a table, an index or the like named ${nameOf({ schema, name })} by now`;
  }
  return null;
}

async function holdChange(
  { store }: CheckDeps,
  session: Session,
  budget: Budget,
  { databaseId, spec }: Plan,
): Promise<string | null> {
  if (spec.operation.kind === 'DEDUPLICATION') return newHold(store, databaseId, spec);
  const filter = filterOf(spec.operation);
  const subject = spec.relations[0];
  if (filter === null || subject === undefined) return null;
  const holds = await holdsOn(store, databaseId, heldTables(spec));
  const placed = holds.find(({ id }) => !spec.holds.includes(id));
  if (placed !== undefined) return `a hold was placed on ${placed.schema}.${placed.table} (${placed.reason})`;
  // Of the tables that go along each batch asks by itself.
  const own = holds.filter(({ schema, table }) => schema === subject.schema && table === subject.name);
  if (own.length === 0) return null;
  const relation = await session.transaction(() => readRelationByOid(session, subject.oid));
  if (relation === null) return `the table ${nameOf(subject)} was dropped`;
  const reached = await holdInTheWay({ session, budget }, relation, filter, own);
  return reached === null
    ? null
    : `chosen rows of ${nameOf(subject)} have come under a hold (${reached.reason})`;
}

async function destinationChange(
  deps: CheckDeps,
  session: Session,
  { operation, relations }: PlanSpec,
): Promise<string | null> {
  const subject = relations[0];
  const destination = destinationOf(operation);
  if (destination === null || subject === undefined) return null;
  const source = await session.transaction(() => readRelationByOid(session, subject.oid));
  if (source === null) return `the table ${nameOf(subject)} was dropped`;
  const capabilities = await session.transaction(() => readCapabilities(session));
  const [problem] = await checkDestination(
    { session, capabilities, archiveStores: deps.archiveStores },
    destination,
    source,
  );
  return problem === undefined ? null : `the archive's destination is not as it was: ${problem.message}`;
}

/** A plan of a restore is for the archive as it was, and for rows that are not back yet. */
async function archiveChange(
  { store }: CheckDeps,
  session: Session,
  { operation, rows }: PlanSpec,
): Promise<string | null> {
  if (operation.kind !== 'RESTORE') return null;
  const { schema, table } = operation;
  const source = await session.transaction(() => readRelation(session, schema, table));
  const [problem] = (await checkArchive(store, operation, source)).blockers;
  if (problem !== undefined) return problem.message.replace(/\.$/, '');
  const archive = await findArchiveById(store, operation.archiveId);
  if (archive === null) return 'the archive is gone';
  return operation.where === null && archive.rows !== rows
    ? `the archive holds ${archive.rows} rows now, and ${rows} when it was made`
    : null;
}

/** An archive is destroyed as it was when somebody said yes to that, and while nothing needs it. */
async function expiryChange(
  { store }: CheckDeps,
  session: Session,
  { operation }: PlanSpec,
): Promise<string | null> {
  if (operation.kind !== 'ARCHIVE_EXPIRY') return null;
  const archive = await findArchiveById(store, operation.archiveId);
  if (archive === null) return 'the archive is gone';
  const [problem] = await checkExpiry(store, session, archive);
  if (problem !== undefined) return problem.message.replace(/\.$/, '');
  return digestOf(await allSegments(store, archive.id)) === operation.segments
    ? null
    : 'the archive has other segments than when it was made';
}

/** Within the budget; what cannot be counted in time the run asserts batch by batch. */
async function countChange(session: Session, budget: Budget, spec: PlanSpec): Promise<string | null> {
  const filter = filterOf(spec.operation);
  const subject = spec.relations[0];
  if (filter === null || subject === undefined || !spec.rowsAreExact) return null;
  const relation = await session.transaction(() => readRelationByOid(session, subject.oid));
  if (relation === null) return `the table ${nameOf(subject)} was dropped`;
  const now = await budget.count(
    session,
    sql`SELECT pg_catalog.count(*)::pg_catalog.text AS count FROM ${ownRows(relation)} WHERE ${compileFilter(filter, relation)}`,
  );
  if (now === null || isWithinTolerance(now, spec)) return null;
  return `${now} rows match now, and ${spec.rows} did when it was made`;
}

/** Of the rows that the run takes away. */
const filterOf = (operation: OperationSpec): RowFilter | null =>
  'filter' in operation && operation.kind !== 'DEDUPLICATION' ? operation.filter : null;

/** A hold that came leaves rows out; a plan that does not know of it may not run. */
async function newHold(store: Store, databaseId: string, spec: PlanSpec): Promise<string | null> {
  const holds = await holdsOn(store, databaseId, heldTables(spec));
  const placed = holds.find(({ id }) => !spec.holds.includes(id));
  return placed === undefined
    ? null
    : `a hold was placed on ${placed.schema}.${placed.table} (${placed.reason})`;
}

async function duplicateChange(session: Session, budget: Budget, spec: PlanSpec): Promise<string | null> {
  const { operation, rowsAreExact } = spec;
  const subject = spec.relations[0];
  if (operation.kind !== 'DEDUPLICATION' || subject === undefined || !rowsAreExact) return null;
  const relation = await session.transaction(() => readRelationByOid(session, subject.oid));
  if (relation === null) return `the table ${nameOf(subject)} was dropped`;
  const filter = operation.filter === null ? null : compileFilter(operation.filter, relation);
  const now = await findDuplicates(session, budget, relation, operation.key, filter);
  if (now?.rowsAreExact !== true || isWithinTolerance(now.rows, spec)) return null;
  return `${now.rows} rows repeat the key of another now, and ${spec.rows} did when it was made`;
}

const isWithinTolerance = (now: number, { rows }: PlanSpec): boolean =>
  Math.abs(now - rows) <= Math.max(rows * ROW_TOLERANCE, ROW_TOLERANCE_FLOOR);
