import type { RemovedIndex } from '../../domain/index-spec.ts';
import type { OperationSpec } from '../../domain/plan.ts';
import { Stop } from '../../domain/stop.ts';
import { readFingerprint } from '../../target/fingerprint.ts';
import { removalDrift } from '../../target/index-drift.ts';
import { readIndexByOid } from '../../target/index-state.ts';
import {
  concurrently,
  dropIndexSql,
  PATIENTLY_MS,
  readLeftovers,
  reindexSql,
} from '../../target/index-statements.ts';
import type { Session } from '../../target/session.ts';
import { toText } from '../../target/sql.ts';
import { TargetError } from '../../target/sqlstate.ts';
import { readTableUsers } from '../../target/waits.ts';
import type { Operation, OperationContext, Statement, StatementWork } from '../define-operation.ts';
import { dropUnfinished } from '../drop-unfinished.ts';
import { sized } from '../sized.ts';

type IndexRemoval = Extract<OperationSpec, { kind: 'INDEX_REMOVAL' }>;

/** Drops an index while everybody reads and writes; what it was is in the plan, and planRestore builds it again. */
export const indexRemoval = {
  kind: 'INDEX_REMOVAL',
  counts: null,
  async open(context: OperationContext<IndexRemoval>): Promise<StatementWork> {
    const { session, spec, relation, cursor, runId } = context;
    if (cursor === null) await refuseDrift(context);
    return {
      mode: 'STATEMENTS',
      statements: cursor === null ? [drop(session, spec.index, relation.oid)] : [],
      remark: () =>
        spec.index.isValid
          ? `Should a query miss the index: planRestore(input: { runId: "${runId}" }) builds it again, with the same definition.`
          : null,
    };
  },
  /** A drop that was broken off has made the index invalid: it is built again. */
  async abandon({ session, spec: { index }, cursor }: OperationContext<IndexRemoval>): Promise<void> {
    const found = await readIndexByOid(session, index.oid);
    if (cursor !== null || found === null || found.isValid || !index.isValid) return;
    for (const leftover of await readLeftovers(session, found.tableOid, [index.name]))
      await dropUnfinished(session, leftover, PATIENTLY_MS);
    await buildAgain(session, index, found.isLive);
  },
} satisfies Operation<IndexRemoval>;

/** Where the index is gone, a worker before this one has dropped it: the plan was looked at again when the run started. */
async function refuseDrift({ session, spec, plan, relation }: OperationContext<IndexRemoval>): Promise<void> {
  if ((await readIndexByOid(session, spec.index.oid)) === null) return;
  const planned = plan.relations[0]?.fingerprint;
  const drift =
    (await readFingerprint(session, relation.oid)) === planned
      ? await removalDrift(session, spec.index)
      : `the definition of ${relation.schema}.${relation.name} has changed`;
  if (drift !== null) throw new Stop('SCHEMA_DRIFT', `Not as planned: ${drift}. Cancel and plan again.`);
}

const drop = (session: Session, index: RemovedIndex, tableOid: number): Statement => ({
  description: `Drop ${index.schema}.${index.name}`,
  sql: toText(dropIndexSql(index)),
  // Once begun, no query may use the index: the drop is not begun before it can be finished soon.
  inTheWay: (monitor) => readTableUsers(monitor, tableOid),
  isDone: async () => (await readIndexByOid(session, index.oid)) === null,
  cleanUp: () => Promise.resolve([]),
  verify: async () =>
    (await readIndexByOid(session, index.oid)) === null
      ? null
      : `The index ${index.schema}.${index.name} is still there.`,
  outcome: () =>
    Promise.resolve(
      `${index.schema}.${index.name} is gone, and gives ${sized(index.sizeBytes)} back. It was: ${index.definition}`,
    ),
});

/** isLive: PostgreSQL still keeps the index up to date, or would; otherwise the drop has to be finished first. */
async function buildAgain(session: Session, index: RemovedIndex, isLive: boolean): Promise<void> {
  const limits = { lockTimeoutMs: PATIENTLY_MS, statementTimeoutMs: 0 };
  try {
    if (isLive) return await session.bare(toText(reindexSql(index)), limits);
    await session.bare(toText(dropIndexSql(index)), limits);
    await session.bare(concurrently(index.definition), limits);
  } catch (error) {
    if (!(error instanceof TargetError) || error.failure !== 'LOCKED') throw error;
    throw new Stop(
      'LOCKED',
      `The index ${index.schema}.${index.name} is not valid, since its drop was broken off, and a transaction keeps it from being built again. When that has ended, planReindex makes it valid.`,
      'FAILED',
      { cause: error },
    );
  }
}
