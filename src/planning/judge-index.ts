import { readDatabaseFigures } from '../analysis/database-figures.ts';
import type { IndexFacts, MeasuredTable } from '../analysis/define-analysis.ts';
import { serviceOf } from '../analysis/foreign-key-service.ts';
import { readForeignKeys } from '../analysis/foreign-keys.ts';
import { covers } from '../analysis/index-coverage.ts';
import { readReplicas, type Replica } from '../analysis/read-replicas.ts';
import { ANALYSIS_SETTINGS } from '../analysis/run-analysis.ts';
import {
  countedPeriod,
  countedSince,
  doubtsAboutUsage,
  isIdle,
  scansOf,
  type UsageContext,
} from '../analysis/usage-counters.ts';
import type { RemovedIndex } from '../domain/index-spec.ts';
import type { PlanNotice } from '../domain/plan.ts';
import { firstSnapshotAt } from '../store/snapshots.ts';
import type { Relation } from '../target/catalog.ts';
import type { IndexDutyFact, IndexState } from '../target/index-state.ts';
import { isInWork } from '../target/index-work.ts';
import type { SessionSettings } from '../target/session.ts';
import { integer, sql } from '../target/sql.ts';
import { nameOf, notice, type PlanContext } from './plan-context.ts';

/** The registered read-only copies of a database: an index may be used there only. */
export type Replicas = (databaseId: string, settings: SessionSettings) => Promise<readonly Replica[]>;

type Context = PlanContext & { readonly replicas: Replicas };

export interface JudgedIndex extends Pick<RemovedIndex, 'keeper' | 'usage'> {
  readonly blockers: readonly PlanNotice[];
}

/** Whether nobody would miss the index: another does all of its work, or nobody uses it. */
export async function judgeIndex(
  context: Context,
  relation: Relation,
  index: IndexState,
): Promise<JudgedIndex> {
  const { usage: seen, table, facts } = await look(context, relation, index);
  const keeper = table && facts ? keeperOf(table, facts) : null;
  const usage = usageOf(index, facts, seen);
  const protections = index.duties.map((duty) => protection(index, duty));
  const needed =
    !index.isValid || keeper !== null || protections.length > 0
      ? []
      : await neededFor(context, { relation, index, table, facts, seen });
  const inWork = !index.isValid && (await isInWork(context.session, index)) ? [workedOn(index)] : [];
  return { keeper, usage, blockers: [...protections, ...inWork, ...needed] };
}

const workedOn = (index: IndexState): PlanNotice =>
  notice(
    'INDEX_IN_WORK',
    `Another session builds or drops an index of the table now, and it may be ${nameOf(index)}.`,
    'Plan again when that has ended.',
  );

interface Look {
  readonly usage: UsageContext;
  readonly table: MeasuredTable | undefined;
  readonly facts: IndexFacts | undefined;
}

async function look(context: Context, { schema, name, oid }: Relation, index: IndexState): Promise<Look> {
  const { deps, database, session, now } = context;
  const figures = await readDatabaseFigures(session, {
    scope: { schema, table: name },
    exact: null,
    sampling: { ms: 0, tables: 0 },
    clock: deps.clock,
  });
  const table = figures.tables.find((candidate) => candidate.oid === oid);
  return {
    table,
    facts: table?.indexes.find((candidate) => candidate.oid === index.oid),
    usage: {
      figures,
      now,
      watchedSince: await firstSnapshotAt(deps.store, database.id),
      replicas: await readReplicas(session, await context.replicas(database.id, ANALYSIS_SETTINGS)),
    },
  };
}

/** The one with duties rather, since it stays; then the smaller one. */
function keeperOf(table: MeasuredTable, index: IndexFacts): JudgedIndex['keeper'] {
  const neverNull = new Set(table.columns.filter((column) => column.notNull).map(({ name }) => name));
  const [keeper] = table.indexes
    .filter(
      (other) => other.oid !== index.oid && other.definition !== null && covers(other, index, neverNull),
    )
    .sort((a, b) => b.duties.length - a.duties.length || a.sizeBytes - b.sizeBytes || a.oid - b.oid);
  if (keeper?.definition == null) return null;
  const { oid, schema, name, definition } = keeper;
  return { oid, schema, name, definition };
}

