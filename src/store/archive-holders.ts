import { holdersOf } from '../domain/archive-tables.ts';
import type { ArchiveContent } from '../domain/archive-content.ts';
import type { Store } from './open-store.ts';

/** The tables of a database that keep archived rows. */
export async function listArchiveHolders(
  { prisma }: Store,
  databaseId: string,
): Promise<{ readonly schema: string; readonly name: string }[]> {
  const rows = await prisma.archive.findMany({
    where: { databaseId, kind: 'TABLE' },
    select: { content: true },
  });
  return rows.flatMap(({ content }) => holdersOf(content as unknown as ArchiveContent));
}
