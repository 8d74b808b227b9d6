import { canonicalFilter, type RowFilter } from '../domain/filter.ts';
import { limitsFrom, runLimits } from '../domain/limits.ts';
import type { ArchiveDestination, Limits, OperationSpec, Pick, PlanNotice } from '../domain/plan.ts';
import type { Throttle } from '../domain/run.ts';
import { throttleForObjects, throttleFrom, wantsLargeBatches } from '../domain/throttle.ts';
import { badInput } from '../errors.ts';
import type { Relation } from '../target/catalog.ts';
import type { Reached } from '../target/reached-tables.ts';
import { checkFilterValues, compileFilter } from '../target/row-filter.ts';
import type { Sql } from '../target/sql.ts';
import { destinationFrom, destinationNeeds, examineDestination } from './archive-destination.ts';
import { isArchiveTable } from './archive-tables.ts';
import { missingRights, type Need, type Right } from './check-rights.ts';
import { checkPublications, checkSubject, refuseRelation } from './check-subject.ts';
import { type ChosenPick, choosePick } from './choose-pick.ts';
import { deletionSteps, deletionLocks } from './deletion-steps.ts';
import { deletionWarnings } from './deletion-warnings.ts';
import { deletionForecast } from './forecast.ts';
import { checkIncludedArchive, includedArchiveNeeds } from './included-archive.ts';
import {
  checkIncluded,
  hiddenRows,
  includedLimit,
  includedLocks,
  includedNeeds,
  includedRows,
  includedSteps,
  touchedTables,
} from './included-tables.ts';
import { doomedRows } from './doomed-rows.ts';
import { type HeldRows, heldRows } from './holds.ts';
import { keepNewest } from './keep-newest.ts';
import { limitBlockers } from './limit-blockers.ts';
import { measureRows, type MeasuredRows } from './measure-rows.ts';
import { nameOf, notice, type PlanContext, requireRelation } from './plan-context.ts';
import type { ArchiveDestinationInput, PlanPurgeInput } from '../domain/plan-inputs.ts';
import { dependentNeeds, type Effects, reachDependents, readEffects } from './read-effects.ts';
import { withPartitions } from './plan-partitions.ts';
import { preflight } from './preflight.ts';
import type { Draft } from './save-plan.ts';
import { type Trial, tryDeletion } from './try-deletion.ts';

/** The dry run of a purge, or with a destination of an archive: the same rows, kept. */
export async function planDeletion(
  context: PlanContext,
  input: PlanPurgeInput,
  destinationInput: ArchiveDestinationInput | null,
): Promise<Draft> {
  const { filter, cutoff } = canonicalFilter(input.where, context.now);
  const relation = await requireRelation(context, input.schema, input.table);
  const destination = destinationInput && destinationFrom(destinationInput, relation);
  await checkFilterValues(context.session, filter, relation);
  const operation = (pick: Pick, chosenRows: RowFilter): OperationSpec => {
    const rows = { filter: chosenRows, dependents: input.dependents, pick };
    return destination === null ? { kind: 'PURGE', ...rows } : { kind: 'ARCHIVE', ...rows, destination };
  };
  const rows = { relation, filter, cutoff, choosePick, unsafe: [], needs: [], mayBePartitioned: true };
  return drawDeletion(context, { ...rows, destination, input, operation });
}

/** Rows of one table that are to go, whatever chose them. */
export interface Deletion {
  readonly relation: Relation;
  readonly filter: RowFilter;
  readonly cutoff: Date | null;
  readonly destination: ArchiveDestination | null;
  readonly input: Omit<PlanPurgeInput, 'where'>;
  readonly operation: (pick: Pick, filter: RowFilter) => OperationSpec;
  readonly choosePick: typeof choosePick;
  /** for which the rows cannot be counted */
  readonly unsafe: readonly PlanNotice[];
  /** without which the rows cannot be counted */
  readonly needs: readonly Need[];
  /** the run knows how to treat partitions */
  readonly mayBePartitioned?: boolean;
}

