import type { IndexIdentity, OperationSpec } from '../../domain/plan.ts';
import { readIndexByOid } from '../../target/index-state.ts';
import { dropIndexSql, PATIENTLY_MS, readLeftovers } from '../../target/index-statements.ts';
import { isInWork } from '../../target/index-work.ts';
import type { Session } from '../../target/session.ts';
import { toText } from '../../target/sql.ts';
import { checkIndex } from '../check-index.ts';
import type { Operation, OperationContext, Statement, StatementWork } from '../define-operation.ts';
import { dropUnfinished } from '../drop-unfinished.ts';
import { reindexOne } from '../reindex-one.ts';

type Reindex = Extract<OperationSpec, { kind: 'REINDEX' }>;

/** Builds indexes anew beside the old ones, one after the other, while everybody reads and writes. */
export const reindex = {
  kind: 'REINDEX',
  counts: null,
  open({ session, spec, cursor }: OperationContext<Reindex>): Promise<StatementWork> {
    const statements = [
      ...(spec.leftovers ?? []).map((index) => dropLeftover(session, index)),
      ...spec.indexes.flatMap((index) => [
        reindexOne(session, index),
        ...(spec.amcheck === undefined ? [] : [checkIndex(session, index, spec.amcheck)]),
      ]),
    ];
    return Promise.resolve({
      mode: 'STATEMENTS',
      statements: statements.slice((cursor as number | null) ?? 0),
    });
  },
  /** The old indexes are as they were; what was built beside them goes. */
  async abandon({ session, spec, relation }: OperationContext<Reindex>): Promise<void> {
    const names = spec.indexes.map(({ name }) => name);
    for (const index of await readLeftovers(session, relation.oid, names))
      await dropUnfinished(session, index, PATIENTLY_MS);
  },
} satisfies Operation<Reindex>;

/** Found when the plan was made; it may be in work again, or gone. */
const dropLeftover = (session: Session, index: IndexIdentity): Statement => ({
  description: `Drop ${index.schema}.${index.name}, which a rebuild that was broken off has left behind`,
  sql: toText(dropIndexSql(index)),
  isDone: async () => {
    const now = await readIndexByOid(session, index.oid);
    return now === null || now.isValid || now.name !== index.name || (await isInWork(session, now));
  },
  cleanUp: () => Promise.resolve([]),
  verify: async () =>
    (await readIndexByOid(session, index.oid)) === null
      ? null
      : `The index ${index.schema}.${index.name} is still there.`,
});
