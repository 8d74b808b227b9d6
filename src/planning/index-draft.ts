import type { NewIndex } from '../domain/index-spec.ts';
import type { PlanNotice, PlanStep } from '../domain/plan.ts';
import { DEFAULT_THROTTLE } from '../domain/run.ts';
import type { Relation } from '../target/catalog.ts';
import { commentSql, concurrently } from '../target/index-statements.ts';
import { ident, sql, toText } from '../target/sql.ts';
import { missingRights, ownerNeed, schemaNeeds } from './check-rights.ts';
import { checkServer, refuseRelation } from './check-subject.ts';
import { LEDGER_STEP } from './deletion-steps.ts';
import { roomFor } from './disk-room.ts';
import { indexCreationForecast } from './index-forecast.ts';
import { oldTransactions } from './old-transactions.ts';
import { nameOf, notice, type PlanContext } from './plan-context.ts';
import { type Draft, NO_LIMITS } from './save-plan.ts';

export interface IndexesToBuild {
  readonly indexes: readonly NewIndex[];
  /** the table that they are asked for, and then its partitions */
  readonly relations: readonly [Relation, ...Relation[]];
  readonly bytes: number;
  readonly blockers: readonly PlanNotice[];
  readonly warnings: readonly PlanNotice[];
}

/** The plan of a run that builds these indexes, whoever wants them. */
export async function indexDraft(context: PlanContext, wanted: IndexesToBuild): Promise<Draft> {
  const [relation, ...partitions] = wanted.relations;
  const unsafe = refuseRelation(relation, { mayBePartitioned: true }).filter(
    ({ code }) => code === 'UNSAFE_TABLE' || relation.kind !== 'MATERIALIZED_VIEW',
  );
  const heapBytes = [relation, ...partitions].reduce((sum, table) => sum + table.heapBytes, 0);
  const impact = indexCreationForecast(heapBytes, wanted.bytes);
  const room = await roomFor(context, relation, impact, null);
  return {
    operation: { kind: 'INDEX_CREATION', indexes: wanted.indexes },
    relations: wanted.relations,
    subject: relation,
    limits: NO_LIMITS,
    throttle: DEFAULT_THROTTLE,
    holds: [],
    cutoff: null,
    impact: { ...impact, diskFreeBytes: room.freeBytes },
    effects: [],
    locks: locksOf(wanted),
    blockers: [
      ...unsafe,
      ...(unsafe.length > 0 ? [] : [...checkServer(context), ...(await missing(context, relation))]),
      ...(await nameBlockers(context, wanted.indexes)),
      ...wanted.blockers,
      ...room.blockers,
    ],
    warnings: [...wanted.warnings, ...(await oldTransactions(context))],
    steps: [LEDGER_STEP, ...wanted.indexes.flatMap(stepsOf)],
    sample: [],
  };
}

const locksOf = ({ indexes, relations }: IndexesToBuild) =>
  relations.map((relation) => {
    const isWhole = indexes.some(({ tableOid, isConcurrent }) => tableOid === relation.oid && !isConcurrent);
    return {
      relation: nameOf(relation),
      mode: isWhole ? 'SHARE' : 'SHARE UPDATE EXCLUSIVE',
      longestMs: null,
    };
  });

const missing = async (context: PlanContext, relation: Relation): Promise<PlanNotice[]> =>
  missingRights(context, [
    ...schemaNeeds(relation.schema, ['USAGE', 'CREATE'], 'the index is made there'),
    await ownerNeed(context, relation, 'only its owner may give it an index'),
  ]);

async function nameBlockers({ session }: PlanContext, indexes: readonly NewIndex[]): Promise<PlanNotice[]> {
  const names = indexes.map((index) => toText(ident(index.schema, index.name)));
  const taken = await session.transaction(() =>
    session.query<{ name: string }>(sql`
      SELECT n.name FROM pg_catalog.unnest(${names}::pg_catalog.text[]) AS n (name)
       WHERE pg_catalog.to_regclass(n.name) IS NOT NULL ORDER BY n.name`),
  );
  return taken.map(({ name }) =>
    notice('NAME_TAKEN', `There is a table, an index or the like named ${name}.`, 'Give another name.'),
  );
}

function stepsOf({
  schema,
  name,
  definition,
  isConcurrent,
  comment,
}: NewIndex): Omit<PlanStep, 'position'>[] {
  const create = isConcurrent
    ? {
        description: `Build ${schema}.${name} while everybody reads and writes`,
        sql: concurrently(definition),
      }
    : {
        description: `Put the indexes of the partitions together as ${schema}.${name}; writers wait for a moment`,
        sql: definition,
      };
  if (comment === null) return [create];
  return [
    create,
    {
      description: `Give ${schema}.${name} its comment`,
      sql: toText(commentSql({ schema, name }, comment)),
    },
  ];
}
