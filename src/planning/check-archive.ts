import { isDeepStrictEqual } from 'node:util';
import type { RowFilter } from '../domain/filter.ts';
import type { PlanNotice } from '../domain/plan.ts';
import { hasEnded } from '../domain/run.ts';
import {
  type EarlierRestore,
  listRestores,
  type RestoreSpec,
  stateOfArchiving,
} from '../store/archive-runs.ts';
import { archiveState } from '../store/archive-expiry.ts';
import type { ArchiveView } from '../store/archives.ts';
import type { Store } from '../store/open-store.ts';
import type { Relation } from '../target/catalog.ts';
import { rowsOf } from '../target/reached-tables.ts';
import { compileFilter } from '../target/row-filter.ts';
import { fromCatalog, ident, join, sql } from '../target/sql.ts';
import { nameOf, notice, type PlanContext } from './plan-context.ts';

type Wanted = Pick<RestoreSpec, 'archiveId' | 'sourceRunId' | 'where' | 'into' | 'onConflict'>;

/** What the archive's own history says against restoring it. Also asked again when the run is to start. */
export async function checkArchive(
  store: Store,
  wanted: Wanted,
  source: Relation | null,
): Promise<{ blockers: PlanNotice[]; warnings: PlanNotice[] }> {
  const blockers = [...(await expired(store, wanted)), ...(await unfinished(store, wanted.sourceRunId))];
  if (wanted.into !== 'SOURCE' || source === null) return { blockers, warnings: [] };
  const earlier = (await listRestores(store, wanted.archiveId)).filter(
    ({ operation }) => operation.into === 'SOURCE',
  );
  const again = earlier.find(({ operation }) => overlaps(operation, wanted));
  const isKeyed = source.indexes.some(hasKey);
  if (again !== undefined && (wanted.onConflict === 'REFUSE' || !isKeyed))
    return { blockers: [...blockers, alreadyRestored(again, isKeyed)], warnings: [] };
  return { blockers, warnings: earlier.length > 0 && !isKeyed && again === undefined ? [IN_PART] : [] };
}

async function expired(store: Store, { archiveId }: Wanted): Promise<PlanNotice[]> {
  const state = await archiveState(store, archiveId);
  if (state === null || state === 'KEPT') return [];
  return [
    notice('ARCHIVE_EXPIRED', `The archive is ${state}: its segments are being destroyed, or have been.`),
  ];
}

/** As long as its run may go on, rows may still be added to an archive, and would be left out. */
async function unfinished(store: Store, runId: string): Promise<PlanNotice[]> {
  const state = await stateOfArchiving(store, runId);
  if (hasEnded(state)) return [];
  const message = `The run that makes this archive is ${state}: rows may still be added to it.`;
  return [
    notice(
      'ARCHIVE_UNFINISHED',
      message,
      `Let the run ${runId} finish, or cancel it (cancelRun); then plan anew.`,
    ),
  ];
}

/** Whether both surely take the same rows; two different filters may not. */
const overlaps = (a: Pick<RestoreSpec, 'where'>, b: Pick<RestoreSpec, 'where'>): boolean =>
  a.where === null || b.where === null || isDeepStrictEqual(a.where, b.where);

/** Whether a second copy of a row would be noticed. */
const hasKey = ({ isUnique, isValid, predicate }: Relation['indexes'][number]): boolean =>
  isUnique && isValid && predicate === null;

function alreadyRestored({ runId, endedAt }: EarlierRestore, isKeyed: boolean): PlanNotice {
  const when = endedAt === null ? '' : ` on ${endedAt.toISOString()}`;
  return isKeyed
    ? notice(
        'ALREADY_RESTORED',
        `Rows of this archive went back into the table already (run ${runId}${when}): the first of them would fail the run.`,
        'onConflict: SKIP puts back only those whose key is not there; SIDE_TABLE shows them all.',
      )
    : notice(
        'ALREADY_RESTORED',
        `Rows of this archive went back into the table already (run ${runId}${when}), and it has no unique index: they would be there twice.`,
        'Restore into: SIDE_TABLE, and compare.',
      );
}

/** Rows of an archive table can be held against those that are there; files are only read by the run. */
export async function checkKeys(
  { session, budget }: PlanContext,
  { content: { holder, columns } }: ArchiveView,
  source: Relation,
  where: RowFilter | null,
): Promise<PlanNotice[]> {
  const archived = new Map(columns.map(({ name, type }) => [name, type]));
  const key = source.columns.filter(({ name }) => source.primaryKey?.includes(name));
  const isComparable = key.every(
    ({ name, type, comparison }) =>
      archived.get(name) === type && comparison.eq !== null && !comparison.recast,
  );
  if (holder === null || key.length === 0 || !isComparable) return [];
  const [kept, present] = [ident('kept'), ident('present')];
  const same = key.map(
    ({ name, comparison }) =>
      sql`${kept}.${ident(name)} ${fromCatalog(comparison.eq as string)} ${present}.${ident(name)}`,
  );
  const chosen = where === null ? sql`true` : compileFilter(where, source, kept);
  const taken = await budget.query(
    session,
    sql`SELECT FROM ONLY ${ident(holder.schema, holder.name)} AS ${kept}
          JOIN ${rowsOf(source, present)} ON ${join(same, ' AND ')} WHERE ${chosen} LIMIT 1`,
  );
  if (taken === null || taken.length === 0) return [];
  const message = `The keys of archived rows are taken in ${nameOf(source)}: the first of them would fail the run.`;
  return [
    notice('KEYS_TAKEN', message, 'onConflict: SKIP leaves those rows out; SIDE_TABLE takes them all.'),
  ];
}

const IN_PART = notice(
  'RESTORED_IN_PART',
  'Rows of this archive went back into the table already by another filter, and it has no unique index: those that both filters find would be there twice.',
  'Make sure that the filters have no row in common, or restore into: SIDE_TABLE.',
);
