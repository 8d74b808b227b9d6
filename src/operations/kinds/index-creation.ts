import type { NewIndex } from '../../domain/index-spec.ts';
import type { OperationSpec } from '../../domain/plan.ts';
import { Stop } from '../../domain/stop.ts';
import { type IndexState, readIndex } from '../../target/index-state.ts';
import {
  BRIEFLY_MS,
  concurrently,
  dropIndex,
  PATIENTLY_MS,
  readBuildProgress,
} from '../../target/index-statements.ts';
import { BATCH_SETTINGS, type Session } from '../../target/session.ts';
import { ident, literal, sql, toText } from '../../target/sql.ts';
import type { Operation, OperationContext, Statement, StatementWork } from '../define-operation.ts';
import { dropUnfinished } from '../drop-unfinished.ts';
import { sized } from '../sized.ts';

type IndexCreation = Extract<OperationSpec, { kind: 'INDEX_CREATION' }>;

/** Builds an index while everybody reads and writes; of a partitioned table one for each partition, and then the whole. */
export const indexCreation = {
  kind: 'INDEX_CREATION',
  counts: null,
  open({ session, spec, cursor }: OperationContext<IndexCreation>): Promise<StatementWork> {
    const statements = spec.indexes.flatMap((index) => [
      create(session, index),
      ...(index.comment === null ? [] : [comment(session, index, index.comment)]),
    ]);
    return Promise.resolve({
      mode: 'STATEMENTS',
      statements: statements.slice((cursor as number | null) ?? 0),
    });
  },
  /** What is finished stays; what is half built goes. */
  async abandon({ session, spec }: OperationContext<IndexCreation>): Promise<void> {
    for (const index of spec.indexes) {
      const found = await readIndex(session, index.schema, index.name);
      if (found !== null && !found.isValid && isSame(found, index))
        await dropUnfinished(session, found, PATIENTLY_MS);
    }
  },
} satisfies Operation<IndexCreation>;

const create = (session: Session, index: NewIndex): Statement => ({
  description: `Build ${index.schema}.${index.name}`,
  sql: index.isConcurrent ? concurrently(index.definition) : index.definition,
  lockTimeoutMs: index.isConcurrent ? 0 : BATCH_SETTINGS.lockTimeoutMs,
  progress: (monitor) => readBuildProgress(monitor, session.backend.pid),
  isDone: async () => {
    const found = await readIndex(session, index.schema, index.name);
    return found !== null && found.isValid && isSame(found, index);
  },
  cleanUp: () => dropHalfBuilt(session, index),
  verify: async () => {
    const found = await readIndex(session, index.schema, index.name);
    if (found?.isValid) return null;
    return `The index ${index.schema}.${index.name} is ${found === null ? 'not there' : 'not valid'}.`;
  },
  outcome: async () => {
    const found = await readIndex(session, index.schema, index.name);
    return `${index.schema}.${index.name} is built and valid, and has ${sized(found?.sizeBytes ?? 0)}.`;
  },
});

const comment = (session: Session, { schema, name }: NewIndex, text: string): Statement => ({
  description: `Give ${schema}.${name} its comment`,
  sql: toText(sql`COMMENT ON INDEX ${ident(schema, name)} IS ${literal(text)}`),
  lockTimeoutMs: BATCH_SETTINGS.lockTimeoutMs,
  cleanUp: () => Promise.resolve([]),
  verify: async () =>
    (await readIndex(session, schema, name))?.comment === text ? null : `${schema}.${name} has no comment.`,
});

/** A CREATE INDEX CONCURRENTLY that is cancelled, or finds equal keys, leaves an invalid index of its name. */
async function dropHalfBuilt(session: Session, index: NewIndex): Promise<string[]> {
  const found = await readIndex(session, index.schema, index.name);
  if (found === null) return [];
  if (found.isValid || !isSame(found, index)) {
    throw new Stop(
      'SCHEMA_DRIFT',
      `There is another index ${index.schema}.${index.name} by now. Cancel and plan again.`,
    );
  }
  await dropIndex(session, found, BRIEFLY_MS);
  return [`${index.schema}.${index.name}`];
}

/** The definition on a partitioned table says ON ONLY once it is there. */
const isSame = (found: IndexState, index: NewIndex): boolean =>
  found.tableOid === index.tableOid && found.definition.replace(' ON ONLY ', ' ON ') === index.definition;
