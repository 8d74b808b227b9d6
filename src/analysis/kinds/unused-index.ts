import type { FoundFault } from '../../domain/finding.ts';
import type { Severity } from '../../domain/words.ts';
import { sql } from '../../target/sql.ts';
import { readCatalog } from '../catalog-query.ts';
import {
  type AnalysisContext,
  bytesInWords,
  defineAnalysis,
  type MeasuredIndex,
  type MeasuredTable,
  severityOfBytes,
} from '../define-analysis.ts';
import { dropAdvice } from '../index-advice.ts';
import {
  countedPeriod,
  countedSince,
  daysBetween,
  doubtsAboutUsage,
  FORGOTTEN_DAYS,
  isIdleOnReplicas,
  replicasInEvidence,
} from '../usage-counters.ts';

const SMALLEST_BYTES = 64 * 1024;

/** Indexes that no query has used, on the primary or on any read-only copy, for as long as usage has been counted. */
export const unusedIndex = defineAnalysis({
  kind: 'UNUSED_INDEX',
  docs: 'docs/analyses/unused-index.md',
  find: async (context) => {
    const candidates = context.figures.tables.flatMap((table) =>
      table.indexes.filter((index) => isCandidate(index, context)).map((index) => ({ table, index })),
    );
    if (candidates.length === 0) return [];
    const references = await readReferences(context);
    return candidates
      .filter(({ table, index }) => !servesReference(index, references.get(table.oid) ?? []))
      .map(({ table, index }) => faultOf(table, index, context));
  },
});

/** What enforces or carries something is used, whatever its counter says. */
const isCandidate = (index: MeasuredIndex, context: AnalysisContext) =>
  index.duties.length === 0 &&
  !index.isUnique &&
  index.isValid &&
  index.sizeBytes >= SMALLEST_BYTES &&
  isIdle(index, context.now) &&
  isIdleOnReplicas(index.oid, context);

const isIdle = (index: MeasuredIndex, now: Date) =>
  index.scans === 0 ||
  (index.lastScanAt !== null && daysBetween(new Date(index.lastScanAt), now) > FORGOTTEN_DAYS);

/** Foreign keys by their table: an index on their columns makes deletes on the other side fast, though rarely. */
async function readReferences(context: AnalysisContext): Promise<Map<number, string[][]>> {
  const rows = await readCatalog<{ oid: number; columns: string[] }>(
    context.session,
    sql`SELECT k.conrelid AS oid, ARRAY(SELECT a.attname::text FROM pg_catalog.pg_attribute a
                 WHERE a.attrelid = k.conrelid AND a.attnum = ANY (k.conkey) ORDER BY a.attnum) AS columns
          FROM pg_catalog.pg_constraint k WHERE k.contype = 'f' ORDER BY k.oid`,
  );
  const byTable = Map.groupBy(rows, (row) => row.oid);
  return new Map([...byTable].map(([oid, list]) => [oid, list.map((row) => row.columns)]));
}

const servesReference = (index: MeasuredIndex, references: readonly string[][]) =>
  references.some((columns) => {
    const leading = index.keys.slice(0, columns.length).map((key) => key.column);
    return columns.every((column) => leading.includes(column));
  });

function faultOf(table: MeasuredTable, index: MeasuredIndex, context: AnalysisContext): FoundFault {
  const doubts = doubtsAboutUsage(context);
  return {
    kind: 'UNUSED_INDEX',
    severity: severityOf(index, doubts, context),
    schema: table.schema,
    table: table.name,
    index: index.name,
    columns: index.keys.flatMap((key) => key.column ?? []),
    title: `Index ${index.name} is not used (${bytesInWords(index.sizeBytes)})`,
    detail: [usage(index, context), ...doubts, dropAdvice(index)].join(' '),
    wastedBytes: index.sizeBytes,
    rows: null,
    evidence: {
      scans: index.scans,
      lastScanAt: index.lastScanAt,
      countedSince: countedSince(context)?.toISOString() ?? null,
      sizeBytes: index.sizeBytes,
      definition: index.definition,
      replicas: replicasInEvidence(context),
      doubts,
    },
    remedy: null,
  };
}

/** Where usage was not seen in full, the finding only informs. */
const severityOf = (index: MeasuredIndex, doubts: readonly string[], context: AnalysisContext): Severity => {
  if (doubts.length > 0) return 'INFO';
  return severityOfBytes(index.sizeBytes, context.figures.sizeBytes) === 'WARNING' ? 'WARNING' : 'NOTICE';
};

const usage = (index: MeasuredIndex, context: AnalysisContext) =>
  index.lastScanAt === null
    ? `No query has used it ${countedPeriod(context)}.`
    : `It was last used on ${index.lastScanAt.slice(0, 10)}.`;
