import type { PlanSpec } from '../domain/plan.ts';
import { type BatchDone, type BatchSize, type BatchWork, Stop } from '../operations/define-operation.ts';
import { fingerprintSql } from '../target/fingerprint.ts';
import { batchEntry, Fenced, fenceCheck, type LedgerPosition } from '../target/ledger.ts';
import type { Session } from '../target/session.ts';
import { ident, toText } from '../target/sql.ts';
import type { Lease } from './lease.ts';

export interface BatchResult extends BatchDone {
  /** of the batch's own work, in milliseconds */
  readonly workMs: number;
  /** from BEGIN to the reply of COMMIT, in milliseconds */
  readonly ms: number;
}

export interface BatchContext {
  readonly session: Session;
  readonly runId: string;
  readonly plan: PlanSpec;
  readonly work: BatchWork;
  readonly lease: Pick<Lease, 'isSafe'>;
}

/** The lease ran out while the batch was under way; whoever takes over decides what happens next. */
export class LeaseLost extends Error {
  constructor() {
    super('The lease of this run could not be renewed in time.');
    this.name = 'LeaseLost';
  }
}

/**
 * One batch, in the order that lost nothing under any fault: lock the ledger's row and compare the fence; compare the schema;
 * treat the rows (an archive makes them durable and reads them back meanwhile); write the ledger's entry; COMMIT.
 */
export async function runBatch(
  context: BatchContext,
  position: LedgerPosition,
  size: BatchSize,
): Promise<BatchResult> {
  const { session, runId, work, lease } = context;
  const begun = performance.now();
  try {
    await openBatch(context, position);
    const workBegun = performance.now();
    const done = await work.treat(size);
    const workMs = performance.now() - workBegun;
    if (!lease.isSafe) throw new LeaseLost();
    // A batch without rows leaves no trace: going over its blocks again costs less than an entry.
    if (done.rows === 0) await session.rollback();
    else await session.script(`${batchEntry(runId, position, done, performance.now() - begun)}; COMMIT`);
    return { ...done, workMs, ms: performance.now() - begun };
  } catch (error) {
    await session.rollback();
    throw error;
  }
}

/** Planning the fingerprint takes longer than computing it, so that is done once a session. */
export async function prepareBatches(session: Session, { relations }: PlanSpec): Promise<void> {
  const subject = relations[0];
  if (subject)
    await session.script(`PREPARE declutter_fingerprint AS ${toText(fingerprintSql(subject.oid))}`);
}

/** Opens the transaction, in one message. The table lock comes before the fingerprint, so that no DDL fits between. */
export async function openBatch(
  { session, runId, plan }: BatchContext,
  position: LedgerPosition,
): Promise<void> {
  const subject = plan.relations[0];
  const check = subject
    ? `; LOCK TABLE ONLY ${toText(ident(subject.schema, subject.name))} IN ROW EXCLUSIVE MODE; EXECUTE declutter_fingerprint`
    : '';
  const results = await session.script(`${session.begin()}; ${fenceCheck(runId)}${check}`);
  const value = (name: string) =>
    results.find((result) => result.rows[0] && name in result.rows[0])?.rows[0]?.[name];
  if (value('fence') !== String(position.fence)) throw new Fenced();
  if (subject && value('fingerprint') !== subject.fingerprint) {
    throw new Stop(
      'SCHEMA_DRIFT',
      `${subject.schema}.${subject.name} is not as it was when the plan was made (columns, keys, triggers, rules or the like). ` +
        'Cancel this run and plan again.',
    );
  }
}
