import type { PlanNotice } from '../domain/plan.ts';
import type { Store } from './open-store.ts';

/** An archive that is due to be read back, by the control store's clock. */
export interface VerificationTurn {
  readonly id: string;
  readonly runId: string;
  readonly schema: string;
  readonly table: string;
}

/** One that takes a turn and is lost leaves the archive to the next after this; nothing is harmed when two read it. */
const TURN_MS = 6 * 3_600_000;

/**
 * Takes the turn at one archive for this process alone; null when none is due. Due is what was made, and last read back, so long
 * ago, and is still kept by a run that has ended; those that nobody ever read back come first.
 */
export async function takeVerificationTurn(
  { prisma }: Store,
  everyMs: number,
): Promise<VerificationTurn | null> {
  const rows = await prisma.$queryRaw<VerificationTurn[]>`
    UPDATE archive SET "verifyAfter" = now() + ${TURN_MS}::float8 * interval '1 millisecond'
     WHERE id = (
      SELECT a.id FROM archive a JOIN run r ON r.id = a."runId"
       WHERE a.state = 'KEPT' AND r.state IN ('SUCCEEDED', 'CANCELLED')
         AND greatest(r."endedAt", a."checkedAt") <= now() - ${everyMs}::float8 * interval '1 millisecond'
         AND (a."verifyAfter" IS NULL OR a."verifyAfter" <= now())
       ORDER BY a."checkedAt" NULLS FIRST, a.id LIMIT 1 FOR NO KEY UPDATE OF a SKIP LOCKED)
    RETURNING id::text AS id, "runId"::text AS "runId", schema, "table"`;
  return rows[0] ?? null;
}

/** It could not be reached: another try is due after that time. */
export async function retryVerification({ prisma }: Store, id: string, afterMs: number): Promise<void> {
  await prisma.$executeRaw`
    UPDATE archive SET "verifyAfter" = now() + ${afterMs}::float8 * interval '1 millisecond' WHERE id = ${id}::uuid`;
}

/** What reading an archive back has shown. Whole is what had no problem. */
export async function recordVerification(
  { prisma }: Store,
  id: string,
  at: Date,
  problems: readonly PlanNotice[],
): Promise<void> {
  const whole = problems.length === 0 ? { verifiedAt: at } : {};
  await prisma.archive.update({
    where: { id },
    data: {
      ...whole,
      checkedAt: at,
      verifyAfter: null,
      problems: problems.map((problem) => ({ ...problem })),
    },
  });
}