const usageOf = (
  index: IndexState,
  facts: IndexFacts | undefined,
  seen: UsageContext,
): JudgedIndex['usage'] => ({
  scans: index.scans,
  replicaScans: seen.replicas.reduce((sum, { scans }) => sum + (scans.get(index.oid) ?? 0), 0),
  lastScanAt: facts?.lastScanAt ?? null,
  countedSince: countedSince(seen)?.toISOString() ?? null,
});

interface Needed extends Omit<Look, 'usage'> {
  readonly relation: Relation;
  readonly index: IndexState;
  readonly seen: UsageContext;
}

async function neededFor(context: PlanContext, needed: Needed): Promise<PlanNotice[]> {
  const { index, facts, seen } = needed;
  const name = nameOf(index);
  if (facts === undefined)
    return [notice('USAGE_UNKNOWN', `The figures of ${name} cannot be read now.`, 'Plan again later.')];
  if (index.isUnique) {
    return [
      notice(
        'INDEX_UNIQUE',
        `${name} keeps its columns unique, and no other index does.`,
        'Whether anybody relies on that, no counter tells. Drop it by hand if nobody does.',
      ),
    ];
  }
  const doubts = doubtsAboutUsage(seen);
  return [
    ...(await foreignKeyBlockers(context, needed)),
    ...(isIdle(facts, seen)
      ? []
      : [
          notice(
            'INDEX_IN_USE',
            `${name} was scanned ${scansOf(facts, seen)} times ${countedPeriod(seen)}, replicas included.`,
            'An index in use goes only when another one covers it.',
          ),
        ]),
    ...(doubts.length === 0
      ? []
      : [
          notice(
            'USAGE_UNKNOWN',
            `Whether ${name} is used is not certain. ${doubts.join(' ')}`,
            'Wait, or register the replicas (updateDatabase), then plan again.',
          ),
        ]),
  ];
}

/** Of the table, and of those that it is a partition of. */
async function foreignKeyBlockers(
  { session }: PlanContext,
  { relation, index, table, facts }: Needed,
): Promise<PlanNotice[]> {
  if (table === undefined || facts === undefined) return [];
  const ancestors = await session.transaction(() =>
    session.query<{ oid: number }>(sql`
      SELECT relid::pg_catalog.oid::pg_catalog.int8::pg_catalog.float8 AS oid
        FROM pg_catalog.pg_partition_ancestors(${integer(relation.oid)}::pg_catalog.oid::pg_catalog.regclass) ORDER BY 1`),
  );
  const tables = new Set([relation.oid, ...ancestors.map(({ oid }) => oid)]);
  const keys = (await readForeignKeys(session)).filter(({ tableOid }) => tables.has(tableOid));
  return keys
    .filter((key) => serviceOf(facts, key, table, session.serverVersion).kind !== 'NONE')
    .map((key) =>
      notice(
        'INDEX_PROTECTED',
        `${nameOf(index)} serves the look-ups of the foreign key ${key.name}: without it each delete in ${key.referencedSchema}.${key.referencedTable} reads the whole table.`,
      ),
    );
}

function protection(index: IndexState, { duty, name }: IndexDutyFact): PlanNotice {
  const why = WHY[duty].replace('$', name ?? '');
  return notice('INDEX_PROTECTED', `${nameOf(index)} ${why}.`, HINTS[duty] ?? null);
}

const WHY: Readonly<Record<IndexDutyFact['duty'], string>> = {
  CONSTRAINT: 'backs the constraint $',
  FOREIGN_KEY_TARGET: 'is what the foreign key $ refers to',
  REPLICA_IDENTITY: 'is the replica identity: without it, updates and deletes could not be replicated',
  CLUSTERED: 'is what the table is clustered by',
  STATISTICS: 'carries statistics with a target of their own',
  PARTITION: 'belongs to $, the index of the partitioned table',
  PARTITIONED:
    'is the index of a partitioned table: PostgreSQL drops it with all its parts only under a lock that readers wait for',
  EXTENSION: 'belongs to the extension $, or its table does',
};

const HINTS: Partial<Record<IndexDutyFact['duty'], string>> = {
  CONSTRAINT: 'ALTER TABLE ... DROP CONSTRAINT drops both, where the rule is not wanted any more.',
  CLUSTERED: 'ALTER TABLE ... SET WITHOUT CLUSTER first, where that is not wanted any more.',
  REPLICA_IDENTITY: 'ALTER TABLE ... REPLICA IDENTITY first.',
  PARTITIONED: "SET lock_timeout = '2s'; DROP INDEX ..., at a quiet time.",
};
