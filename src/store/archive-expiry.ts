import type { ArchiveState } from '../domain/words.ts';
import type { Store } from './open-store.ts';

/**
 * From now on this run alone may touch the archive, which nobody may restore any more. A run that has ended and left the archive
 * half destroyed gives way to the next. False when another run destroys it, or has destroyed it.
 */
export async function claimForExpiry({ prisma }: Store, id: string, runId: string): Promise<boolean> {
  const claimed = await prisma.$executeRaw`
    UPDATE archive SET state = 'EXPIRING', "expiryRunId" = ${runId}::uuid
     WHERE id = ${id}::uuid
       AND (state = 'KEPT'
            OR (state = 'EXPIRING' AND ("expiryRunId" = ${runId}::uuid
                  OR NOT EXISTS (SELECT FROM run WHERE run.id = archive."expiryRunId"
                                    AND run.state NOT IN ('SUCCEEDED', 'FAILED', 'CANCELLED')))))`;
  return claimed === 1;
}

/** Nothing of it is destroyed: it is as good as before. */
export async function keepAfterAll({ prisma }: Store, id: string, runId: string): Promise<void> {
  await prisma.archive.updateMany({
    where: { id, expiryRunId: runId, state: 'EXPIRING' },
    data: { state: 'KEPT', expiryRunId: null },
  });
}

export async function markExpired({ prisma }: Store, id: string, runId: string, at: Date): Promise<void> {
  await prisma.archive.updateMany({
    where: { id, expiryRunId: runId, state: 'EXPIRING' },
    data: { state: 'EXPIRED', expiredAt: at },
  });
}

/** Runs that have not ended and put rows of the archive back. They are there before they look whether the archive is kept. */
export async function activeRestores({ prisma }: Store, archiveId: string): Promise<string[]> {
  const runs = await prisma.run.findMany({
    where: {
      plan: { kind: 'RESTORE', spec: { path: ['operation', 'archiveId'], equals: archiveId } },
      state: { notIn: ['SUCCEEDED', 'FAILED', 'CANCELLED'] },
    },
    orderBy: { id: 'asc' },
    select: { id: true },
  });
  return runs.map(({ id }) => id);
}

/** null: there is no such archive */
export async function archiveState({ prisma }: Store, id: string): Promise<ArchiveState | null> {
  const archive = await prisma.archive.findUnique({ where: { id }, select: { state: true } });
  return archive?.state ?? null;
}
