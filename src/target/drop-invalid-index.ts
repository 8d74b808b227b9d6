import { readIndexByOid } from './index-state.ts';
import { dropIndexSql } from './index-statements.ts';
import { isInWork, isMaintained } from './index-work.ts';
import type { Session } from './session.ts';
import { toText } from './sql.ts';
import { TargetError } from './sqlstate.ts';

/** While somebody maintains the table: what is invalid now may be valid, and in use, by the time a longer wait is over. */
const MOMENT_MS = 200;

/**
 * Drops an index that is not valid and that nobody else works on; false: it is left alone.
 * @throws TargetError LOCKED when somebody uses the table for longer
 */
export async function dropInvalidIndex(
  session: Session,
  { oid }: { readonly oid: number },
  patienceMs: number,
): Promise<boolean> {
  const end = performance.now() + patienceMs;
  for (;;) {
    const now = await readIndexByOid(session, oid);
    if (now === null || now.isValid || (await isInWork(session, now))) return false;
    const isShort = await isMaintained(session, now.tableOid);
    const lockTimeoutMs = isShort ? MOMENT_MS : patienceMs;
    try {
      await session.bare(toText(dropIndexSql(now)), { lockTimeoutMs, statementTimeoutMs: 0 });
      return true;
    } catch (error) {
      const mayPass = isShort && error instanceof TargetError && error.failure === 'LOCKED';
      if (!mayPass || performance.now() > end) throw error;
    }
  }
}
