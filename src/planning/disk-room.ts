import { bytesInWords } from '../analysis/define-analysis.ts';
import type { PlanImpact, PlanNotice } from '../domain/plan.ts';
import { badInput } from '../errors.ts';
import type { Relation } from '../target/catalog.ts';
import { readFreeDisk } from '../target/disk-free.ts';
import { sql } from '../target/sql.ts';
import { nameOf, notice, type PlanContext } from './plan-context.ts';

export interface DiskRoom {
  /** null: not known */
  readonly freeBytes: number | null;
  readonly blockers: readonly PlanNotice[];
  readonly warnings: readonly PlanNotice[];
}

/** Forecasts of sizes are that good; and a full disk stops the whole server. */
const MARGIN = 1.1;

/** Whether the disk has room for what a plan needs on it while it works. stated: what people know who asked for the plan. */
export async function roomFor(
  context: Pick<PlanContext, 'session'>,
  relation: Relation,
  impact: Pick<PlanImpact, 'diskNeededBytes' | 'walBytes'>,
  stated: number | null,
): Promise<DiskRoom> {
  if (stated !== null && stated < 0) throw badInput('diskFreeBytes may not be below 0.');
  const freeBytes = stated ?? (await readFreeDisk(context.session, relation.oid));
  const { diskNeededBytes: copy } = impact;
  if (copy === null || copy === 0) return { freeBytes, blockers: [], warnings: [] };
  const wal = await walKept(context, impact.walBytes ?? 0);
  const needed = Math.ceil(copy * MARGIN + wal);
  const what = `${bytesInWords(copy)} for the copy and up to ${bytesInWords(wal)} of write-ahead log, with a tenth to spare`;
  if (freeBytes === null) return { freeBytes, blockers: [], warnings: [unknownRoom(needed, what)] };
  if (freeBytes >= needed) return { freeBytes, blockers: [], warnings: [] };
  const short = notice(
    'DISK_SHORT',
    `The run needs ${bytesInWords(needed)} on the disk of ${nameOf(relation)} (${what}); ${bytesInWords(freeBytes)} are free.`,
    'Make room, or take a method that needs no copy (COMPACT).',
  );
  return { freeBytes, blockers: [short], warnings: [] };
}

const unknownRoom = (needed: number, what: string) =>
  notice(
    'DISK_UNKNOWN',
    `The run needs ${bytesInWords(needed)} on the server's disk (${what}), and PostgreSQL does not tell how much is free.`,
    'Look there first (df). With diskFreeBytes in the input the plan compares them.',
  );

/** Write-ahead log beyond max_wal_size is removed at the next checkpoint, unless somebody still has to read it. */
async function walKept({ session }: Pick<PlanContext, 'session'>, walBytes: number): Promise<number> {
  const { kept } = await session.transaction(() =>
    session.one<{ kept: number }>(sql`
      SELECT CASE WHEN EXISTS (SELECT FROM pg_catalog.pg_replication_slots) OR pg_catalog.current_setting('archive_mode') <> 'off' THEN 'Infinity'
                  ELSE (SELECT s.setting::pg_catalog.float8 * 1048576 FROM pg_catalog.pg_settings s WHERE s.name = 'max_wal_size') END::pg_catalog.float8 AS kept`),
  );
  return Math.min(walBytes, kept);
}
