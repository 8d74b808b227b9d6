import type { Snapshot, TableSample } from './client/client.ts';
import type { Store } from './open-store.ts';
import { DEFAULT_FIRST, inPlace, pageSize, type Placed } from './page.ts';
import { type SnapshotView, snapshotView } from './snapshots.ts';
import { tableColumns, type TableKey } from './table-key.ts';

export interface TableSampleView {
  readonly takenAt: Date;
  readonly totalBytes: number;
  readonly wastedBytes: number | null;
  readonly deadRows: number;
}

type SampleRow = Pick<TableSample, 'totalBytes' | 'wastedBytes' | 'deadRows'> & Placed & { takenAt: Date };

/** The figures of each table over time, the newest first. */
export async function listHistory(
  { prisma }: Store,
  tables: readonly TableKey[],
  first?: number | null,
): Promise<TableSampleView[][]> {
  const { ids, schemas, names } = tableColumns(tables);
  const rows = await prisma.$queryRaw<SampleRow[]>`
    SELECT k.place, p.* FROM unnest(${ids}::uuid[], ${schemas}::text[], ${names}::text[]) WITH ORDINALITY AS k (id, schema, name, place)
     CROSS JOIN LATERAL (
      SELECT s."takenAt", t."totalBytes", t."wastedBytes", t."deadRows"
        FROM snapshot s JOIN table_sample t ON t."snapshotId" = s.id AND t.schema = k.schema AND t.name = k.name
       WHERE s."databaseId" = k.id
       ORDER BY s."takenAt" DESC, s.id DESC LIMIT ${pageSize({ first: first ?? DEFAULT_FIRST })}
     ) p
     ORDER BY k.place, p."takenAt" DESC`;
  return inPlace(tables, rows).map((own) => own.map(sampleView));
}

/** How far back growth looks. */
const GROWTH_DAYS = 30;

/** The last figures of each table on each of the last days, the oldest first. */
export async function listTableDays(
  { prisma }: Store,
  tables: readonly TableKey[],
): Promise<TableSampleView[][]> {
  const { ids, schemas, names } = tableColumns(tables);
  const rows = await prisma.$queryRaw<SampleRow[]>`
    WITH day AS (
      SELECT DISTINCT ON (s."databaseId", date_trunc('day', s."takenAt")) s.id, s."databaseId", s."takenAt" FROM snapshot s
       WHERE s."databaseId" = ANY (${ids}::uuid[]) AND s."takenAt" > now() - ${GROWTH_DAYS} * interval '1 day'
       ORDER BY s."databaseId", date_trunc('day', s."takenAt"), s."takenAt" DESC, s.id DESC)
    SELECT k.place, day."takenAt", t."totalBytes", t."wastedBytes", t."deadRows"
      FROM unnest(${ids}::uuid[], ${schemas}::text[], ${names}::text[]) WITH ORDINALITY AS k (id, schema, name, place)
      JOIN day ON day."databaseId" = k.id
      JOIN table_sample t ON t."snapshotId" = day.id AND t.schema = k.schema AND t.name = k.name
     ORDER BY k.place, day."takenAt"`;
  return inPlace(tables, rows).map((own) => own.map(sampleView));
}

/** The last snapshot of each database on each of the last days, the oldest first. */
export async function listDays({ prisma }: Store, databaseIds: readonly string[]): Promise<SnapshotView[][]> {
  const ids = [...databaseIds];
  const rows = await prisma.$queryRaw<(Snapshot & Placed)[]>`
    WITH day AS (
      SELECT DISTINCT ON (s."databaseId", date_trunc('day', s."takenAt")) s.* FROM snapshot s
       WHERE s."databaseId" = ANY (${ids}::uuid[]) AND s."takenAt" > now() - ${GROWTH_DAYS} * interval '1 day'
       ORDER BY s."databaseId", date_trunc('day', s."takenAt"), s."takenAt" DESC, s.id DESC)
    SELECT d.place, day.* FROM unnest(${ids}::uuid[]) WITH ORDINALITY AS d (id, place)
      JOIN day ON day."databaseId" = d.id
     ORDER BY d.place, day."takenAt"`;
  return inPlace(databaseIds, rows).map((own) => own.map(snapshotView));
}

/** How long which snapshots are kept: all of a week, then the first of each day, then the first of each week, then none. */
const KEEP_DAYS = { all: 7, daily: 90, weekly: 731 } as const;

/**
 * Thins out the snapshots of a database, and takes from those that stay what only the last one is asked for. The last
 * snapshot stays as it is, however old. Days and weeks are those of UTC.
 */
export async function thinHistory({ prisma }: Store, databaseId: string): Promise<number> {
  const removed = await prisma.$executeRaw`
    DELETE FROM snapshot s USING (
      SELECT id, row_number() OVER (ORDER BY "takenAt" DESC, id DESC) AS age, now() - "takenAt" AS old,
             row_number() OVER (PARTITION BY date_trunc('day', "takenAt") ORDER BY "takenAt", id) AS of_day,
             row_number() OVER (PARTITION BY date_trunc('week', "takenAt") ORDER BY "takenAt", id) AS of_week
        FROM snapshot WHERE "databaseId" = ${databaseId}::uuid
    ) r
     WHERE s.id = r.id AND r.age > 1 AND (
           (r.old > ${KEEP_DAYS.all} * interval '1 day' AND r.of_day > 1)
        OR (r.old > ${KEEP_DAYS.daily} * interval '1 day' AND r.of_week > 1)
        OR r.old > ${KEEP_DAYS.weekly} * interval '1 day')`;
  await prisma.$executeRaw`
    UPDATE table_sample t SET bloat = '{}', indexes = '[]' FROM snapshot s
     WHERE t."snapshotId" = s.id AND t.bloat <> '{}' AND s."databaseId" = ${databaseId}::uuid
       AND s."takenAt" BETWEEN now() - ${3 * KEEP_DAYS.all} * interval '1 day' AND now() - ${KEEP_DAYS.all} * interval '1 day'
       AND s.id <> (SELECT id FROM snapshot WHERE "databaseId" = ${databaseId}::uuid ORDER BY "takenAt" DESC, id DESC LIMIT 1)`;
  return removed;
}

const sampleView = (row: SampleRow): TableSampleView => ({
  takenAt: row.takenAt,
  totalBytes: Number(row.totalBytes),
  wastedBytes: row.wastedBytes === null ? null : Number(row.wastedBytes),
  deadRows: Number(row.deadRows),
});