/** Counts the rows and what goes with them, and says what stands in the way. */
export async function drawDeletion(context: PlanContext, deletion: Deletion): Promise<Draft> {
  const { relation, filter, cutoff, destination, input, operation } = deletion;
  const throttle = wantsLargeBatches(destination)
    ? throttleForObjects(input.throttle)
    : throttleFrom(input.throttle);
  const included = input.dependents === 'INCLUDE';
  const shared = { relations: [relation], subject: relation, throttle, cutoff };
  const unsafe = [...(await refuseSubject(context, relation, deletion)), ...deletion.unsafe];
  const access =
    unsafe.length > 0
      ? { blockers: unsafe, mayCount: false, mayRead: false, reached: null }
      : await checkAccess(context, deletion);
  if (!access.mayCount || access.reached === null) {
    const limits = limitsFrom(input.limits, 0);
    return { ...shared, ...nothing(access.blockers), operation: operation('HEAP_RANGES', filter), limits };
  }
  const kept = await keepNewest(context, relation, filter, input.keepNewest);
  if (kept.blockers.length > 0) {
    const blockers = [...access.blockers, ...kept.blockers];
    const limits = limitsFrom(input.limits, 0);
    return { ...shared, ...nothing(blockers), operation: operation('HEAP_RANGES', kept.filter), limits };
  }
  const held = await heldRows(context, relation, kept.filter);
  const condition = compileFilter(held.filter, relation);
  const measured = await measureRows(context, relation, condition);
  const limits = limitsFrom(input.limits, measured.tableRows);
  const chosen = await deletion.choosePick(context, relation, condition, measured);
  const look: Look = { context, relation, held, measured, limits, throttle, destination, chosen, condition };
  const trial = await tryWhenAsked(look, input, access.blockers);
  const chosenBy = (alias: Sql) => compileFilter(held.filter, relation, alias);
  const effects = await readEffects(context, access.reached, {
    filter: chosenBy,
    dependents: input.dependents,
    mayRead: access.mayRead,
    rows: measured.rows,
    batches: Math.ceil(measured.rows / throttle.batchRows),
  });
  const drawn = await drawUp(look, withTrial(effects, trial), access.blockers);
  const spec = operation(chosen.pick, held.filter);
  const draft: Draft = {
    ...shared,
    ...(included ? await withIncluded(look, doomedBy(access.reached, chosenBy), effects, drawn) : drawn),
    operation: spec,
    limits: runLimits(limits, spec.kind, context.database.environment, measured),
  };
  return relation.kind === 'PARTITIONED'
    ? withPartitions({ ...look, filter: held.filter }, draft, input)
    : draft;
}

const withTrial = (effects: Effects, trial: Trial): Effects => ({
  ...effects,
  blockers: [...effects.blockers, ...trial.blockers],
  warnings: [...effects.warnings, ...trial.warnings],
});

async function tryWhenAsked(
  { context, relation, measured, condition }: Look,
  { trial, dependents }: Deletion['input'],
  blockers: readonly PlanNotice[],
): Promise<Trial> {
  if (trial === true && dependents === 'INCLUDE')
    throw badInput('trial is for dependents: REFUSE; the effects of a plan with INCLUDE are counted.');
  return trial === true && blockers.length === 0 && measured.rows > 0
    ? tryDeletion(context, relation, condition)
    : { blockers: [], warnings: [] };
}

const doomedBy = (reached: Reached, chosenBy: (alias: Sql) => Sql) => ({
  reached,
  doomed: doomedRows(reached, chosenBy),
});

/** What a plan with INCLUDE says beyond: every table is a step, and checked like the subject. */
async function withIncluded(
  { context, measured, limits, destination }: Look,
  { reached, doomed }: ReturnType<typeof doomedBy>,
  effects: Effects,
  drawn: Awaited<ReturnType<typeof drawUp>>,
) {
  const included = includedRows(effects);
  const checked = await checkIncluded(context, reached, doomed);
  return {
    ...drawn,
    holds: [...drawn.holds, ...checked.heldBeside.map(({ hold }) => hold)],
    heldBeside: checked.heldBeside,
    relations: touchedTables(reached),
    included,
    steps: includedSteps(reached, drawn.steps, destination !== null),
    locks: [...drawn.locks, ...includedLocks(reached, drawn.locks)],
    blockers: [
      ...drawn.blockers,
      ...checked.blockers,
      ...includedLimit(included, measured.rows, limits),
      ...(destination === null ? [] : await checkIncludedArchive(context, destination, reached)),
    ],
    warnings: [...drawn.warnings, ...checked.warnings],
  };
}

