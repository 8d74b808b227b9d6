import type { Remedy } from '../domain/finding.ts';
import type { Severity } from '../domain/words.ts';
import { quoteIdent } from '../target/sql.ts';
import {
  type AnalysisContext,
  bytesInWords,
  type IndexDuty,
  type IndexFacts,
  type MeasuredTable,
  severityOfBytes,
} from './define-analysis.ts';
import { answersTheSame, covers } from './index-coverage.ts';
import { planRemedy } from './remedies.ts';
import { findUnused } from './unused-indexes.ts';
import { isIdle, scansOf } from './usage-counters.ts';

export const DUTIES_IN_WORDS: Readonly<Record<IndexDuty, string>> = {
  PRIMARY_KEY: 'is the primary key',
  CONSTRAINT: 'backs a constraint',
  FOREIGN_KEY_TARGET: 'is what a foreign key refers to',
  REPLICA_IDENTITY: 'is the replica identity',
  CLUSTERED: 'is what the table is clustered by',
  STATISTICS: 'carries statistics of its own',
  PARTITION: 'belongs to an index of the partitioned table',
};

/** An index that may go, since another one does its work. */
export interface Superfluous {
  readonly table: MeasuredTable;
  readonly index: IndexFacts;
  /** answers every query of the index, forbids every row that it forbids, and is not itself advised to go */
  readonly keeper: IndexFacts;
  /** the very same index a second time: the keeper, or one that goes as well */
  readonly twin: IndexFacts | null;
}

/**
 * All that may go, of the whole database: all of it together, in any order, leaves each query an index. Where the keeper
 * would be one that is certainly unused while the shorter one is in use, it is the keeper that goes, as an unused index.
 */
export async function superfluousIndexes(context: AnalysisContext): Promise<Superfluous[]> {
  const all = decide(context, new Set());
  const contested = all.some(
    ({ index, keeper }) => mayBeDropped(keeper) && isIdle(keeper, context) && !isIdle(index, context),
  );
  if (!contested) return all;
  const { unused, doubts } = await findUnused(context);
  return doubts.length > 0 ? all : decide(context, withTheirParts(unused));
}

/** By figures that are known: the indexes of these OIDs are about to go because nobody uses them. */
export function decide(context: AnalysisContext, leaving: ReadonlySet<number>): Superfluous[] {
  const { tables } = context.figures;
  const whole = tables.flatMap((table) => decideAmong(table.partitionedIndexes, table, context, leaving));
  const gone = withTheirParts(whole);
  const single = tables.flatMap((table) => {
    const indexes = table.indexes.filter(({ oid }) => !gone.has(oid));
    return decideAmong(indexes, table, context, leaving);
  });
  return [...whole, ...single];
}

/** OIDs. */
export const withTheirParts = (all: readonly { readonly index: IndexFacts }[]): ReadonlySet<number> =>
  new Set(all.flatMap(({ index }) => [index.oid, ...index.parts]));

function decideAmong(
  indexes: readonly IndexFacts[],
  table: MeasuredTable,
  context: AnalysisContext,
  leaving: ReadonlySet<number>,
): Superfluous[] {
  const ranked = indexes.filter(isKnown).sort(worthierFirst(context));
  const neverNull = new Set(table.columns.filter((column) => column.notNull).map(({ name }) => name));
  const replaces = (keeper: IndexFacts, index: IndexFacts) =>
    keeper !== index &&
    (!leaving.has(keeper.oid) || isIdle(index, context)) &&
    covers(keeper, index, neverNull);
  const staying = new Set(ranked);
  for (const index of ranked.toReversed()) {
    if (mayBeDropped(index) && [...staying].some((keeper) => replaces(keeper, index))) staying.delete(index);
  }
  return ranked.flatMap((index, rank) => {
    const keeper = [...staying].find((other) => replaces(other, index));
    if (staying.has(index) || keeper === undefined) return [];
    const twin = ranked
      .slice(0, rank)
      .find((other) => answersTheSame(other, index) && replaces(other, index));
    return [{ table, index, keeper, twin: twin ?? null }];
  });
}

