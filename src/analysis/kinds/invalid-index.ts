import type { FoundFault, Remedy } from '../../domain/finding.ts';
import type { Severity } from '../../domain/words.ts';
import { quoteIdent } from '../../target/sql.ts';
import {
  type AnalysisContext,
  bytesInWords,
  defineAnalysis,
  type MeasuredIndex,
  type MeasuredTable,
  severityOfBytes,
  tableKey,
} from '../define-analysis.ts';
import { columnsOf, nameOf } from '../index-advice.ts';
import { answersTheSame } from '../index-coverage.ts';
import { completionOf } from '../partitioned-index.ts';
import {
  type InvalidIndex,
  type MissingPart,
  readInvalidIndexes,
  readMissingParts,
} from '../read-invalid-indexes.ts';
import { planRemedy } from '../remedies.ts';

/** Indexes that queries do not use, since they were never finished or a drop of them was not. */
export const invalidIndex = defineAnalysis({
  kind: 'INVALID_INDEX',
  docs: 'docs/analyses/invalid-index.md',
  find: async (context) => {
    const invalid = (await readInvalidIndexes(context.session)).filter(({ isBeingBuilt }) => !isBeingBuilt);
    for (const { tableSchema: schema, table, name: index, mayBeInWork } of invalid)
      if (mayBeInWork)
        context.unsure({ schema, table, index }, 'An index of its table is in work right now.');
    const left = invalid.filter(({ mayBeInWork }) => !mayBeInWork);
    const partitioned = left.filter(({ isPartitioned }) => isPartitioned).map(({ oid }) => oid);
    const missing = partitioned.length === 0 ? [] : await readMissingParts(context.session, partitioned);
    const tables = new Map(
      context.figures.tables.map((table) => [tableKey(table.schema, table.name), table]),
    );
    return left.map((index) => {
      const table = tables.get(tableKey(index.tableSchema, index.table));
      const parts = missing.filter(({ indexOid }) => indexOid === index.oid);
      return faultOf({ index, table, parts, ...judge(index, table) }, context);
    });
  },
});

type Cure = 'DROP' | 'DROP_AGAIN' | 'REBUILD' | 'COMPLETE';

interface Found {
  readonly index: InvalidIndex;
  readonly table: MeasuredTable | undefined;
  readonly parts: readonly MissingPart[];
  readonly cure: Cure;
  /** a valid index that does the same */
  readonly twin: MeasuredIndex | undefined;
}

/** REINDEX CONCURRENTLY leaves these behind when it is cancelled: the unfinished copy, and the one it had replaced. */
const LEFTOVER = /_cc(new|old)\d*$/;

function judge(index: InvalidIndex, table: MeasuredTable | undefined): Pick<Found, 'cure' | 'twin'> {
  const figures = table?.indexes.find(({ oid }) => oid === index.oid);
  const twin = table?.indexes.find(
    (other) =>
      other.isValid &&
      figures !== undefined &&
      answersTheSame(other, figures) &&
      (other.isUnique || !index.isUnique),
  );
  if (index.isPartitioned) return { cure: 'COMPLETE', twin };
  if (index.isPart) return { cure: 'REBUILD', twin };
  if (!index.isLive) return { cure: 'DROP_AGAIN', twin };
  return { cure: LEFTOVER.test(index.name) || twin !== undefined ? 'DROP' : 'REBUILD', twin };
}

function faultOf(found: Found, context: AnalysisContext): FoundFault {
  const { index, table, parts, twin } = found;
  const figures = [...(table?.indexes ?? []), ...(table?.partitionedIndexes ?? [])].find(
    ({ oid }) => oid === index.oid,
  );
  return {
    kind: 'INVALID_INDEX',
    severity: severityOf(index, context),
    schema: index.tableSchema,
    table: index.table,
    index: index.name,
    columns: figures ? columnsOf(figures) : [],
    title: `Index ${index.name} is not valid (${bytesInWords(index.sizeBytes)})`,
    detail: [whatItMeans(index), howItCame(found), whatToDo(found)].join(' '),
    wastedBytes: index.sizeBytes,
    rows: null,
    evidence: {
      isReady: index.isReady,
      isLive: index.isLive,
      isUnique: index.isUnique,
      isLeftover: LEFTOVER.test(index.name),
      sizeBytes: index.sizeBytes,
      definition: index.definition,
      sameAs: twin?.name ?? null,
      missingIn: parts.map(({ schema, table: name }) => `${schema}.${name}`),
    },
    remedy: remedyOf(found, context.databaseName),
  };
}

/** What is written to at every change, or was meant to keep values unique, is more than lost room. */
function severityOf(index: InvalidIndex, context: AnalysisContext): Severity {
  if (index.isUnique || (index.isReady && !index.isPartitioned)) return 'WARNING';
  return severityOfBytes(index.sizeBytes, context.figures.sizeBytes) === 'WARNING' ? 'WARNING' : 'NOTICE';
}

function whatItMeans({ isPartitioned, isReady, isUnique }: InvalidIndex): string {
  if (isPartitioned)
    return `It lacks a valid part in some partitions${isUnique ? ', so that values need not be unique in all of them' : ''}.`;
  return isReady
    ? 'No query uses it, but every write keeps it up to date.'
    : 'No query uses it and no write keeps it up to date: it only takes room.';
}

function howItCame({ index, cure, twin }: Found): string {
  if (cure === 'COMPLETE') return 'It becomes valid when its last part is attached.';
  if (cure === 'DROP_AGAIN') return 'DROP INDEX CONCURRENTLY was broken off.';
  const copy = twin ? ` ${twin.name} is the same and valid.` : '';
  if (LEFTOVER.test(index.name)) return `A REINDEX CONCURRENTLY that was broken off left it behind.${copy}`;
  const repeated = index.isUnique && !twin ? ' While rows repeat, it cannot be finished.' : '';
  return `A CREATE INDEX CONCURRENTLY or a REINDEX CONCURRENTLY was broken off.${copy}${repeated}`;
}

function whatToDo({ index, parts, cure }: Found): string {
  const drop = `DROP INDEX CONCURRENTLY ${nameOf(index)};`;
  switch (cure) {
    case 'DROP':
    case 'DROP_AGAIN':
      return `To be rid of it: ${drop}`;
    case 'REBUILD':
      return `To finish it: REINDEX INDEX CONCURRENTLY ${nameOf(index)};${index.isPart ? '' : ` To be rid of it: ${drop}`}`;
    case 'COMPLETE':
      return completionOf(index, parts);
  }
}

function remedyOf({ index, table, cure }: Found, database: string): Remedy | null {
  if (index.isToast || table === undefined) return null;
  if (cure === 'REBUILD') return rebuild(index, table, database);
  if (cure === 'COMPLETE') return null;
  return planRemedy('IndexRemoval', `Plan to drop ${quoteIdent(index.name)}, which no query uses.`, {
    database,
    schema: index.schema,
    index: index.name,
  });
}

function rebuild(index: InvalidIndex, table: MeasuredTable, database: string): Remedy {
  return planRemedy(
    'Reindex',
    `Plan to build ${quoteIdent(index.name)} anew, without locking out writers. When it is not wanted, drop it instead.`,
    { database, schema: table.schema, table: table.name, indexes: [index.name] },
  );
}
