import { Stop } from '../domain/stop.ts';
import { dropInvalidIndex } from '../target/drop-invalid-index.ts';
import type { Session } from '../target/session.ts';
import { TargetError } from '../target/sqlstate.ts';

/**
 * A cancel is fulfilled when nothing unfinished is left, and not before. What others work on is theirs.
 * @throws Stop when somebody uses the table for longer
 */
export async function dropUnfinished(
  session: Session,
  index: { readonly oid: number; readonly schema: string; readonly name: string },
  patienceMs: number,
): Promise<void> {
  try {
    await dropInvalidIndex(session, index, patienceMs);
  } catch (error) {
    if (!(error instanceof TargetError) || error.failure !== 'LOCKED') throw error;
    throw new Stop(
      'LOCKED',
      `The unfinished index ${index.schema}.${index.name} is still there, since a transaction uses its table. When that has ended, planIndexRemoval drops it.`,
      'FAILED',
      { cause: error },
    );
  }
}
