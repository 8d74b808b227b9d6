import type { AnalysisContext, IndexFacts, MeasuredTable } from './define-analysis.ts';
import { serviceOf } from './foreign-key-service.ts';
import { type ForeignKeyFigures, readForeignKeys } from './foreign-keys.ts';
import { doubtsAboutUsage, isIdle } from './usage-counters.ts';

const SMALLEST_BYTES = 64 * 1024;

export interface UnusedIndexes {
  readonly unused: readonly { readonly table: MeasuredTable; readonly index: IndexFacts }[];
  /** what of their use was not seen; where there is one, none of them is certain */
  readonly doubts: readonly string[];
}

/** Indexes that no query has used, and that enforce, carry or speed up nothing that no counter counts. */
export async function findUnused(context: AnalysisContext): Promise<UnusedIndexes> {
  const candidates = context.figures.tables.flatMap((table) =>
    [...table.indexes, ...table.partitionedIndexes]
      .filter((index) => index.definition !== null && isCandidate(index, context))
      .map((index) => ({ table, index })),
  );
  if (candidates.length === 0) return { unused: [], doubts: [] };
  const keysOf = await foreignKeysByTable(context);
  const version = context.session.serverVersion;
  return {
    unused: candidates.filter(({ table, index }) =>
      keysOf(table).every((key) => serviceOf(index, key, table, version).kind === 'NONE'),
    ),
    doubts: doubtsAboutUsage(context),
  };
}

const isCandidate = (index: IndexFacts, context: AnalysisContext) =>
  index.duties.length === 0 &&
  !index.isUnique &&
  index.isValid &&
  index.sizeBytes >= SMALLEST_BYTES &&
  isIdle(index, context);

/** An index on the columns of a foreign key makes deletes on the other side fast, though rarely. Partitions share the keys of their table. */
async function foreignKeysByTable(
  context: AnalysisContext,
): Promise<(table: MeasuredTable) => readonly ForeignKeyFigures[]> {
  const byTable = Map.groupBy(await readForeignKeys(context.session), (key) => key.tableOid);
  const tables = new Map(context.figures.tables.map((table) => [table.oid, table]));
  const keysOf = (table: MeasuredTable): readonly ForeignKeyFigures[] => {
    const parent = table.parentOid === null ? undefined : tables.get(table.parentOid);
    return [...(byTable.get(table.oid) ?? []), ...(parent ? keysOf(parent) : [])];
  };
  return keysOf;
}
