import type { RowFilter } from '../domain/filter.ts';
import { Prisma } from './client/client.ts';
import type { Hold } from './client/client.ts';
import type { Store } from './open-store.ts';

export interface HoldView {
  readonly id: string;
  readonly database: string;
  readonly schema: string;
  readonly table: string;
  /** null: the whole table */
  readonly where: RowFilter | null;
  readonly reason: string;
  readonly placedBy: string;
  readonly placedAt: Date;
  readonly releasedAt: Date | null;
}

const NAME = { database: { select: { name: true } } } as const;
type Row = Hold & { database: { name: string } };

export interface NewHold {
  readonly databaseId: string;
  readonly schema: string;
  readonly table: string;
  readonly where: RowFilter | null;
  readonly reason: string;
  readonly placedBy: string;
  readonly placedAt: Date;
}

export async function insertHold({ prisma }: Store, hold: NewHold): Promise<HoldView> {
  const where = hold.where === null ? Prisma.DbNull : (hold.where as unknown as Prisma.InputJsonObject);
  return viewOf(await prisma.hold.create({ data: { ...hold, where }, include: NAME }));
}

/** Those in force first, then the newest. */
export async function listHolds({ prisma }: Store, database: string | null): Promise<HoldView[]> {
  const rows = await prisma.hold.findMany({
    where: database === null ? {} : { database: { name: database } },
    include: NAME,
    orderBy: [{ releasedAt: { sort: 'desc', nulls: 'first' } }, { placedAt: 'desc' }, { id: 'asc' }],
    take: 1_000,
  });
  return rows.map(viewOf);
}

/** Those in force on any of the tables. */
export async function holdsOn(
  { prisma }: Store,
  databaseId: string,
  tables: readonly { readonly schema: string; readonly name: string }[],
): Promise<HoldView[]> {
  if (tables.length === 0) return [];
  const rows = await prisma.hold.findMany({
    where: { databaseId, releasedAt: null, OR: tables.map(({ schema, name }) => ({ schema, table: name })) },
    include: NAME,
    orderBy: { id: 'asc' },
  });
  return rows.map(viewOf);
}

/** Which of them have been released; a hold of somebody else's control store has not. */
export async function releasedOf({ prisma }: Store, ids: readonly string[]): Promise<string[]> {
  const rows = await prisma.hold.findMany({
    where: { id: { in: [...ids] }, releasedAt: { not: null } },
    select: { id: true },
  });
  return rows.map(({ id }) => id);
}

/** @returns null when there is no such hold in force */
export async function endHold(
  { prisma }: Store,
  id: string,
  release: { readonly releasedAt: Date; readonly releasedBy: string; readonly releaseReason: string },
): Promise<HoldView | null> {
  const { count } = await prisma.hold.updateMany({ where: { id, releasedAt: null }, data: release });
  return count === 0 ? null : findHold({ prisma }, id);
}

export async function findHold({ prisma }: Pick<Store, 'prisma'>, id: string): Promise<HoldView | null> {
  const row = await prisma.hold.findUnique({ where: { id }, include: NAME });
  return row === null ? null : viewOf(row);
}

const viewOf = ({ database, where, ...row }: Row): HoldView => ({
  ...row,
  database: database.name,
  where: where as unknown as RowFilter | null,
});