const isKnown = (index: IndexFacts) => index.isValid && index.definition !== null;

const mayBeDropped = (index: IndexFacts) => index.duties.length === 0;

/** The one with duties stays; then the unique one, the one in use, the smaller, the older. */
const worthierFirst = (context: AnalysisContext) => (a: IndexFacts, b: IndexFacts) =>
  Number(mayBeDropped(a)) - Number(mayBeDropped(b)) ||
  Number(b.isUnique) - Number(a.isUnique) ||
  scansOf(b, context) - scansOf(a, context) ||
  a.sizeBytes - b.sizeBytes ||
  a.oid - b.oid;

export function whyItStays(keeper: IndexFacts, other: IndexFacts, context: AnalysisContext): string {
  if (keeper.duties.length > 0) return `it ${keeper.duties.map((duty) => DUTIES_IN_WORDS[duty]).join(', ')}`;
  if (keeper.isUnique && !other.isUnique) return 'it keeps the values unique';
  if (!answersTheSame(keeper, other)) return 'it answers more';
  return scansOf(keeper, context) > scansOf(other, context)
    ? 'it is the one in use'
    : 'one of them has to, and it is the smaller or older one';
}

/** An index always costs something: a doubt, and nothing else, makes it no more than a note. */
export function removalSeverity(
  index: IndexFacts,
  doubts: readonly string[],
  context: AnalysisContext,
): Severity {
  if (doubts.length > 0) return 'INFO';
  return severityOfBytes(index.sizeBytes, context.figures.sizeBytes) === 'WARNING' ? 'WARNING' : 'NOTICE';
}

export const indexEvidence = (index: IndexFacts, context: AnalysisContext) => ({
  name: index.name,
  definition: index.definition,
  sizeBytes: index.sizeBytes,
  scans: scansOf(index, context),
});

/** Where definitions could not be read, nothing is known about what covers what. */
export function unsureOfLocked(context: AnalysisContext): void {
  for (const table of context.figures.tables) {
    for (const index of [...table.indexes, ...table.partitionedIndexes]) {
      if (index.definition === null) {
        const subject = { schema: table.schema, table: table.name, index: index.name };
        context.unsure(subject, 'A table is locked, so that the definitions of its indexes cannot be read.');
      }
    }
  }
}

/** Column names, for a finding. */
export const columnsOf = (index: IndexFacts) => index.keys.flatMap((key) => key.column ?? []);

export const nameOf = (index: Pick<IndexFacts, 'schema' | 'name'>) =>
  `${quoteIdent(index.schema)}.${quoteIdent(index.name)}`;

export const withSize = (index: IndexFacts) => `${index.name} (${bytesInWords(index.sizeBytes)})`;

/** null: PostgreSQL cannot drop the index of a partitioned table concurrently; people may choose a quiet time. */
export const removalRemedy = (
  index: Pick<IndexFacts, 'schema' | 'name' | 'isPartitioned'>,
  database: string,
): Remedy | null =>
  index.isPartitioned
    ? null
    : planRemedy(
        'IndexRemoval',
        `Plan to drop ${quoteIdent(index.name)}, without locking. planRestore with the runId builds it again.`,
        { database, schema: index.schema, index: index.name },
      );

/** How to drop it and how to get it back. PostgreSQL cannot drop a partitioned index concurrently. */
export function dropAdvice(index: IndexFacts): string {
  const how = index.isPartitioned
    ? `To drop it with all its parts, which locks the table and its partitions for a moment: SET lock_timeout = '2s'; DROP INDEX ${nameOf(index)}; `
    : `To drop it without locking: DROP INDEX CONCURRENTLY ${nameOf(index)}; `;
  return `${how}to get it back: ${index.definition?.replace(' ON ONLY ', ' ON ') ?? 'its definition was not readable'}.`;
}
