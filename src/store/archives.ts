import { createHash } from 'node:crypto';
import type { PlanNotice } from '../domain/plan.ts';
import type { ArchiveContent } from '../domain/archive-content.ts';
import type { ArchiveFormat, ArchiveKind, ArchiveState } from '../domain/words.ts';
import { type Archive, type ArchiveSegment, type Database, Prisma } from './client/client.ts';
import type { Store } from './open-store.ts';
import { type Page, pageOf, type PageRequest, pageSize, pageStart } from './page.ts';

export interface ArchiveView {
  readonly id: string;
  readonly runId: string;
  readonly databaseId: string;
  readonly databaseName: string;
  readonly schema: string;
  readonly table: string;
  readonly kind: ArchiveKind;
  readonly format: ArchiveFormat | null;
  readonly store: string | null;
  readonly rows: number;
  readonly bytes: number;
  readonly createdAt: Date;
  readonly verifiedAt: Date | null;
  /** when it was last read back, whatever came of it */
  readonly checkedAt: Date | null;
  /** what was wrong then */
  readonly problems: readonly PlanNotice[];
  readonly state: ArchiveState;
  readonly expiredAt: Date | null;
  readonly content: ArchiveContent;
}

export interface ArchiveSegmentView {
  readonly sequence: number;
  /** 0: rows of the archive's own table (domain ArchivePart) */
  readonly part: number;
  /** the numbers of the batches that its frames are from, where an archive has parts */
  readonly batches: readonly number[] | null;
  readonly location: string;
  readonly rows: number;
  readonly bytes: number;
  readonly sha256: string;
}

export interface NewArchive {
  readonly runId: string;
  readonly databaseId: string;
  readonly schema: string;
  readonly table: string;
  readonly kind: ArchiveKind;
  readonly format: ArchiveFormat | null;
  readonly store: string | null;
  readonly content: ArchiveContent;
}

/** Makes the run's archive known, once; a take-over finds it there. */
export async function ensureArchive(store: Store, archive: NewArchive): Promise<void> {
  await store.prisma.archive.upsert({
    where: { runId: archive.runId },
    create: {
      ...archive,
      rows: 0,
      bytes: 0,
      content: { ...archive.content } as unknown as Prisma.InputJsonObject,
    },
    update: {},
  });
}

/** Writes down what the ledger lists; the ledger is the truth, this is what people see. */
export async function recordSegments(
  store: Store,
  runId: string,
  segments: readonly ArchiveSegmentView[],
): Promise<void> {
  const { id: archiveId } = await store.prisma.archive.findUniqueOrThrow({
    where: { runId },
    select: { id: true },
  });
  await store.prisma.$transaction([
    store.prisma.archiveSegment.deleteMany({ where: { archiveId } }),
    store.prisma.archiveSegment.createMany({
      data: segments.map(({ batches, ...segment }) => ({
        ...segment,
        archiveId,
        batches: batches === null ? Prisma.DbNull : [...batches],
      })),
    }),
    store.prisma.archive.update({
      where: { id: archiveId },
      data: {
        rows: segments.filter(({ part }) => part >= 0).reduce((sum, { rows }) => sum + rows, 0),
        bytes: segments.reduce((sum, { bytes }) => sum + bytes, 0),
      },
    }),
  ]);
}

/** The checksum of rows kept in a table: of their number and the sum of their hashes, since they have no order. */
export const tableChecksum = (rows: number, rowHash: string): string =>
  createHash('sha256').update(`${rows}:${rowHash}`).digest('hex');

export async function findArchiveById(store: Store, id: string): Promise<ArchiveView | null> {
  const archive = await store.prisma.archive.findUnique({ where: { id }, include: { database: true } });
  return archive && viewOf(archive);
}

export async function findArchiveByRun(store: Store, runId: string): Promise<ArchiveView | null> {
  const archive = await store.prisma.archive.findUnique({ where: { runId }, include: { database: true } });
  return archive && viewOf(archive);
}

/** Newest first. */
export async function listArchives(
  store: Store,
  filter: PageRequest & { database?: string | null },
): Promise<Page<ArchiveView>> {
  const start = pageStart(filter, ['moment', 'id']);
  const after = start && new Date(start[0] ?? '');
  const archives = await store.prisma.archive.findMany({
    where: {
      ...(filter.database == null ? {} : { database: { name: filter.database } }),
      ...(start && after
        ? { OR: [{ createdAt: { lt: after } }, { createdAt: after, id: { lt: start[1] ?? '' } }] }
        : {}),
    },
    orderBy: [{ createdAt: 'desc' }, { id: 'desc' }],
    take: pageSize(filter) + 1,
    include: { database: true },
  });
  return pageOf(archives.map(viewOf), filter, (archive) => [archive.createdAt.toISOString(), archive.id]);
}

export async function listArchiveSegments(
  store: Store,
  archiveId: string,
  page: PageRequest,
): Promise<Page<ArchiveSegmentView>> {
  const after = Number(pageStart(page, ['sequence'])?.[0] ?? -1);
  const segments = await store.prisma.archiveSegment.findMany({
    where: { archiveId, sequence: { gt: after } },
    orderBy: { sequence: 'asc' },
    take: pageSize(page) + 1,
  });
  return pageOf(segments.map(segmentOf), page, ({ sequence }) => [String(sequence)]);
}

export interface ArchiveTableView {
  readonly schema: string;
  readonly table: string;
  readonly rows: number;
  readonly bytes: number;
}

/** The tables whose rows an archive holds, its own first; what lost references take up is not told apart. */
export async function listArchiveTables(
  { prisma }: Store,
  { id, schema, table, content }: Pick<ArchiveView, 'id' | 'schema' | 'table' | 'content'>,
): Promise<ArchiveTableView[]> {
  const sums = await prisma.archiveSegment.groupBy({
    by: ['part'],
    where: { archiveId: id },
    _sum: { rows: true, bytes: true },
  });
  const parts = (content.parts ?? []).filter(({ reference }) => reference === null);
  return [{ number: 0, schema, table }, ...parts].map((part) => {
    const sum = sums.find((one) => one.part === part.number)?._sum;
    return {
      schema: part.schema,
      table: part.table,
      rows: Number(sum?.rows ?? 0),
      bytes: Number(sum?.bytes ?? 0),
    };
  });
}

export async function allSegments(store: Store, archiveId: string): Promise<ArchiveSegmentView[]> {
  const segments = await store.prisma.archiveSegment.findMany({
    where: { archiveId },
    orderBy: { sequence: 'asc' },
  });
  return segments.map(segmentOf);
}

const segmentOf = (row: ArchiveSegment): ArchiveSegmentView => ({
  sequence: row.sequence,
  part: row.part,
  batches: row.batches as number[] | null,
  location: row.location,
  rows: Number(row.rows),
  bytes: Number(row.bytes),
  sha256: row.sha256,
});

const viewOf = (archive: Archive & { database: Database }): ArchiveView => ({
  id: archive.id,
  runId: archive.runId,
  databaseId: archive.databaseId,
  databaseName: archive.database.name,
  schema: archive.schema,
  table: archive.table,
  kind: archive.kind,
  format: archive.format as ArchiveFormat | null,
  store: archive.store,
  rows: Number(archive.rows),
  bytes: Number(archive.bytes),
  createdAt: archive.createdAt,
  verifiedAt: archive.verifiedAt,
  checkedAt: archive.checkedAt,
  problems: archive.problems as unknown as PlanNotice[],
  state: archive.state,
  expiredAt: archive.expiredAt,
  content: archive.content as unknown as ArchiveContent,
});
