import type { PartitionSpec } from '../domain/partition.ts';
import type { OperationSpec } from '../domain/plan.ts';
import { Stop } from '../domain/stop.ts';
import type { Session } from '../target/session.ts';
import { ident, literal, sql } from '../target/sql.ts';
import type { Abandon } from './define-operation.ts';
import { attach, readDetached } from './detach-partition.ts';
import { partitionCursor } from './partition-cursor.ts';
import type { CopyCursor } from './whole-partition.ts';

/** 4 MB: as much as a batch of others may wait for. */
const BLOCKS = 512;

/**
 * A run that ends with a partition detached gives it back to its table, with the rows that are not archived: those that are
 * go from it first, or they would be in both. May be repeated.
 */
export const abandonPartition: Abandon<Extract<OperationSpec, { kind: 'PURGE' | 'ARCHIVE' }>> = async (
  { session, spec, cursor },
  inStep,
) => {
  const { partition: index, state, at } = partitionCursor(cursor);
  const partition = spec.partitions?.[index];
  if (state !== 'DETACHED' || partition === undefined) return;
  const found = await session.transaction(() => readDetached(session, partition));
  if (found === null || found.isAttached) return; // somebody else has dropped it, or given it back
  const copied = at as unknown as CopyCursor | null;
  if (copied !== null) {
    if (copied.file !== found.file) throw rewritten(partition);
    await deleteCopied(session, partition, copied, inStep);
  }
  await inStep(async () => {
    await attach(session, partition);
    return { partition: index, state: 'ROWS', at: null };
  });
};

/** Of a table that nobody adds rows to: what lies before the place stays the same, however often it is looked at. */
async function deleteCopied(
  session: Session,
  { schema, name }: PartitionSpec,
  { block: end, line }: CopyCursor,
  inStep: Parameters<typeof abandonPartition>[1],
): Promise<void> {
  for (let block = 0; block < end + (line > 0 ? 1 : 0); block += BLOCKS) {
    const [to, toLine] = block + BLOCKS > end ? [end, line] : [block + BLOCKS, 0];
    await inStep(async () => {
      await session.execute(sql`
        DELETE FROM ONLY ${ident(schema, name)}
         WHERE ctid >= ${literal(`(${block},0)`)}::pg_catalog.tid AND ctid < ${literal(`(${to},${toLine})`)}::pg_catalog.tid`);
      return null;
    });
  }
}

const rewritten = ({ schema, name }: PartitionSpec): Stop =>
  new Stop(
    'SCHEMA_DRIFT',
    `${schema}.${name}, which the run has detached, was rewritten by somebody (VACUUM FULL, CLUSTER): which of its rows are archived can be told by comparing only. ` +
      'It stays detached; compare it with the archive before it is attached again.',
    'FAILED',
  );