/** Everything that is told of the plan, and what stands in its way. */
export async function drawUp(look: Look, effects: Effects, rights: readonly PlanNotice[]) {
  const { context, relation, held, measured, limits, destination } = look;
  const publications = await checkPublications(context, relation);
  const stores = { ...context, archiveStores: context.deps.archiveStores };
  return {
    holds: held.ids,
    impact: deletionForecast(look, effects.lookUpSeconds),
    effects: effects.effects,
    locks: deletionLocks(look),
    blockers: [
      ...rights,
      ...effects.blockers,
      ...held.blockers,
      ...publications.blockers,
      ...limitBlockers(measured, limits),
      ...(destination === null ? [] : await examineDestination(stores, destination, relation)),
    ],
    warnings: [
      ...effects.warnings,
      ...held.warnings,
      ...publications.warnings,
      ...deletionWarnings(relation, measured),
      ...(measured.rows === 0 ? [] : await preflight(context, relation, { archived: destination !== null })),
    ],
    steps: deletionSteps(look),
    sample: measured.sample,
  };
}

export interface Look {
  readonly context: PlanContext;
  readonly relation: Relation;
  readonly held: Omit<HeldRows, 'filter'>;
  readonly measured: MeasuredRows;
  readonly limits: Limits;
  readonly throttle: Throttle;
  readonly destination: ArchiveDestination | null;
  readonly chosen: ChosenPick;
  readonly condition: Sql;
}

/** Tables that no plan of rows is for. */
export async function refuseSubject(
  context: PlanContext,
  relation: Relation,
  { mayBePartitioned = false } = {},
): Promise<PlanNotice[]> {
  const unsafe = refuseRelation(relation, { mayBePartitioned });
  if (unsafe.length > 0) return unsafe;
  if (await isArchiveTable(context, relation)) {
    const message = `${nameOf(relation)} keeps the rows of an archive; removing them would break it.`;
    return [notice('UNSAFE_TABLE', message, 'Archives end by their own plans.')];
  }
  return [];
}

/** All rights at once, of the table, of the archive and of what references the rows; and whether rows can be counted without those that lack. */
async function checkAccess(
  context: PlanContext,
  { relation, destination, needs, input: { dependents } }: Deletion,
) {
  // Where PostgreSQL would change referencing rows by itself, a batch locks its rows before it looks for them.
  const locks = relation.inbound.some(
    ({ onDelete, enforced }) => enforced && onDelete !== 'NO_ACTION' && onDelete !== 'RESTRICT',
  );
  const rights: Right[] = locks ? ['SELECT', 'DELETE', 'UPDATE'] : ['SELECT', 'DELETE'];
  const reached = await reachDependents(context, relation, dependents);
  const archiving = await destinationNeeds(context, destination, relation);
  const looking = await dependentNeeds(context, reached);
  const taking = dependents === 'INCLUDE' ? await takingNeeds(context, reached, destination) : [];
  const hidden = dependents === 'INCLUDE' ? [] : await hiddenRows(context, reached);
  const blockers = [
    ...(await checkSubject(context, relation, rights, [...needs, ...archiving, ...looking, ...taking])),
    ...hidden,
  ];
  const isFree = blockers.length === 0;
  const mayCount = isFree || (await checkSubject(context, relation, rights, needs)).length === 0;
  const mayRead = isFree || (hidden.length === 0 && (await missingRights(context, looking)).length === 0);
  return { blockers, mayCount, mayRead, reached };
}

const takingNeeds = async (
  context: PlanContext,
  reached: Reached,
  destination: ArchiveDestination | null,
): Promise<Need[]> => [
  ...(await includedNeeds(context, reached)),
  ...(destination === null ? [] : await includedArchiveNeeds(context, destination, reached)),
];

export const nothing = (blockers: readonly PlanNotice[]) => ({
  holds: [],
  impact: {
    rows: 0,
    rowsAreExact: false,
    share: 0,
    bytes: 0,
    estimatedSeconds: null,
    walBytes: null,
    diskNeededBytes: null,
  },
  effects: [],
  locks: [],
  blockers,
  warnings: [],
  steps: [],
  sample: [],
});
