import type { Store } from './open-store.ts';

/** Turns at the snapshots that are due, by the control store's clock. */
export interface Turn {
  readonly id: string;
  readonly name: string;
}

/** Runs that end one after the other are looked at together. */
const AFTER_RUN_MS = 60_000;

/**
 * Takes the turn of one database for this process alone; null when none is due. Due is what was last looked at so long ago,
 * and what a run has ended on since; what came to nothing is tried again at its own time.
 */
export async function takeSnapshotTurn({ prisma }: Store, everyMs: number): Promise<Turn | null> {
  const rows = await prisma.$queryRaw<Turn[]>`
    UPDATE database SET "snapshotTurnAt" = now(), "snapshotRetryAt" = NULL
     WHERE id = (
      SELECT d.id FROM database d
       WHERE least(d."snapshotRetryAt", d."snapshotTurnAt" + ${everyMs}::float8 * interval '1 millisecond') <= now()
          OR (d."snapshotTurnAt" <= now() - ${AFTER_RUN_MS}::float8 * interval '1 millisecond'
              AND EXISTS (SELECT FROM run r WHERE r."databaseId" = d.id AND r."endedAt" > d."snapshotTurnAt"))
       ORDER BY d."snapshotTurnAt", d.id LIMIT 1 FOR NO KEY UPDATE SKIP LOCKED)
    RETURNING id::text AS id, name`;
  return rows[0] ?? null;
}

/** The turn came to nothing: another one is due after that time, if not before. */
export async function retrySnapshot({ prisma }: Store, id: string, afterMs: number): Promise<void> {
  await prisma.$executeRaw`
    UPDATE database SET "snapshotRetryAt" = now() + ${afterMs}::float8 * interval '1 millisecond' WHERE id = ${id}::uuid`;
}
