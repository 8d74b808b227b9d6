import type { Statement, StatementWork } from '../operations/define-operation.ts';
import { Stop } from '../domain/stop.ts';
import { appendEvent } from '../store/run-events.ts';
import type { Store } from '../store/open-store.ts';
import { batchEntry, type LedgerPosition, underFence } from '../target/ledger.ts';
import type { Session } from '../target/session.ts';
import { TargetError } from '../target/sqlstate.ts';
import { type Ending, endingAsked } from './endings.ts';
import type { Performance } from './perform-batches.ts';
import { stopFor } from './retry.ts';
import { Watchdog } from './watchdog.ts';

/** They wait in nobody's way: only other maintenance queues behind them. The watchdog sets the bound. */
const LIMITS = { lockTimeoutMs: 0, statementTimeoutMs: 0 };

export interface StatementPerformance extends Performance {
  readonly store: Store;
  /** sees and cancels the statement from a session of its own */
  readonly monitor: Session;
}

/** One statement after the other, each repeatable; the cursor is how many are done. */
export async function performStatements(
  work: StatementWork,
  position: LedgerPosition,
  run: StatementPerformance,
): Promise<Ending> {
  let at = position;
  for (const statement of work.statements) {
    const ending = endingAsked(run) ?? (await perform(statement, run));
    if (ending) return ending;
    const done = { rows: 0, cursor: ((at.cursor as number | null) ?? 0) + 1, frame: null };
    await underFence(run.session, run.runId, at.fence, () =>
      run.session.script(batchEntry(run.runId, at, done, 0)),
    );
    at = { ...at, number: at.number + 1, cursor: done.cursor };
  }
  return { state: 'SUCCEEDED', code: null, reason: null };
}

async function perform(statement: Statement, run: StatementPerformance): Promise<Ending | null> {
  await statement.cleanUp();
  await appendEvent(run.store, run.runId, {
    kind: 'STATEMENT',
    message: statement.description,
    data: { sql: statement.sql },
  });
  const watchdog = new Watchdog(run);
  try {
    await watchdog.during(() => run.session.bare(statement.sql, LIMITS));
  } catch (error) {
    if (error instanceof TargetError && error.failure === 'CANCELLED') {
      await statement.cleanUp();
      return watchdog.verdict();
    }
    throw stopFor(error);
  }
  const problem = await statement.verify();
  if (problem !== null) throw new Stop('UNEXPECTED', problem, 'FAILED');
  return null;
}
