import type { PlanNotice } from '../domain/plan.ts';
import { hasEnded } from '../domain/run.ts';
import type { ArchiveSegmentView, ArchiveView } from '../store/archives.ts';
import type { RunView } from '../store/runs.ts';
import type { LedgerSegment } from '../target/ledger-segments.ts';
import { archivedTotals, listSegments } from '../target/ledger-segments.ts';
import type { Session } from '../target/session.ts';
import { sql } from '../target/sql.ts';

/**
 * What reading the listed segments leaves out: segments that the ledger has and nobody sealed or listed, and rows that the
 * run has archived and no segment holds. Without the ledger the run's own count has to do.
 */
export async function unreadRows(
  session: Session | null,
  archive: ArchiveView,
  segments: readonly ArchiveSegmentView[],
  run: Pick<RunView, 'state' | 'result'>,
): Promise<PlanNotice[]> {
  const ledger = session && (await readLedger(session, archive.runId));
  const named = (ledger?.segments ?? []).flatMap((segment) => problemOf(segment, segments, run) ?? []);
  if (named.length > 0) return named;
  // The run counts rows, and not the references that others have lost; the ledger counts all.
  const counted = ledger === null ? segments.filter(({ part }) => part >= 0) : segments;
  const listed = counted.reduce((sum, { rows }) => sum + rows, 0);
  const archived = ledger?.rows ?? run.result.rowsArchived;
  return archived > listed ? [missingRows(run, archived, listed)] : [];
}

interface Ledger {
  readonly rows: number;
  readonly segments: readonly LedgerSegment[];
}

/** Null where there is no ledger that speaks of the run, or our role may not read it: it may have been dropped or set back. */
async function readLedger(session: Session, runId: string): Promise<Ledger | null> {
  return session.transaction(async () => {
    const { readable } = await session.one<{ readable: boolean }>(sql`
      SELECT coalesce(pg_catalog.bool_and(pg_catalog.has_schema_privilege(c.relnamespace, 'USAGE')
                        AND pg_catalog.has_table_privilege(c.oid, 'SELECT')) AND pg_catalog.count(*) = 4, false) AS readable
        FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
       WHERE n.nspname = 'declutter' AND c.relname IN ('run', 'batch', 'segment', 'part') AND c.relkind = 'r'`);
    if (!readable) return null;
    const runs = await session.query(sql`SELECT FROM declutter.run WHERE id = ${runId}::pg_catalog.uuid`);
    if (runs.length === 0) return null;
    const { rows } = await archivedTotals(session, runId);
    return { rows, segments: await listSegments(session, runId) };
  });
}

function problemOf(
  { sequence, location, sealed }: LedgerSegment,
  listed: readonly ArchiveSegmentView[],
  { state }: Pick<RunView, 'state'>,
): PlanNotice | null {
  if (listed.some((segment) => segment.sequence === sequence)) return null;
  if (sealed && !hasEnded(state)) {
    const message = `The segment ${location} is not listed yet: its rows have not been read back by this check.`;
    return { code: 'SEGMENT_UNSEALED', message, hint: FINISH };
  }
  return sealed
    ? {
        code: 'SEGMENT_MISSING',
        message: `The segment ${location} is in the ledger, and not in the list of the archive.`,
        hint: BY_HAND,
      }
    : {
        code: 'SEGMENT_UNSEALED',
        message: `The segment ${location} is not sealed: its rows have not been read back.`,
        hint: FINISH,
      };
}

const FINISH =
  'Let the run finish, pause or cancel it, or retry it when it failed: it is sealed then. Verify the archive after that.';
const BY_HAND =
  'Its rows are where the ledger and the manifest say; docs/archive-format.md has how to read them by hand.';

const missingRows = ({ state }: Pick<RunView, 'state'>, archived: number, listed: number): PlanNotice => ({
  code: hasEnded(state) ? 'SEGMENT_MISSING' : 'SEGMENT_UNSEALED',
  message: `The run has archived ${archived} rows; the segments that are listed hold ${listed}.`,
  hint: hasEnded(state) ? BY_HAND : FINISH,
});
