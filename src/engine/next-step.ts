import { readHorizon } from '../analysis/read-horizon.ts';
import type { OperationSpec } from '../domain/plan.ts';
import type { Session } from '../target/session.ts';
import type { Measure } from './run-result.ts';

/** So many dead rows that a VACUUM has left are worth a word. */
const LEFT = { rows: 1_000, share: 0.01 };

/** What to do once a table has been put in order; null: nothing. */
export async function nextAfterReorganization(
  session: Session,
  operation: Extract<OperationSpec, { kind: 'REORGANIZATION' }>,
  after: Measure | null,
  reusable: number | null,
): Promise<string | null> {
  if (operation.method !== 'VACUUM' || after === null) return null;
  if (after.dead >= LEFT.rows && after.dead >= LEFT.share * after.live) return whyLeft(session, after.dead);
  return reusable === null || reusable === 0
    ? null
    : `About ${Math.ceil(reusable / 1_000_000)} MB became free for new rows. planReorganization with AUTO says whether to give free space back to the disk.`;
}

async function whyLeft(session: Session, dead: number): Promise<string> {
  const holders = (await readHorizon(session)).filter(({ holds }) => holds === 'ROWS').slice(0, 3);
  const who = holders.map(({ detail }) => detail).join(' ');
  return holders.length === 0
    ? `${dead} rows are dead again, or died while VACUUM was at work: plan another one when there is less to do.`
    : `${dead} dead rows could not be removed. ${who} When that has ended, plan VACUUM again.`;
}
