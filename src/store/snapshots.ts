import type { Bloat, IndexFigures, NotJudged, TableFigures } from '../domain/finding.ts';
import type { TableOrder } from '../domain/words.ts';
import { notFound } from '../errors.ts';
import { Prisma, type Snapshot, type TableSample } from './client/client.ts';
import { type FindingsFound, recordFindings } from './findings.ts';
import type { Store } from './open-store.ts';
import { inPlace, type Page, pageOf, type PageRequest, pageSize, pageStart, type Placed } from './page.ts';

export interface SnapshotView {
  readonly id: string;
  readonly takenAt: Date;
  readonly sizeBytes: number;
  readonly wastedBytes: number;
  readonly deadRows: number;
  readonly exact: boolean;
  readonly durationMs: number;
  readonly notJudged: readonly NotJudged[];
}

export type NewSnapshot = Omit<SnapshotView, 'id'> & {
  readonly databaseId: string;
  readonly tables: readonly TableFigures[];
};

/** A table as the last snapshot remembers it. */
export type TableView = Omit<TableFigures, 'oid'>;

export interface TableQuery extends PageRequest {
  readonly schema?: string | null;
  readonly orderBy?: TableOrder | null;
}

/** A snapshot and what was found in it appear together or not at all. Two at a time for one database take turns. */
export function recordSnapshot(
  { prisma }: Store,
  snapshot: NewSnapshot,
  found: FindingsFound,
): Promise<SnapshotView> {
  return prisma.$transaction(
    async (tx) => {
      const [database] = await tx.$queryRaw<{ id: string; name: string }[]>`
        SELECT id, name FROM database WHERE id = ${snapshot.databaseId}::uuid FOR NO KEY UPDATE`;
      if (database === undefined) throw notFound('The database');
      const { tables, notJudged, ...figures } = snapshot;
      const data = { ...figures, notJudged: notJudged.map((one) => ({ ...one })) };
      const row = await tx.snapshot.create({ data });
      await insertSamples(tx, row.id, tables);
      await recordFindings(tx, database, found);
      return snapshotView(row);
    },
    { timeout: 60_000, maxWait: 10_000 },
  );
}

/** One statement for thousands of tables. */
async function insertSamples(
  tx: Prisma.TransactionClient,
  snapshotId: string,
  tables: readonly TableFigures[],
): Promise<void> {
  const rows = tables.map((table) => ({ ...table, wastedBytes: table.bloat.wastedBytes }));
  await tx.$executeRaw`
    INSERT INTO table_sample ("snapshotId", schema, name, "liveRows", "deadRows", "totalBytes", "heapBytes", "toastBytes", "indexBytes",
                              "wastedBytes", bloat, indexes, "lastVacuumAt", "lastAnalyzeAt")
    SELECT ${snapshotId}::uuid, r.schema, r.name, round(r."liveRows"), round(r."deadRows"), round(r."totalBytes"), round(r."heapBytes"),
           round(r."toastBytes"), round(r."indexBytes"), round(r."wastedBytes"), r.bloat, r.indexes, r."lastVacuumAt", r."lastAnalyzeAt"
      FROM json_to_recordset(${JSON.stringify(rows)}::json) AS r (schema text, name text, "liveRows" numeric, "deadRows" numeric,
           "totalBytes" numeric, "heapBytes" numeric, "toastBytes" numeric, "indexBytes" numeric, "wastedBytes" numeric,
           bloat jsonb, indexes jsonb, "lastVacuumAt" timestamptz, "lastAnalyzeAt" timestamptz)`;
}

/** When we first looked at the database; null before that. */
export async function firstSnapshotAt({ prisma }: Store, databaseId: string): Promise<Date | null> {
  return (await prisma.snapshot.aggregate({ where: { databaseId }, _min: { takenAt: true } }))._min.takenAt;
}

/** A page for each database, the newest first. */
export async function listSnapshots(
  { prisma }: Store,
  databaseIds: readonly string[],
  page: PageRequest,
): Promise<Page<SnapshotView>[]> {
  const start = pageStart(page, ['moment', 'id']);
  const rows = await prisma.$queryRaw<(Snapshot & Placed)[]>`
    SELECT p.*, d.place FROM unnest(${[...databaseIds]}::uuid[]) WITH ORDINALITY AS d (id, place)
     CROSS JOIN LATERAL (
      SELECT s.* FROM snapshot s
       WHERE s."databaseId" = d.id
         AND ${start ? Prisma.sql`(s."takenAt", s.id) < (${start[0]}::timestamptz, ${start[1]}::uuid)` : Prisma.sql`true`}
       ORDER BY s."takenAt" DESC, s.id DESC LIMIT ${pageSize(page) + 1}
     ) p
     ORDER BY d.place, p."takenAt" DESC, p.id DESC`;
  return inPlace(databaseIds, rows).map((own) =>
    pageOf(own.map(snapshotView), page, (view) => [view.takenAt.toISOString(), view.id]),
  );
}

