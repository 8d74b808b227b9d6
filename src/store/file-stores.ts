import type { Store } from './open-store.ts';

/** The id of the archive store of that name: the one that the first process saw, whatever folder the others have. */
export async function fileStoreId(
  { prisma }: Store,
  name: string,
  see: () => Promise<string>,
): Promise<string> {
  const known = await prisma.fileStore.findUnique({ where: { name } });
  if (known) return known.id;
  await prisma.fileStore.createMany({ data: [{ name, id: await see() }], skipDuplicates: true });
  return (await prisma.fileStore.findUniqueOrThrow({ where: { name } })).id;
}
