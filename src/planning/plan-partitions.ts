import type { OperationSpec, PlanImpact, PlanNotice } from '../domain/plan.ts';
import type { PartitionSpec } from '../domain/partition.ts';
import { holdsOn } from '../store/holds.ts';
import { readRelationByOid, type Relation } from '../target/catalog.ts';
import { type Partition, readPendingDetaches } from '../target/partitions.ts';
import { ident, toText } from '../target/sql.ts';
import { missingRights, type Need, type Right, tableNeeds } from './check-rights.ts';
import { checkPublications, checkRows } from './check-subject.ts';
import { type ChosenPartition, choosePartitions, inWords } from './choose-partitions.ts';
import { deletionForecast } from './forecast.ts';
import { type PartitionedLook, partitionLocks, partitionSteps } from './partition-steps.ts';
import { nameOf, notice, type PlanContext } from './plan-context.ts';
import type { Look } from './plan-deletion.ts';
import type { PlanPurgeInput } from '../domain/plan-inputs.ts';
import type { Draft } from './save-plan.ts';
import { firing, triggerEffects } from './trigger-effects.ts';

/** Each batch names its tables; a plan of more partitions than this is better made in parts. */
const MAX_PARTITIONS = 500;

/** What a plan of a partitioned table says beyond: which partitions go as a whole, and each is checked like a table. */
export async function withPartitions(
  look: PartitionedLook,
  draft: Draft,
  input: Pick<PlanPurgeInput, 'dependents' | 'keepNewest'>,
): Promise<Draft> {
  const { context, relation: root, filter, condition } = look;
  const { chosen: found, foreign } = await choosePartitions({
    context,
    root,
    filter,
    condition,
  });
  // The quick ones come first.
  const chosen = [...found].sort((a, b) => (a.way === b.way ? 0 : a.way === 'WHOLE' ? -1 : 1));
  const between = await tablesBetween(context, root, chosen);
  const checked = await checkPartitions(context, chosen, between);
  return {
    ...draft,
    relations: [root, ...between, ...chosen.map(({ relation }) => relation)],
    operation: { ...(draft.operation as Removal), partitions: chosen.map(specOf) },
    impact: impactOf(look, draft.impact, chosen),
    effects: [
      ...draft.effects.filter(({ effect, ...of }) => !isOwn(root, effect, of)),
      ...firings(look, chosen),
    ],
    locks: [...draft.locks, ...partitionLocks(look, chosen)],
    steps: partitionSteps(look, chosen),
    blockers: [
      ...draft.blockers,
      ...foreign.map(onAnotherServer),
      ...(await detachesPending(context, root)),
      ...(chosen.length > MAX_PARTITIONS ? [tooMany(chosen.length)] : []),
      ...(input.dependents === 'INCLUDE' ? [INCLUDE] : []),
      ...((input.keepNewest?.per ?? []).length > 0 ? [KEEP_NEWEST] : []),
      ...checked.blockers,
    ],
    warnings: [...draft.warnings, ...checked.warnings, ...wordsAbout(root, chosen)],
  };
}

type Removal = Extract<OperationSpec, { kind: 'PURGE' | 'ARCHIVE' }>;

const specOf = ({ partition, way, implied, pick }: ChosenPartition): PartitionSpec => ({
  oid: partition.oid,
  schema: partition.schema,
  name: partition.name,
  parent: { schema: partition.parent.schema, name: partition.parent.name },
  bounds: partition.bounds,
  way,
  implied,
  pick,
});

/** Partitioned tables between the root and the leaves. */
async function tablesBetween(
  { session }: PlanContext,
  root: Relation,
  chosen: readonly ChosenPartition[],
): Promise<Relation[]> {
  const oids = new Set(chosen.map(({ partition }) => partition.parent.oid).filter((oid) => oid !== root.oid));
  const relations: Relation[] = [];
  for (const oid of oids) {
    const relation = await session.transaction(() => readRelationByOid(session, oid));
    if (relation !== null) relations.push(relation);
  }
  return relations;
}

/** Rights, row security, rules, publications and holds of each, as if it were planned by its name. */
async function checkPartitions(
  context: PlanContext,
  chosen: readonly ChosenPartition[],
  between: readonly Relation[],
): Promise<{ blockers: PlanNotice[]; warnings: PlanNotice[] }> {
  const blockers: PlanNotice[] = [];
  const warnings: PlanNotice[] = [];
  const needs: Need[] = [];
  for (const relation of between) needs.push(...(await tableNeeds(context, relation, ['SELECT', 'DELETE'])));
  for (const { relation, way, partition } of chosen) {
    if (way === 'ROWS') needs.push(...(await tableNeeds(context, relation, rightsFor(relation), BY_NAME)));
    blockers.push(...(await checkRows(context, relation)));
    if (partition.publications.length === 0) continue;
    const publications = await checkPublications(context, relation);
    blockers.push(...publications.blockers);
    warnings.push(...publications.warnings);
  }
  return {
    blockers: [
      ...(await missingRights(context, needs)),
      ...blockers,
      ...(await holdsOnThem(context, chosen)),
    ],
    warnings,
  };
}

const BY_NAME = 'its rows are deleted by its own name';

const rightsFor = ({ inbound }: Relation): Right[] =>
  inbound.some(({ onDelete, enforced }) => enforced && onDelete !== 'NO_ACTION' && onDelete !== 'RESTRICT')
    ? ['SELECT', 'DELETE', 'UPDATE']
    : ['SELECT', 'DELETE'];

