import { isLeftoverOf, looksLeftOver } from '../domain/index-spec.ts';
import type { PlanNotice } from '../domain/plan.ts';
import { DEFAULT_THROTTLE } from '../domain/run.ts';
import { notFound } from '../errors.ts';
import { findLastTable } from '../store/snapshots.ts';
import type { Index, Relation } from '../target/catalog.ts';
import { dropIndexSql, reindexSql } from '../target/index-statements.ts';
import { readIndexesInWork } from '../target/index-work.ts';
import { integer, sql, toText } from '../target/sql.ts';
import { checkSubject, refuseRelation } from './check-subject.ts';
import { LEDGER_STEP } from './deletion-steps.ts';
import { roomFor } from './disk-room.ts';
import { reindexForecast } from './forecast.ts';
import { oldTransactions } from './old-transactions.ts';
import { nameOf, notice, type PlanContext, requireRelation } from './plan-context.ts';
import type { PlanReindexInput } from '../domain/plan-inputs.ts';
import { type Draft, NO_LIMITS } from './save-plan.ts';

/** Rebuilds indexes beside the old ones, while everybody reads and writes. */
export async function planReindex(context: PlanContext, input: PlanReindexInput): Promise<Draft> {
  const relation = await requireRelation(context, input.schema, input.table);
  const unsafe = refuseRelation(relation).filter(
    ({ code }) => code === 'UNSAFE_TABLE' || relation.kind !== 'MATERIALIZED_VIEW',
  );
  const excluding = await exclusionIndexes(context, relation);
  const wanted = chosen(relation, input.indexes ?? null);
  const unfinished = input.indexes == null ? leftoversAmong(relation) : [];
  const inWork = await readIndexesInWork(context.session, relation.oid);
  const leftovers = unfinished.filter(({ oid }) => !inWork.has(oid));
  const indexes = wanted.filter((index) => !excluding.has(index.oid) && !unfinished.includes(index));
  const skipped = wanted.filter((index) => excluding.has(index.oid) && !unfinished.includes(index));
  const amcheck = input.amcheck === true ? await schemaOfAmcheck(context) : null;
  const rights =
    unsafe.length > 0 ? [] : (await checkSubject(context, relation, ['MAINTAIN'])).filter(mattersHere);
  const impact = reindexForecast(
    indexes.map(({ sizeBytes }) => sizeBytes),
    await wasteOf(context, relation, indexes),
  );
  const room = await roomFor(context, relation, impact, null);
  return {
    operation: {
      kind: 'REINDEX',
      indexes: indexes.map(identityOf),
      ...(leftovers.length === 0 ? {} : { leftovers: leftovers.map(identityOf) }),
      ...(amcheck === null ? {} : { amcheck }),
    },
    relations: [relation],
    subject: relation,
    limits: NO_LIMITS,
    throttle: DEFAULT_THROTTLE,
    holds: [],
    cutoff: null,
    impact: { ...impact, diskFreeBytes: room.freeBytes },
    effects: [],
    locks:
      indexes.length + leftovers.length === 0
        ? []
        : [{ relation: nameOf(relation), mode: 'SHARE UPDATE EXCLUSIVE', longestMs: null }],
    blockers: [
      ...unsafe,
      ...rights,
      ...(input.amcheck === true && amcheck === null ? [AMCHECK_MISSING] : []),
      ...room.blockers,
    ],
    warnings: [
      ...skipped.map(skippedWarning),
      ...leftovers.map(leftoverWarning),
      ...unfinished.filter(({ oid }) => inWork.has(oid)).map(inWorkWarning),
      ...indexes.filter(isLeftover).map(chosenLeftoverWarning),
      ...(await oldTransactions(context)),
      ...(indexes.length + leftovers.length === 0
        ? [notice('NOTHING_TO_DO', `${nameOf(relation)} has no index to rebuild.`)]
        : []),
    ],
    steps: [LEDGER_STEP, ...leftovers.map(dropStepOf), ...indexes.map((index) => stepOf(index, amcheck))],
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

const identityOf = ({ oid, schema, name }: Index) => ({ oid, schema, name });

const stepOf = (index: Index, amcheck: string | null) => ({
  description: `Rebuild ${nameOf(index)} beside the old one and take its place; readers and writers go on${amcheck !== null && index.method === 'btree' ? '; then amcheck looks for every row of the table in it' : ''}`,
  sql: toText(reindexSql(index)),
});

const dropStepOf = (index: Index) => ({
  description: `Drop ${nameOf(index)}, which a rebuild that was broken off has left behind`,
  sql: toText(dropIndexSql(index)),
});

const isLeftover = ({ isValid, name }: Index): boolean => !isValid && looksLeftOver(name);

/** Unfinished copies of indexes that are there. */
const leftoversAmong = ({ indexes }: Relation): readonly Index[] =>
  indexes.filter((index) => isLeftover(index) && indexes.some(({ name }) => isLeftoverOf(index.name, name)));

async function schemaOfAmcheck({ session }: PlanContext): Promise<string | null> {
  const [found] = await session.query<{ schema: string }>(sql`
    SELECT n.nspname AS schema FROM pg_catalog.pg_extension e JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace
     WHERE e.extname = 'amcheck'
       AND pg_catalog.has_function_privilege((SELECT p.oid FROM pg_catalog.pg_proc p
                                               WHERE p.pronamespace = n.oid AND p.proname = 'bt_index_check' AND p.pronargs = 2), 'EXECUTE')`);
  return found?.schema ?? null;
}

const AMCHECK_MISSING = notice(
  'AMCHECK_MISSING',
  'The extension amcheck is not installed in the database, or our role may not use it.',
  'CREATE EXTENSION amcheck; GRANT EXECUTE ON FUNCTION bt_index_check(regclass, boolean) TO our role. Or plan without amcheck.',
);

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

const leftoverWarning = (index: Index): PlanNotice =>
  notice(
    'INDEX_LEFTOVER',
    `${nameOf(index)} was left behind by a rebuild that was cancelled. It is dropped, not rebuilt.`,
  );

const inWorkWarning = (index: Index): PlanNotice =>
  notice(
    'INDEX_IN_WORK',
    `${nameOf(index)} may be what another session builds now. It is left alone.`,
    'The plan does without it. Plan again when that has ended.',
  );

const chosenLeftoverWarning = (index: Index): PlanNotice =>
  notice(
    'INDEX_LEFTOVER',
    `${nameOf(index)} was left behind by a rebuild that was cancelled.`,
    'Rather drop it: planIndexRemoval.',
  );
