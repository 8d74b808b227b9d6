import { Stop } from '../domain/stop.ts';
import { dropIndex } from '../target/index-statements.ts';
import type { Session } from '../target/session.ts';
import { TargetError } from '../target/sqlstate.ts';

/** A cancel is fulfilled when nothing unfinished is left, and not before. @throws Stop when somebody uses the table for longer */
export async function dropUnfinished(
  session: Session,
  index: { readonly schema: string; readonly name: string },
  lockTimeoutMs: number,
): Promise<void> {
  try {
    await dropIndex(session, index, lockTimeoutMs);
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
