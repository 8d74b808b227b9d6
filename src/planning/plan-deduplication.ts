import { canonicalFilter } from '../domain/filter.ts';
import { limitsFrom, runLimits } from '../domain/limits.ts';
import type { OperationSpec, PlanNotice } from '../domain/plan.ts';
import { throttleForObjects, throttleFrom, wantsLargeBatches } from '../domain/throttle.ts';
import { badInput } from '../errors.ts';
import type { Relation } from '../target/catalog.ts';
import { type MergeGraph, readMergeGraph } from '../target/merge-graph.ts';
import { isOneOf } from '../target/row-pairs.ts';
import { checkFilterValues, compileFilter } from '../target/row-filter.ts';
import { sql } from '../target/sql.ts';
import { destinationFrom } from './archive-destination.ts';
import { type Access, checkMergeAccess } from './check-merge.ts';
import { deduplicationLocks, deduplicationSteps } from './deduplication-steps.ts';
import { keyFrom } from './duplicate-key-input.ts';
import { type FoundDuplicates, findDuplicates } from './find-duplicates.ts';
import { deduplicationForecast } from './forecast.ts';
import { heldDuplicates } from './holds.ts';
import { type MeasuredRows, measureRows } from './measure-rows.ts';
import { effectsOf, type MergeEffects, readMergeEffects } from './merge-effects.ts';
import { mergeBlockers, mergeWarnings } from './merge-notices.ts';
import { unindexedKeys } from './missing-indexes.ts';
import { type PlanContext, requireRelation } from './plan-context.ts';
import { drawUp, nothing, refuseSubject } from './plan-deletion.ts';
import type { PlanDeduplicationInput } from '../domain/plan-inputs.ts';
import type { Draft } from './save-plan.ts';

type Spec = Extract<OperationSpec, { kind: 'DEDUPLICATION' }>;

/** The dry run of a deduplication: which rows go, which stay for them, and what becomes of everything that references them. */
export async function planDeduplication(context: PlanContext, input: PlanDeduplicationInput): Promise<Draft> {
  const relation = await requireRelation(context, input.schema, input.table);
  const { key, keep } = await keyFrom(context, relation, input);
  const { filter: where, cutoff } =
    input.where == null ? { filter: null, cutoff: null } : canonicalFilter(input.where, context.now);
  if (where !== null) await checkFilterValues(context.session, where, relation);
  const destination = destinationFrom(input.destination ?? { kind: 'FILES' }, relation);
  const throttle = wantsLargeBatches(destination)
    ? throttleForObjects(input.throttle)
    : throttleFrom(input.throttle);
  const held = await heldDuplicates(context, relation, where);
  const operation: Spec = {
    kind: 'DEDUPLICATION',
    key,
    keep,
    references: input.references,
    filter: held.filter,
    destination,
  };
  const unsafe = await refuseSubject(context, relation);
  const follow = input.references === 'REPOINT';
  const graph = await context.session.transaction(() =>
    readMergeGraph(context.session, relation, { follow }),
  );
  const relations = follow && unsafe.length === 0 ? graph.tables : [relation];
  const shared = { relations, subject: relation, throttle, cutoff, operation };
  const access = await checkMergeAccess(context, graph, operation, unsafe);
  if (!access.mayCount)
    return { ...shared, ...nothing(access.blockers), limits: limitsFrom(input.limits, 0) };
  const look = await lookAt(context, { relation, graph, spec: operation, access });
  const limits = limitsFrom(input.limits, look.measured.tableRows);
  const chosen = { pick: 'INDEX' as const, why: '' };
  const condition = held.filter === null ? sql`true` : compileFilter(held.filter, relation);
  const drawn = await drawUp(
    { context, relation, held, measured: look.measured, limits, throttle, destination, chosen, condition },
    {
      ...look.effects,
      effects: effectsOf(graph, look.merged, Math.ceil(look.measured.rows / throttle.batchRows)),
    },
    access.blockers,
  );
  const filter = held.filter === null ? null : condition;
  return {
    ...shared,
    ...drawn,
    included: look.merged.complete ? includedIn(graph, look.merged) : null,
    impact: deduplicationForecast(relation, look.measured, throttle, {
      destination,
      lookUpSeconds: look.effects.lookUpSeconds,
    }),
    locks: deduplicationLocks(relations, throttle),
    steps: deduplicationSteps({ relation, graph, spec: operation, filter, throttle }),
    limits: runLimits(limits, 'DEDUPLICATION', context.database.environment, look.measured),
  };
}

interface Question {
  readonly relation: Relation;
  readonly graph: MergeGraph;
  readonly spec: Spec;
  readonly access: Access;
}

/** Counts the duplicates and follows what references them. */
async function lookAt(context: PlanContext, question: Question) {
  const { relation, graph, spec, access } = question;
  const filter = spec.filter === null ? null : compileFilter(spec.filter, relation);
  const found = await findDuplicates(context.session, context.budget, relation, spec.key, filter);
  if (found === null)
    throw badInput(
      'PostgreSQL has no hash function for a column of the key; leave it out, or compare it as text.',
    );
  const merged = await followed(context, question, found, filter);
  const measured = await measure(context, relation, found, merged);
  const gone = (oid: number) => merged.tables.get(oid)?.gone ?? 0;
  const unindexed = access.mayRead
    ? await unindexedKeys(context.session, graph.edges, ({ parent }) =>
        parent === relation ? measured.rows : gone(parent.oid),
      )
    : { warnings: [], seconds: 0 };
  const blockers: PlanNotice[] = mergeBlockers(graph, spec, merged);
  const warnings = [
    ...access.warnings,
    ...mergeWarnings(graph, merged),
    ...merged.warnings,
    ...unindexed.warnings,
  ];
  const deleted = new Map([...merged.tables].map(([oid, rows]) => [oid, rows.gone]));
  return {
    measured,
    merged,
    effects: { effects: [], blockers, warnings, deleted, lookUpSeconds: unindexed.seconds },
  };
}

async function followed(
  context: PlanContext,
  { relation, graph, spec, access }: Question,
  found: FoundDuplicates,
  filter: ReturnType<typeof compileFilter> | null,
): Promise<MergeEffects> {
  if (found.places === null || !access.mayRead) return NOT_FOLLOWED;
  const question = { relation, key: spec.key, keep: spec.keep, filter };
  return readMergeEffects(context, graph, question, found.places);
}

const NOT_FOLLOWED: MergeEffects = {
  rows: 0,
  complete: false,
  tables: new Map(),
  conflicts: new Map(),
  further: new Map(),
  undeclared: new Map(),
  sample: [],
  warnings: [],
};

/** The rows that go, as counted; their size by the first of them. */
async function measure(
  context: PlanContext,
  relation: Relation,
  found: FoundDuplicates,
  merged: MergeEffects,
): Promise<MeasuredRows> {
  const first = await measureRows(context, relation, isOneOf(sql`ctid`, merged.sample));
  const rows = merged.complete ? merged.rows : found.rows;
  const rowBytes = first.rows === 0 ? 0 : first.bytes / first.rows;
  const tableRows = Math.max(rows, first.tableRows);
  return {
    ...first,
    rows,
    rowsAreExact: found.rowsAreExact,
    tableRows,
    share: tableRows === 0 ? 0 : rows / tableRows,
    bytes: Math.round(rows * rowBytes),
  };
}

const includedIn = ({ subject }: MergeGraph, { tables }: MergeEffects): number =>
  [...tables].filter(([oid]) => oid !== subject.oid).reduce((sum, [, { gone }]) => sum + gone, 0);
