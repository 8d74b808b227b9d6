import { heldTables } from '../domain/held-tables.ts';
import type { PlanSpec, RelationIdentity } from '../domain/plan.ts';
import type { Piece, StoredPart, Treated } from '../operations/define-operation.ts';
import type { Frame } from '../archive/segment-sink.ts';
import { Stop } from '../domain/stop.ts';
import { failpoint } from '../failpoint.ts';
import { fingerprintSql } from '../target/fingerprint.ts';
import { HOLD_LOCK, holdCheck } from '../target/ledger-holds.ts';
import { batchEntry, Fenced, fenceCheck, type LedgerPosition } from '../target/ledger.ts';
import type { Session } from '../target/session.ts';
import { ident, toText } from '../target/sql.ts';
import type { Lease } from './lease.ts';

export interface BatchResult extends Omit<Treated, 'store' | 'storeParts'> {
  readonly frame: Frame | null;
  /** what went along, with what was kept of it */
  readonly parts: readonly StoredPart[];
  /** rows of other tables that went along */
  readonly included: number;
  /** There is an entry in the ledger. */
  readonly isEntered: boolean;
  /** that the database worked on the rows, in milliseconds */
  readonly workMs: number;
  /** from BEGIN to the reply of COMMIT, without waiting for the batch before, in milliseconds */
  readonly ms: number;
}

/** A session in which one batch at a time is under way, with its row in the ledger. */
export interface Lane {
  readonly session: Session;
  readonly number: number;
}

export interface BatchContext {
  readonly runId: string;
  readonly plan: PlanSpec;
  readonly lease: Pick<Lease, 'isSafe'>;
}

/** A batch whose rows have been treated, in a transaction that is still open. */
export interface OpenBatch extends Treated {
  readonly lane: Lane;
  readonly workMs: number;
  /** from BEGIN on, in milliseconds */
  readonly ms: number;
}

/** The lease ran out while the batch was under way; whoever takes over decides what happens next. */
export class LeaseLost extends Error {
  constructor() {
    super('The lease of this run could not be renewed in time.');
    this.name = 'LeaseLost';
  }
}

/**
 * Something failed after a COMMIT, or between what is in the files and what is in the ledger. Nothing is lost, but this worker
 * no longer knows how things stand: it begins its turn anew, by the ledger.
 */
export class TurnBroken extends Error {
  constructor(cause: unknown) {
    super('The turn has to begin anew, by the ledger.', { cause });
    this.name = 'TurnBroken';
  }
}

/**
 * The first half of a batch, in the order that lost nothing under any fault: lock the ledger's row and compare the fence;
 * look for holds; compare the schema; treat the rows. Rolls back when it throws.
 */
export async function beginBatch(
  context: BatchContext,
  lane: Lane,
  fence: number,
  piece: Piece,
): Promise<OpenBatch> {
  const begun = performance.now();
  try {
    await openTransaction(context, lane, fence, piece.tables);
    failpoint('batch.opened');
    const workBegun = performance.now();
    const treated = await piece.treat(lane.session);
    failpoint('batch.treated');
    const now = performance.now();
    return { ...treated, lane, workMs: now - workBegun, ms: now - begun };
  } catch (error) {
    await lane.session.rollback();
    throw error;
  }
}

/**
 * The second half, once the batch before has committed: make durable and read back what was taken away; write the ledger's
 * entry; COMMIT. Rolls back when it throws.
 */
export async function commitBatch(
  { runId, lease }: BatchContext,
  batch: OpenBatch,
  position: LedgerPosition,
): Promise<BatchResult> {
  const { session } = batch.lane;
  const begun = performance.now();
  try {
    const frame = await batch.store();
    const parts = (await batch.storeParts?.()) ?? [];
    failpoint('batch.stored');
    if (!lease.isSafe) throw new LeaseLost();
    const ms = () => batch.ms + performance.now() - begun;
    const { units, rows, cursor, workMs, isStep = false, unitsChange = false } = batch;
    // A batch without rows leaves no trace: going over its blocks again costs less than an entry.
    const isEntered = rows > 0 || parts.length > 0 || isStep;
    if (isEntered) await commit(session, batchEntry(runId, position, { rows, cursor, frame, parts }, ms()));
    else await session.rollback();
    const included = batch.included ?? 0;
    const done = { units, rows, included, cursor, frame, parts, isEntered, isStep, unitsChange, workMs };
    return { ...done, ms: ms() };
  } catch (error) {
    await session.rollback();
    throw error;
  }
}

async function commit(session: Session, entry: string): Promise<void> {
  const committed = session.script(`${entry}; COMMIT`);
  failpoint('batch.commit-sent');
  await committed;
  failpoint('batch.committed');
}

/** Planning these statements takes longer than running them, so that is done once a session. */
export async function prepareBatches(session: Session, plan: PlanSpec): Promise<void> {
  const tables = heldTables(plan);
  const statements = plan.relations.map(
    ({ oid }, i) => `PREPARE declutter_fingerprint_${i} AS ${toText(fingerprintSql(oid))}`,
  );
  if (tables.length > 0) statements.push(`PREPARE declutter_holds AS ${holdCheck(tables, plan.holds)}`);
  if (statements.length > 0) await session.script(statements.join('; '));
}

/** Opens the transaction, in one message. The locks come before what is read under them, so that nothing fits between. */
export async function openTransaction(
  { runId, plan }: Pick<BatchContext, 'runId' | 'plan'>,
  { session, number }: Lane,
  fence: number,
  tables: readonly RelationIdentity[] = plan.relations,
): Promise<void> {
  const results = await session.script(
    [session.begin(), fenceCheck(runId, number), ...checksOf(plan, tables)].join('; '),
  );
  const found = (name: string) =>
    results.flatMap(({ rows: [first] }) => (first && name in first ? [first] : []));
  if (found('fence')[0]?.['fence'] !== String(fence)) throw new Fenced();
  const [hold] = found('held') as unknown as HoldFound[];
  if (hold !== undefined) throw held(hold);
  const fingerprints = found('fingerprint');
  const changed = tables.find(({ fingerprint }, i) => fingerprints[i]?.['fingerprint'] !== fingerprint);
  if (changed !== undefined) throw drifted(changed);
}

function checksOf(plan: PlanSpec, tables: readonly RelationIdentity[]): string[] {
  const names = tables.map(({ schema, name }) => `ONLY ${toText(ident(schema, name))}`);
  return [
    ...(heldTables(plan).length === 0 ? [] : [HOLD_LOCK, 'EXECUTE declutter_holds']),
    ...(names.length === 0 ? [] : [`LOCK TABLE ${names.join(', ')} IN ROW EXCLUSIVE MODE`]),
    ...tables.map((table) => `EXECUTE declutter_fingerprint_${plan.relations.indexOf(table)}`),
  ];
}

interface HoldFound {
  readonly held: string;
  readonly schema: string;
  readonly name: string;
  readonly reason: string;
}

const held = ({ held: id, schema, name, reason }: HoldFound): Stop =>
  new Stop(
    'HOLD',
    `A hold was placed on ${schema}.${name}: ${reason}. Release it (releaseHold ${id}) and resume, or cancel the run.`,
  );

const drifted = ({ schema, name }: RelationIdentity): Stop =>
  new Stop(
    'SCHEMA_DRIFT',
    `${schema}.${name} is not as it was when the plan was made (columns, keys, triggers, rules or the like). ` +
      'Cancel this run and plan again.',
  );
