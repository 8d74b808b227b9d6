import { sideTableOf } from '../domain/archive-tables.ts';
import { canonicalFilter, type RowFilter } from '../domain/filter.ts';
import type { PlanEffect, PlanNotice } from '../domain/plan.ts';
import { throttleFrom } from '../domain/throttle.ts';
import { badInput, notFound } from '../errors.ts';
import { type ArchiveView, findArchiveById, findArchiveByRun } from '../store/archives.ts';
import type { Store } from '../store/open-store.ts';
import { readRelation, type Relation } from '../target/catalog.ts';
import { checkFilterValues, compileFilter } from '../target/row-filter.ts';
import { ident, sql } from '../target/sql.ts';
import { checkArchive, checkKeys } from './check-archive.ts';
import { LEDGER_STEP } from './deletion-steps.ts';
import { restoreForecast } from './forecast.ts';
import { withMissingPartitions } from './missing-partitions.ts';
import { nameOf, notice, type PlanContext } from './plan-context.ts';
import type { PlanRestoreInput } from '../domain/plan-inputs.ts';
import { triggerEffects } from './trigger-effects.ts';
import { type Checked, checkSide, checkSource } from './restore-checks.ts';
import { checkParts, partEffects, partTables, readParts, type RestoredPart } from './restore-parts.ts';
import { restoreSteps } from './restore-steps.ts';
import { type Draft, NO_LIMITS } from './save-plan.ts';

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

/** The archive that a restore is for. @throws BAD_USER_INPUT, NOT_FOUND */
export async function archiveOf(store: Store, { archiveId, runId }: PlanRestoreInput): Promise<ArchiveView> {
  if ((archiveId == null) === (runId == null)) throw badInput('Give archiveId or runId.');
  const id = archiveId ?? runId ?? '';
  const find = archiveId == null ? findArchiveByRun : findArchiveById;
  const archive = UUID.test(id) ? await find(store, id) : null;
  if (archive === null) throw notFound('The archive');
  return archive;
}

/** Puts archived rows back, into the table that they came from or into a new one beside it. The archive stays. */
export async function planRestore(
  context: PlanContext,
  archive: ArchiveView,
  input: PlanRestoreInput,
): Promise<Draft> {
  const look = await lookAt(context, archive, input);
  const { target, source, shape, where, rows, checked } = look;
  const throttle = throttleFrom(input.throttle);
  const operation = restoreOf(archive, input, look);
  const history = await checkArchive(context.deps.store, operation, source);
  const parts = await readParts(context, archive, input.into);
  const along = await checkParts(context, archive, parts, input.into);
  const blockers = [...history.blockers, ...checked.blockers, ...along.blockers];
  const others = partTables(parts, source);
  const share = archive.rows === 0 ? 0 : rows.count / archive.rows;
  const bytes = Math.round(plainBytes(archive) * share);
  return {
    operation,
    relations: source === null ? [] : [source, ...others],
    subject: target,
    limits: NO_LIMITS,
    throttle,
    holds: [],
    cutoff: look.cutoff,
    impact: restoreForecast(rows.count, rows.exact, share, bytes, throttle.dutyCycle),
    effects: await effectsOf(context, archive, look, parts),
    locks: [target, ...others].map((table) => ({
      relation: nameOf(table),
      mode: 'ROW EXCLUSIVE',
      longestMs: throttle.batchMs,
    })),
    blockers: [
      ...blockers,
      ...(blockers.length > 0 || source === null || input.onConflict === 'SKIP'
        ? []
        : await checkKeys(context, archive, source, where)),
    ],
    warnings: [
      ...history.warnings,
      ...checked.warnings,
      ...along.warnings,
      ...rowWarnings(archive, rows.exact),
    ],
    steps: [LEDGER_STEP, ...restoreSteps(archive, target, shape, where, input)],
    sample: [],
  };
}

const restoreOf = (archive: ArchiveView, input: PlanRestoreInput, { where, target }: Look) => ({
  kind: 'RESTORE' as const,
  archiveId: archive.id,
  sourceRunId: archive.runId,
  where,
  into: input.into,
  onConflict: input.onConflict,
  schema: target.schema,
  table: target.name,
});

