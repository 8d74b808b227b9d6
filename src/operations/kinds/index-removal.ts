import type { RemovedIndex } from '../../domain/index-spec.ts';
import type { OperationSpec } from '../../domain/plan.ts';
import { Stop } from '../../domain/stop.ts';
import { readFingerprint } from '../../target/fingerprint.ts';
import { removalDrift } from '../../target/index-drift.ts';
import { readIndex, readIndexByOid } from '../../target/index-state.ts';
import { dropIndexSql, PATIENTLY_MS, readLeftovers } from '../../target/index-statements.ts';
import type { Session } from '../../target/session.ts';
import { toText } from '../../target/sql.ts';
import { readTableUsers } from '../../target/waits.ts';
import type { Operation, OperationContext, Statement, StatementWork } from '../define-operation.ts';
import { buildAgain } from '../build-again.ts';
import { dropUnfinished } from '../drop-unfinished.ts';
import { sized } from '../sized.ts';

type IndexRemoval = Extract<OperationSpec, { kind: 'INDEX_REMOVAL' }>;

/** Drops an index while everybody reads and writes; what it was is in the plan, and planRestore builds it again. */
export const indexRemoval = {
  kind: 'INDEX_REMOVAL',
  counts: null,
  async open(context: OperationContext<IndexRemoval>): Promise<StatementWork> {
    const { spec, cursor, runId } = context;
    if (cursor === null) await refuseDrift(context);
    return {
      mode: 'STATEMENTS',
      statements: cursor === null ? [drop(context)] : [],
      remark: () =>
        spec.index.isValid
          ? `Should a query miss the index: planRestore(input: { runId: "${runId}" }) builds it again, with the same definition.`
          : null,
    };
  },
  /** A drop that was broken off has made the index invalid, or is done and not in the ledger: it is built again. */
  async abandon({
    session,
    spec: { index },
    relation,
    cursor,
    runId,
  }: OperationContext<IndexRemoval>): Promise<void> {
    if (cursor !== null || !index.isValid) return;
    const planned = await readIndexByOid(session, index.oid);
    const left = planned ?? (await readIndex(session, index.schema, index.name));
    const isOurs = planned !== null || left === null || left.definition === index.definition;
    if (left?.isValid === true || !isOurs) return;
    for (const leftover of await readLeftovers(session, relation.oid, [index.name]))
      await dropUnfinished(session, leftover, PATIENTLY_MS);
    await buildAgain(session, index, left, runId);
  },
} satisfies Operation<IndexRemoval>;

/** Where the index is gone, a worker before this one has dropped it: the plan was looked at again when the run started. */
async function isGone(session: Session, { oid, schema, name }: RemovedIndex): Promise<boolean> {
  if ((await readIndexByOid(session, oid)) !== null) return false;
  if ((await readIndex(session, schema, name)) === null) return true;
  throw new Stop(
    'SCHEMA_DRIFT',
    `Not as planned: the index ${schema}.${name} is another by now. Cancel and plan again.`,
  );
}

async function refuseDrift({ session, spec, plan, relation }: OperationContext<IndexRemoval>): Promise<void> {
  if (await isGone(session, spec.index)) return;
  const planned = plan.relations[0]?.fingerprint;
  const drift =
    (await readFingerprint(session, relation.oid)) === planned
      ? await removalDrift(session, spec.index)
      : `the definition of ${relation.schema}.${relation.name} has changed`;
  if (drift !== null) throw new Stop('SCHEMA_DRIFT', `Not as planned: ${drift}. Cancel and plan again.`);
}

function drop(context: OperationContext<IndexRemoval>): Statement {
  const { session, spec, relation } = context;
  const { index } = spec;
  return {
    description: `Drop ${index.schema}.${index.name}`,
    sql: toText(dropIndexSql(index)),
    // Once begun, no query may use the index: the drop is not begun before it can be finished soon.
    inTheWay: (monitor) => readTableUsers(monitor, relation.oid),
    isDone: () => isGone(session, index),
    // A minute and more may have passed since the run was opened, and the drop goes by name.
    cleanUp: async () => {
      await refuseDrift(context);
      return [];
    },
    verify: async () =>
      (await readIndexByOid(session, index.oid)) === null
        ? null
        : `The index ${index.schema}.${index.name} is still there.`,
    outcome: () =>
      Promise.resolve(
        `${index.schema}.${index.name} is gone, and gives ${sized(index.sizeBytes)} back. It was: ${index.definition}`,
      ),
  };
}
