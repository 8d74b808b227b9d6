import type { FoundFault } from '../../domain/finding.ts';
import {
  type AnalysisContext,
  bytesInWords,
  defineAnalysis,
  type MeasuredIndex,
  type MeasuredTable,
  severityOfBytes,
} from '../define-analysis.ts';
import { DUTIES_IN_WORDS, dropAdvice } from '../index-advice.ts';

/** Two indexes of which one serves every query of the other: says which may go, and which must stay and why. */
export const duplicateIndex = defineAnalysis({
  kind: 'DUPLICATE_INDEX',
  docs: 'docs/analyses/duplicate-index.md',
  find: async (context) =>
    context.figures.tables.flatMap((table) => {
      const known = table.indexes.filter((index) => index.isValid && index.definition !== null);
      for (const index of table.indexes) {
        if (index.definition === null)
          context.unsure({ schema: table.schema, table: table.name, index: index.name });
      }
      return [...Map.groupBy(known, identityOf).values()].flatMap((same) => faultsOf(table, same, context));
    }),
});

/**
 * Everything that decides which queries an index can answer. Uniqueness is not part of it: a unique index answers what
 * a plain one does. The definition's own text guards what has no field here, such as parameters of an operator class.
 */
const identityOf = (index: MeasuredIndex) =>
  JSON.stringify([
    index.method,
    index.keys.map((key) => [key.column, key.operatorClass, key.collation, key.options]),
    index.included.map((key) => key.column).sort(),
    index.expressions,
    index.predicate,
    columnsOf(index.definition ?? ''),
  ]);

/** From the method on, without what only concerns storage or uniqueness. */
const columnsOf = (definition: string) =>
  definition
    .slice(definition.indexOf(' USING '))
    .replace(/ INCLUDE \([^)]*\)/, '')
    .replace(/ NULLS NOT DISTINCT/, '')
    .replace(/ WITH \([^)]*\)/, '');

function faultsOf(
  table: MeasuredTable,
  same: readonly MeasuredIndex[],
  context: AnalysisContext,
): FoundFault[] {
  const [keeper, ...others] = [...same].sort(worthierFirst);
  if (!keeper) return [];
  return others
    .filter((index) => mayGo(index, keeper))
    .map((index) => faultOf(table, index, keeper, context));
}

/** The one with duties stays; then the unique one, the one in use, the smaller, the older. */
const worthierFirst = (a: MeasuredIndex, b: MeasuredIndex) =>
  Number(b.duties.length > 0) - Number(a.duties.length > 0) ||
  Number(b.isUnique) - Number(a.isUnique) ||
  b.scans - a.scans ||
  a.sizeBytes - b.sizeBytes ||
  a.oid - b.oid;

/** A unique index goes only when another one forbids the same rows at the same moment. */
const mayGo = (index: MeasuredIndex, keeper: MeasuredIndex) =>
  index.duties.length === 0 &&
  (!index.isUnique ||
    (keeper.isUnique &&
      keeper.nullsNotDistinct === index.nullsNotDistinct &&
      keeper.immediate === index.immediate));

function faultOf(
  table: MeasuredTable,
  index: MeasuredIndex,
  keeper: MeasuredIndex,
  context: AnalysisContext,
): FoundFault {
  return {
    kind: 'DUPLICATE_INDEX',
    severity:
      severityOfBytes(index.sizeBytes, context.figures.sizeBytes) === 'WARNING' ? 'WARNING' : 'NOTICE',
    schema: table.schema,
    table: table.name,
    index: index.name,
    columns: index.keys.flatMap((key) => key.column ?? []),
    title: `Index ${index.name} is the same as ${keeper.name} (${bytesInWords(index.sizeBytes)})`,
    detail: `${index.name} may go: ${keeper.name} answers every query that it does. ${keeper.name} stays: ${whyItStays(keeper, index)}. ${dropAdvice(index)}`,
    wastedBytes: index.sizeBytes,
    rows: null,
    evidence: {
      mayGo: evidenceOf(index),
      mustStay: { ...evidenceOf(keeper), duties: keeper.duties },
    },
    remedy: null,
  };
}

const evidenceOf = (index: MeasuredIndex) => ({
  name: index.name,
  definition: index.definition,
  sizeBytes: index.sizeBytes,
  scans: index.scans,
});

function whyItStays(keeper: MeasuredIndex, other: MeasuredIndex): string {
  if (keeper.duties.length > 0) return `it ${keeper.duties.map((duty) => DUTIES_IN_WORDS[duty]).join(', ')}`;
  if (keeper.isUnique && !other.isUnique) return 'it keeps the values unique';
  return keeper.scans > other.scans
    ? 'it is the one in use'
    : 'one of them has to, and it is the smaller or older one';
}
