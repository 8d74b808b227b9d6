import type { NewIndex } from '../../domain/index-spec.ts';
import type { OperationSpec } from '../../domain/plan.ts';
import { Stop } from '../../domain/stop.ts';
import { dropInvalidIndex } from '../../target/drop-invalid-index.ts';
import { type IndexState, readIndex } from '../../target/index-state.ts';
import {
  BRIEFLY_MS,
  BUILD_SETTINGS,
  commentSql,
  concurrently,
  PATIENTLY_MS,
  readBuildProgress,
} from '../../target/index-statements.ts';
import { BATCH_SETTINGS, type Session } from '../../target/session.ts';
import { toText } from '../../target/sql.ts';
import type { Operation, OperationContext, Statement, StatementWork } from '../define-operation.ts';
import { dropUnfinished } from '../drop-unfinished.ts';
import { putTogether, refuseUnindexed } from '../put-together.ts';
import { sized } from '../sized.ts';

type IndexCreation = Extract<OperationSpec, { kind: 'INDEX_CREATION' }>;

/** Builds an index while everybody reads and writes; of a partitioned table one for each partition, and then the whole. */
export const indexCreation = {
  kind: 'INDEX_CREATION',
  counts: null,
  open({ session, spec, cursor }: OperationContext<IndexCreation>): Promise<StatementWork> {
    const statements = spec.indexes.flatMap((index) => [
      index.isConcurrent ? create(session, index) : createWhole(session, index),
      ...(index.comment === null ? [] : [comment(session, index, index.comment)]),
    ]);
    return Promise.resolve({
      mode: 'STATEMENTS',
      statements: statements.slice((cursor as number | null) ?? 0),
    });
  },
  /** What is finished stays; what is half built goes. */
  async abandon({ session, spec }: OperationContext<IndexCreation>): Promise<void> {
    for (const index of spec.indexes.filter(({ isConcurrent }) => isConcurrent)) {
      const found = await readIndex(session, index.schema, index.name);
      if (found !== null && !found.isValid && isSame(found, index))
        await dropUnfinished(session, found, PATIENTLY_MS);
    }
  },
} satisfies Operation<IndexCreation>;

const create = (session: Session, index: NewIndex): Statement => ({
  description: `Build ${index.schema}.${index.name}`,
  sql: concurrently(index.definition),
  settings: BUILD_SETTINGS,
  progress: (monitor) => readBuildProgress(monitor, session.backend.pid),
  isDone: async () => {
    const found = await readIndex(session, index.schema, index.name);
    return found !== null && found.isValid && isSame(found, index);
  },
  cleanUp: () => dropHalfBuilt(session, index),
  verify: async () => {
    const found = await readIndex(session, index.schema, index.name);
    if (found === null || !found.isValid)
      return `The index ${index.schema}.${index.name} is ${found === null ? 'not there' : 'not valid'}.`;
    return isSame(found, index) ? null : `Not as planned was built: ${found.definition}`;
  },
  outcome: async () => {
    const found = await readIndex(session, index.schema, index.name);
    return `${index.schema}.${index.name} is built and valid, and has ${sized(found?.sizeBytes ?? 0)}.`;
  },
});

const createWhole = (session: Session, index: NewIndex): Statement => ({
  ...create(session, index),
  sql: index.definition,
  perform: () => putTogether(session, index),
  cleanUp: async () => {
    if ((await readIndex(session, index.schema, index.name)) !== null) throw another(index);
    await refuseUnindexed(session, index);
    return [];
  },
});

const comment = (session: Session, { schema, name }: NewIndex, text: string): Statement => ({
  description: `Give ${schema}.${name} its comment`,
  sql: toText(commentSql({ schema, name }, text)),
  lockTimeoutMs: BATCH_SETTINGS.lockTimeoutMs,
  cleanUp: () => Promise.resolve([]),
  verify: async () =>
    (await readIndex(session, schema, name))?.comment === text ? null : `${schema}.${name} has no comment.`,
});

/** A CREATE INDEX CONCURRENTLY that is cancelled, or finds equal keys, leaves an invalid index of its name. */
async function dropHalfBuilt(session: Session, index: NewIndex): Promise<string[]> {
  const found = await readIndex(session, index.schema, index.name);
  if (found === null) return [];
  if (found.isValid || !isSame(found, index)) throw another(index);
  if (await dropInvalidIndex(session, found, BRIEFLY_MS)) return [`${index.schema}.${index.name}`];
  throw new Stop(
    'LOCKED',
    `Another session works on the index ${index.schema}.${index.name} now. Resume when that has ended.`,
  );
}

const another = ({ schema, name }: NewIndex): Stop =>
  new Stop('SCHEMA_DRIFT', `There is another index ${schema}.${name} by now. Cancel and plan again.`);

/** The definition on a partitioned table says ON ONLY once it is there. */
const isSame = (found: IndexState, index: NewIndex): boolean =>
  found.tableOid === index.tableOid && found.definition.replace(' ON ONLY ', ' ON ') === index.definition;
