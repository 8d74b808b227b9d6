import { Stop } from '../domain/stop.ts';
import type { Statement, StatementWork } from '../operations/define-operation.ts';
import { appendEvent } from '../store/run-events.ts';
import type { Store } from '../store/open-store.ts';
import { batchEntry, type LedgerPosition } from '../target/ledger.ts';
import { underFence } from '../target/ledger-segments.ts';
import type { Session } from '../target/session.ts';
import { TargetError } from '../target/sqlstate.ts';
import { holdersInWords } from '../target/waits.ts';
import { type Ending, endingAsked } from './endings.ts';
import type { Performance } from './perform-batches.ts';
import { stopFor } from './retry.ts';
import { StatementReport } from './statement-report.ts';
import { LOOK_MS, MAX_BLOCKED_MS, type Verdict, waitedFor, Watchdog } from './watchdog.ts';

/** How often a statement is sent that waits for a lock, or that others wait for. */
const TRIES = 5;

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
  const enter = async () => {
    at = await entered(at, run);
  };
  for (const statement of work.statements) {
    const ending = endingAsked(run) ?? (await performStatement(statement, run, enter));
    if (ending) return ending;
    await run.progress.add({ rows: 0, included: 0, isEntered: true }, null);
  }
  return { state: 'SUCCEEDED', code: null, reason: null };
}

async function entered(
  at: LedgerPosition,
  { session, runId }: StatementPerformance,
): Promise<LedgerPosition> {
  const done = { rows: 0, cursor: ((at.cursor as number | null) ?? 0) + 1, frame: null };
  await underFence(session, runId, at.fence, () => session.script(batchEntry(runId, at, done, 0)));
  return { ...at, number: at.number + 1, cursor: done.cursor };
}

/**
 * null: it is done, whether by this try or an earlier one. enter: writes that to the ledger, before anybody is told: a control
 * store that is away must not have it done again. Missing: the caller does. @throws Stop
 */
export async function performStatement(
  statement: Statement,
  run: StatementPerformance,
  enter = () => Promise.resolve(),
): Promise<Ending | null> {
  if (await statement.isDone?.()) {
    await enter();
    return null;
  }
  for (let tries = 1; ; tries++) {
    const verdict = (await untilNobodyIsInTheWay(statement, run)) ?? (await attempt(statement, run, enter));
    if (verdict?.state !== 'AGAIN') return verdict;
    if (tries === TRIES) return givenUp(verdict.reason);
    await run.progress.resting(verdict.reason);
    await run.clock.sleep(2 ** tries * 250 * (0.5 + Math.random()), run.stopping);
    const ending = endingAsked(run);
    if (ending) return ending;
  }
}

const givenUp = (reason: string): Ending => ({
  state: 'PAUSED',
  code: 'LOCKED',
  reason: `${reason} It was tried ${TRIES} times. Resume when that has ended.`,
});

/** Before it is begun: what it would only wait for half way. */
async function untilNobodyIsInTheWay(
  statement: Statement,
  run: StatementPerformance,
): Promise<Ending | null> {
  const since = run.clock.monotonicMs();
  for (;;) {
    const holders = (await statement.inTheWay?.(run.monitor)) ?? [];
    if (holders.length === 0) return null;
    const who = holdersInWords(holders);
    const ending =
      endingAsked(run) ?? (run.clock.monotonicMs() - since < MAX_BLOCKED_MS ? null : waitedFor(who));
    if (ending) return ending;
    await run.progress.resting(`It begins when transactions that use the table have ended: ${who}.`);
    await run.clock.sleep(LOOK_MS, run.stopping);
  }
}

async function attempt(
  statement: Statement,
  run: StatementPerformance,
  enter: () => Promise<void>,
): Promise<Verdict | null> {
  const report = new StatementReport(run, statement);
  const watchdog = new Watchdog(run, report);
  try {
    await watchdog.during(async (signal) => {
      await clear(statement, run);
      await report.begins();
      await send(statement, run.session, signal);
    });
  } catch (error) {
    const verdict = watchdog.verdictOn(error);
    if (verdict === null) throw stopFor(error);
    if (verdict.state !== 'AGAIN' && verdict.state !== 'CANCELLED') await clearIfFree(statement, run);
    return verdict;
  }
  const problem = await statement.verify();
  if (problem !== null) throw new Stop('UNEXPECTED', problem, 'FAILED');
  await enter();
  await report.ends();
  return null;
}

async function send(statement: Statement, session: Session, signal: AbortSignal): Promise<void> {
  if (statement.perform) return statement.perform(signal);
  for (const setting of statement.settings ?? []) await session.script(setting);
  await session.bare(statement.sql, {
    lockTimeoutMs: statement.lockTimeoutMs ?? 0,
    statementTimeoutMs: 0,
  });
}

async function clear(statement: Statement, { store, runId }: StatementPerformance): Promise<void> {
  for (const name of await statement.cleanUp()) {
    const message = `Dropped ${name}, which a try before had left unfinished.`;
    await appendEvent(store, runId, { kind: 'LEFTOVER', message, data: { name } });
  }
}

/** Where somebody still uses the table, the next turn clears it, or the end of the run does. */
async function clearIfFree(statement: Statement, run: StatementPerformance): Promise<void> {
  try {
    await clear(statement, run);
  } catch (error) {
    if (!(error instanceof TargetError) || error.failure !== 'LOCKED') throw error;
  }
}
