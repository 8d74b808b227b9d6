import { holdersOf } from '../domain/archive-tables.ts';
import type { PlanNotice } from '../domain/plan.ts';
import { hasEnded } from '../domain/run.ts';
import { activeRestores } from '../store/archive-expiry.ts';
import { stateOfArchiving } from '../store/archive-runs.ts';
import type { ArchiveView } from '../store/archives.ts';
import { holdsOn } from '../store/holds.ts';
import type { Store } from '../store/open-store.ts';
import type { Session } from '../target/session.ts';
import { ident, sql, toText } from '../target/sql.ts';
import { nameOf, notice } from './plan-context.ts';

/** What stands in the way of the end of an archive: whatever still needs it. Also asked again when the run is to start. */
export async function checkExpiry(
  store: Store,
  session: Session,
  archive: ArchiveView,
): Promise<PlanNotice[]> {
  return [
    ...(archive.state === 'EXPIRED'
      ? [notice('ARCHIVE_EXPIRED', 'The archive has been destroyed already.')]
      : []),
    ...(await unfinished(store, archive)),
    ...(await restores(store, archive)),
    ...(await holds(store, archive)),
    ...(await dependents(session, archive)),
  ];
}

async function unfinished(store: Store, { runId }: ArchiveView): Promise<PlanNotice[]> {
  const state = await stateOfArchiving(store, runId);
  if (hasEnded(state)) return [];
  const message = `The run that makes this archive is ${state}: rows may still be added to it.`;
  return [notice('ARCHIVE_UNFINISHED', message, `Let the run ${runId} finish, or cancel it (cancelRun).`)];
}

async function restores(store: Store, { id }: ArchiveView): Promise<PlanNotice[]> {
  return (await activeRestores(store, id)).map((runId) =>
    notice(
      'ARCHIVE_IN_USE',
      `The run ${runId} restores rows of this archive and has not ended.`,
      'Let it finish, or cancel it.',
    ),
  );
}

/** Which archived rows a hold on some rows means cannot be told without reading them: it holds them all. */
async function holds(store: Store, { databaseId, schema, table }: ArchiveView): Promise<PlanNotice[]> {
  const found = await holdsOn(store, databaseId, [{ schema, name: table }]);
  return found.map(({ id, reason }) =>
    notice(
      'HOLD',
      `A hold is on ${nameOf({ schema, name: table })}, whose rows this archive keeps: ${reason}`,
      `An administrator can release it (releaseHold ${id}).`,
    ),
  );
}

/** Views, foreign keys, child tables and the like that somebody has built on the table which holds the rows. */
async function dependents(session: Session, archive: ArchiveView): Promise<PlanNotice[]> {
  const notices: PlanNotice[] = [];
  for (const holder of holdersOf(archive.content)) {
    const rows = await session.query<{ object: string }>(sql`
      SELECT DISTINCT pg_catalog.pg_describe_object(classid, objid, objsubid) AS object
        FROM pg_catalog.pg_depend
       WHERE refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND deptype = 'n'
         AND refobjid = pg_catalog.to_regclass(${toText(ident(holder.schema, holder.name))})
       ORDER BY object`);
    notices.push(...rows.map(({ object }) => referenced(nameOf(holder), object)));
  }
  return notices;
}

const referenced = (holder: string, object: string): PlanNotice =>
  notice(
    'ARCHIVE_REFERENCED',
    `Something stands on the table ${holder}, which holds the rows: ${object}.`,
    'Drop it first.',
  );