interface Look {
  readonly target: { readonly schema: string; readonly name: string };
  /** The table that the rows go back to; null when a side table takes them, or it is gone. */
  readonly source: Relation | null;
  /** A table with the archive's columns, where there still is one. */
  readonly shape: Relation | null;
  readonly where: RowFilter | null;
  readonly cutoff: Date | null;
  readonly rows: { readonly count: number; readonly exact: boolean };
  readonly checked: Checked;
}

async function lookAt(context: PlanContext, archive: ArchiveView, input: PlanRestoreInput): Promise<Look> {
  const { session, now } = context;
  const { filter: where, cutoff } =
    input.where == null ? { filter: null, cutoff: null } : canonicalFilter(input.where, now);
  const source = await session.transaction(() => readRelation(session, archive.schema, archive.table));
  const shape = source ?? (await holderOf(context, archive));
  if (where !== null) await checkWhere(context, where, shape);
  const rows = await countArchived(context, archive, where, shape);
  if (input.into === 'SOURCE') {
    const target = { schema: archive.schema, name: archive.table };
    return {
      target,
      source,
      shape,
      where,
      cutoff,
      rows,
      checked: await withMissingPartitions(
        context,
        archive,
        source,
        await checkSource(context, archive, source),
      ),
    };
  }
  const target = { schema: archive.schema, name: sideTableOf(archive.table, 0, archive.runId) };
  return {
    target,
    source: null,
    shape,
    where,
    cutoff,
    rows,
    checked: await checkSide(context, archive, shape, target),
  };
}

const effectsOf = async (
  { deps }: PlanContext,
  archive: ArchiveView,
  { source, rows }: Look,
  parts: readonly RestoredPart[],
): Promise<PlanEffect[]> =>
  source === null
    ? []
    : [
        ...triggerEffects(source, 'INSERT', rows.count, 1),
        ...(await partEffects(deps.store, archive, parts)),
      ];

const rowWarnings = (archive: ArchiveView, exact: boolean): PlanNotice[] => [
  ...(archive.rows === 0 ? [notice('NOTHING_TO_DO', 'The archive holds no rows.')] : []),
  ...(exact
    ? []
    : [
        notice(
          'ROWS_ESTIMATED',
          "How many of the archive's rows the filter finds shows when they are read; all are counted here.",
        ),
      ]),
];

async function holderOf(
  { session }: PlanContext,
  { content: { holder } }: ArchiveView,
): Promise<Relation | null> {
  return holder === null
    ? null
    : session.transaction(() => readRelation(session, holder.schema, holder.name));
}

/** How values of a column compare is known from a table that has it. */
async function checkWhere({ session }: PlanContext, where: RowFilter, shape: Relation | null): Promise<void> {
  if (shape === null)
    throw badInput(
      'The table of this archive is gone, so that a filter cannot be read. Restore all of it into: SIDE_TABLE.',
    );
  await checkFilterValues(session, where, shape);
}

/** Files are read when the run reads them; a table can be asked now. */
async function countArchived(
  context: PlanContext,
  archive: ArchiveView,
  where: RowFilter | null,
  shape: Relation | null,
) {
  const { holder, parts = [] } = archive.content;
  if (where === null) return { count: archive.rows, exact: true };
  // What goes back along with the chosen rows shows when they are read.
  if (holder === null || shape === null || parts.length > 0) return { count: archive.rows, exact: false };
  const count = await context.budget.count(
    context.session,
    sql`SELECT pg_catalog.count(*)::pg_catalog.text AS count FROM ONLY ${ident(holder.schema, holder.name)} WHERE ${compileFilter(where, shape)}`,
  );
  return { count: count ?? archive.rows, exact: count !== null };
}

const COMPRESSION = 4;
const plainBytes = ({ kind, bytes }: ArchiveView): number => (kind === 'TABLE' ? bytes : bytes * COMPRESSION);
