import type { PlanNotice } from '../domain/plan.ts';
import { DEFAULT_THROTTLE } from '../domain/run.ts';
import { notFound } from '../errors.ts';
import { findLastTable } from '../store/snapshots.ts';
import type { Index, Relation } from '../target/catalog.ts';
import { ident, integer, sql, toText } from '../target/sql.ts';
import { checkSubject, refuseRelation } from './check-subject.ts';
import { LEDGER_STEP } from './deletion-steps.ts';
import { reindexForecast } from './forecast.ts';
import { nameOf, notice, type PlanContext, requireRelation } from './plan-context.ts';
import type { PlanReindexInput } from './plan-inputs.ts';
import { type Draft, NO_LIMITS } from './save-plan.ts';

/** Rebuilds indexes beside the old ones, while everybody reads and writes. */
export async function planReindex(context: PlanContext, input: PlanReindexInput): Promise<Draft> {
  const relation = await requireRelation(context, input.schema, input.table);
  const unsafe = refuseRelation(relation).filter(
    ({ code }) => code === 'UNSAFE_TABLE' || relation.kind !== 'MATERIALIZED_VIEW',
  );
  const excluding = await exclusionIndexes(context, relation);
  const wanted = chosen(relation, input.indexes ?? null);
  const indexes = wanted.filter(({ oid }) => !excluding.has(oid));
  const skipped = wanted.filter(({ oid }) => excluding.has(oid));
  const rights =
    unsafe.length > 0 ? [] : (await checkSubject(context, relation, ['MAINTAIN'])).filter(mattersHere);
  return {
    operation: { kind: 'REINDEX', indexes: indexes.map(({ oid, schema, name }) => ({ oid, schema, name })) },
    relations: [relation],
    subject: relation,
    limits: NO_LIMITS,
    throttle: DEFAULT_THROTTLE,
    holds: [],
    cutoff: null,
    impact: reindexForecast(
      indexes.map(({ sizeBytes }) => sizeBytes),
      await wasteOf(context, relation, indexes),
    ),
    effects: [],
    locks:
      indexes.length === 0
        ? []
        : [{ relation: nameOf(relation), mode: 'SHARE UPDATE EXCLUSIVE', longestMs: null }],
    blockers: [...unsafe, ...rights],
    warnings: [
      ...skipped.map(skippedWarning),
      ...leftoverWarnings(indexes),
      ...(indexes.length === 0
        ? [notice('NOTHING_TO_DO', `${nameOf(relation)} has no index to rebuild.`)]
        : []),
    ],
    steps: [LEDGER_STEP, ...indexes.map(stepOf)],
    sample: [],
  };
}

/** By the last snapshot: what an index needed then, it needs now. null when that is not known of all of them. */
async function wasteOf(
  { deps, database }: PlanContext,
  { schema, name }: Relation,
  indexes: readonly Index[],
): Promise<number | null> {
  const known = (await findLastTable(deps.store, database.id, schema, name))?.indexes ?? [];
  let wasted = 0;
  for (const index of indexes) {
    const before = known.find((candidate) => candidate.name === index.name);
    if (before?.bloat.wastedBytes == null) return null;
    wasted += Math.max(0, index.sizeBytes - (before.sizeBytes - before.bloat.wastedBytes));
  }
  return wasted;
}

/** Row security and rules say nothing about indexes. */
const mattersHere = ({ code }: PlanNotice) => code !== 'ROW_SECURITY' && code !== 'RULES';

/** @throws NOT_FOUND for a name that is not an index of the table */
function chosen(relation: Relation, names: readonly string[] | null): readonly Index[] {
  if (names === null) return relation.indexes;
  return [...new Set(names)].map((name) => {
    const index = relation.indexes.find((candidate) => candidate.name === name);
    if (index === undefined) throw notFound(`The index "${name}" of ${nameOf(relation)}`);
    return index;
  });
}

const stepOf = ({ schema, name }: Index) => ({
  description: `Rebuild ${schema}.${name} beside the old one and take its place; readers and writers go on`,
  sql: toText(sql`REINDEX INDEX CONCURRENTLY ${ident(schema, name)}`),
});

/** PostgreSQL can't rebuild the index of an exclusion constraint concurrently. */
async function exclusionIndexes({ session }: PlanContext, { oid }: Relation): Promise<ReadonlySet<number>> {
  const rows = await session.query<{ oid: string }>(sql`
    SELECT indexrelid::pg_catalog.text AS oid FROM pg_catalog.pg_index WHERE indrelid = ${integer(oid)} AND indisexclusion`);
  return new Set(rows.map((row) => Number(row.oid)));
}

const skippedWarning = ({ name }: Index) =>
  notice(
    'INDEX_SKIPPED',
    `The index ${name} backs an exclusion constraint and is left out: it cannot be rebuilt without a lock.`,
  );

const leftoverWarnings = (indexes: readonly Index[]): PlanNotice[] =>
  indexes
    .filter(({ isValid, name }) => !isValid && /_cc(new|old)\d*$/.test(name))
    .map(({ schema, name }) =>
      notice(
        'INDEX_LEFTOVER',
        `${name} was left behind by a rebuild that was cancelled.`,
        `Rather drop it: DROP INDEX CONCURRENTLY ${toText(ident(schema, name))};`,
      ),
    );