async function holdsOnThem(
  { deps, database }: PlanContext,
  chosen: readonly ChosenPartition[],
): Promise<PlanNotice[]> {
  const holds = await holdsOn(
    deps.store,
    database.id,
    chosen.map(({ relation }) => relation),
  );
  return holds.map(({ schema, table, reason, id }) =>
    notice(
      'HOLD',
      `A hold is on the partition ${schema}.${table}: ${reason}`,
      `An administrator can release it (releaseHold ${id}); one on the partitioned table with a filter leaves rows out.`,
    ),
  );
}

async function detachesPending({ session }: PlanContext, root: Relation): Promise<PlanNotice[]> {
  const pending = await session.transaction(() => readPendingDetaches(session, root.oid));
  return pending.map(({ parent, partition }) =>
    notice(
      'PARTITION_DETACH_PENDING',
      `Somebody began to detach ${nameOf(partition)} from ${nameOf(parent)} CONCURRENTLY, and that was not finished: its rows are in neither.`,
      `ALTER TABLE ${toText(ident(parent.schema, parent.name))} DETACH PARTITION ${toText(ident(partition.schema, partition.name))} FINALIZE;`,
    ),
  );
}

const onAnotherServer = (partition: Partition): PlanNotice =>
  notice(
    'FOREIGN_PARTITION',
    `The partition ${nameOf(partition)} is on another server, and may have rows that match.`,
    'Leave it out by the filter on the partition key, and plan on its own server.',
  );

const tooMany = (count: number): PlanNotice =>
  notice(
    'TOO_MANY_PARTITIONS',
    `Rows of ${count} partitions match; a plan takes ${MAX_PARTITIONS}.`,
    'Narrow the filter, and plan again when that has run.',
  );

const INCLUDE = notice(
  'PARTITIONED_INCLUDE',
  'Dependent rows are not taken along from a partitioned table.',
  'Treat the referencing tables first, the deepest one at the start; then this one with dependents: REFUSE.',
);

const KEEP_NEWEST = notice(
  'PARTITIONED_KEEP_NEWEST',
  'The newest rows of each group cannot be told apart where a group may lie in several partitions.',
  'Leave out keepNewest.per, or plan the partitions by name.',
);

/** Triggers of the partitioned table itself fire by its name only; those for each row, its partitions have. */
const isOwn = (root: Relation, effect: string, of: { readonly schema: string; readonly table: string }) =>
  effect === 'TRIGGER' && of.schema === root.schema && of.table === root.name;

const firings = ({ throttle }: Look, chosen: readonly ChosenPartition[]) =>
  chosen
    .filter(({ way }) => way === 'ROWS')
    .flatMap(({ relation, rows }) =>
      triggerEffects(relation, 'DELETE', rows, Math.ceil(rows / throttle.batchRows)),
    );

function wordsAbout(root: Relation, chosen: readonly ChosenPartition[]): PlanNotice[] {
  const whole = chosen.filter(({ way }) => way === 'WHOLE');
  const obstacles = [...new Set(chosen.flatMap(({ obstacle }) => obstacle ?? []))];
  const unfired = firing(root, 'DELETE').filter(({ level }) => level === 'STATEMENT');
  return [
    ...(whole.length === 0
      ? []
      : [
          notice(
            'PARTITIONS_DROPPED',
            `Partitions that go as a whole (${inWords(whole)}) are not there afterwards: rows that come later within their bounds are refused, or go to the default partition where there is one.`,
            'Should such rows still be expected, make the partitions again after the run.',
          ),
        ]),
    ...obstacles.map((obstacle) =>
      notice(
        'PARTITION_BY_ROWS',
        `All rows match of ${inWords(chosen.filter((one) => one.obstacle === obstacle))}, and yet rows are deleted one by one: ${obstacle}.`,
      ),
    ),
    ...unfired.map(({ name }) =>
      notice(
        'STATEMENT_TRIGGER',
        `The trigger ${name} of ${nameOf(root)} fires for statements on the partitioned table; rows are deleted from its partitions, by their names, and it does not fire.`,
      ),
    ),
  ];
}

/** Rows of whole partitions are read and not deleted: that costs no write-ahead log but for an archive table, and gives the space back. */
function impactOf(look: Look, impact: PlanImpact, chosen: readonly ChosenPartition[]): PlanImpact {
  const of = (way: ChosenPartition['way']) => {
    const those = chosen.filter((one) => one.way === way);
    const sum = (figure: (one: ChosenPartition) => number) =>
      those.reduce((all, one) => all + figure(one), 0);
    const rows = sum((one) => one.rows);
    const share = rows / Math.max(1, impact.rows);
    const relation = {
      ...look.relation,
      heapBytes: sum(({ relation: { heapBytes } }) => heapBytes),
      pages: sum(({ relation: { pages } }) => pages),
    };
    const measured = { ...look.measured, rows, bytes: Math.round(impact.bytes * share) };
    return { look: { ...look, relation, measured }, totalBytes: sum((one) => one.relation.totalBytes) };
  };
  const [rows, whole] = [of('ROWS'), of('WHOLE')];
  const byRows = deletionForecast(rows.look, 0);
  const wholly = deletionForecast(whole.look, 0);
  const isKept = look.destination !== null;
  const seconds = (isKept ? (wholly.estimatedSeconds ?? 0) : 0) + (byRows.estimatedSeconds ?? 0);
  return {
    ...impact,
    estimatedSeconds: Math.max(seconds, impact.estimatedSeconds === null ? 0 : 2),
    walBytes: (byRows.walBytes ?? 0) + (look.destination?.kind === 'TABLE' ? (wholly.walBytes ?? 0) : 0),
    diskNeededBytes: (byRows.diskNeededBytes ?? 0) + (wholly.diskNeededBytes ?? 0),
    bytesReclaimed: whole.totalBytes,
    bytesReusable: byRows.bytesReusable ?? 0,
  };
}