const RANKS: Readonly<Record<TableOrder, Prisma.Sql>> = {
  WASTED_BYTES: Prisma.sql`coalesce(t."wastedBytes", -1)`,
  TOTAL_BYTES: Prisma.sql`t."totalBytes"`,
  DEAD_ROWS: Prisma.sql`t."deadRows"`,
  NAME: Prisma.sql`0::bigint`,
};

/** Tables of the last snapshot of each database. Only the page's own rows are read whole: indexes and verdicts are wide. */
export async function listTables(
  { prisma }: Store,
  databaseIds: readonly string[],
  query: TableQuery,
): Promise<Page<TableView>[]> {
  const rank = RANKS[query.orderBy ?? 'WASTED_BYTES'];
  const start = pageStart(query, ['size', 'text', 'text']);
  const rows = await prisma.$queryRaw<(TableSample & Placed & { rank: bigint })[]>`
    SELECT w.*, p.rank, d.place FROM unnest(${[...databaseIds]}::uuid[]) WITH ORDINALITY AS d (id, place)
     CROSS JOIN LATERAL (
      SELECT s.id FROM snapshot s WHERE s."databaseId" = d.id ORDER BY s."takenAt" DESC, s.id DESC LIMIT 1
     ) last CROSS JOIN LATERAL (
      SELECT t."snapshotId", t.schema, t.name, ${rank} AS rank FROM table_sample t
       WHERE t."snapshotId" = last.id
         AND (${query.schema ?? null}::text IS NULL OR t.schema = ${query.schema ?? null}::text)
         AND ${start ? after(rank, start) : Prisma.sql`true`}
       ORDER BY rank DESC, t.schema COLLATE "C", t.name COLLATE "C" LIMIT ${pageSize(query) + 1}
     ) p JOIN table_sample w ON w."snapshotId" = p."snapshotId" AND w.schema = p.schema AND w.name = p.name
     ORDER BY d.place, p.rank DESC, p.schema COLLATE "C", p.name COLLATE "C"`;
  return inPlace(databaseIds, rows).map((own) => tablePage(own, query));
}

function tablePage(rows: readonly (TableSample & { rank: bigint })[], query: TableQuery): Page<TableView> {
  const keys = new Map(rows.map((row) => [`${row.schema}\0${row.name}`, String(row.rank)]));
  return pageOf(rows.map(tableView), query, (view) => [
    keys.get(`${view.schema}\0${view.name}`) ?? '0',
    view.schema,
    view.name,
  ]);
}

const after = (
  rank: Prisma.Sql,
  [value, schema, name]: string[],
) => Prisma.sql`(${rank} < ${value}::bigint OR (${rank} = ${value}::bigint
  AND (t.schema COLLATE "C", t.name COLLATE "C") > (${schema}::text, ${name}::text)))`;

/** A table as the last snapshot remembers it. */
export async function findLastTable(
  { prisma }: Store,
  databaseId: string,
  schema: string,
  name: string,
): Promise<TableView | null> {
  const snapshot = await prisma.snapshot.findFirst({
    where: { databaseId },
    orderBy: [{ takenAt: 'desc' }, { id: 'desc' }],
    select: { id: true },
  });
  if (snapshot === null) return null;
  const row = await prisma.tableSample.findUnique({
    where: { snapshotId_schema_name: { snapshotId: snapshot.id, schema, name } },
  });
  return row === null ? null : tableView(row);
}

export const snapshotView = (row: Snapshot): SnapshotView => ({
  id: row.id,
  takenAt: row.takenAt,
  sizeBytes: Number(row.sizeBytes),
  wastedBytes: Number(row.wastedBytes),
  deadRows: Number(row.deadRows),
  exact: row.exact,
  durationMs: row.durationMs,
  notJudged: row.notJudged as unknown as NotJudged[],
});

const tableView = (row: TableSample): TableView => ({
  schema: row.schema,
  name: row.name,
  liveRows: Number(row.liveRows),
  deadRows: Number(row.deadRows),
  totalBytes: Number(row.totalBytes),
  heapBytes: Number(row.heapBytes),
  toastBytes: Number(row.toastBytes),
  indexBytes: Number(row.indexBytes),
  bloat: row.bloat as unknown as Bloat,
  indexes: row.indexes as unknown as IndexFigures[],
  lastVacuumAt: row.lastVacuumAt?.toISOString() ?? null,
  lastAnalyzeAt: row.lastAnalyzeAt?.toISOString() ?? null,
});
