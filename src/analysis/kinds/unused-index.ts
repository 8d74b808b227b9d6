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

const DAY_MS = 86_400_000;
/** Counters younger than this have not seen the weekly report. */
const YOUNG_DAYS = 7;
/** An index that was last scanned so long ago is unused too (PostgreSQL 16 and newer tell). */
const FORGOTTEN_DAYS = 90;
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
  context.replicas.every((replica) => (replica.scans.get(index.oid) ?? 0) === 0);

const isIdle = (index: MeasuredIndex, now: Date) =>
  index.scans === 0 ||
  (index.lastScanAt !== null && daysBetween(new Date(index.lastScanAt), now) > FORGOTTEN_DAYS);

const daysBetween = (from: Date, to: Date) => (to.getTime() - from.getTime()) / DAY_MS;

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
  const doubts = doubtsAbout(context);
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
      replicas: context.replicas.map(({ name, unreachable, countersSince }) => ({
        name,
        unreachable,
        countedSince: countersSince?.toISOString() ?? null,
      })),
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

/** Counters that were never reset are at least as old as our first look at the database. */
const countedSince = (context: AnalysisContext) => context.figures.countersSince ?? context.watchedSince;

const usage = (index: MeasuredIndex, context: AnalysisContext) => {
  const since = countedSince(context);
  const period =
    since === null ? 'since its counters began' : `since ${since.toISOString().slice(0, 10)} at least`;
  return index.lastScanAt === null
    ? `No query has used it ${period}.`
    : `It was last used on ${index.lastScanAt.slice(0, 10)}.`;
};

function doubtsAbout(context: AnalysisContext): string[] {
  const since = countedSince(context);
  const days = since === null ? 0 : daysBetween(since, context.now);
  const young =
    days < YOUNG_DAYS
      ? [`Usage has been counted for ${Math.floor(days)} days only: wait until the rarest report has run.`]
      : [];
  const lost = context.replicas.filter((replica) => replica.unreachable !== null);
  const unseen = context.figures.standbys - context.replicas.length;
  const recent = context.replicas.filter(
    (replica) =>
      replica.countersSince !== null && daysBetween(replica.countersSince, context.now) < YOUNG_DAYS,
  );
  return [
    ...young,
    ...lost.map(
      (replica) => `The replica ${replica.name} could not be asked (${replica.unreachable ?? ''}).`,
    ),
    ...recent.map(
      (replica) => `The counters of the replica ${replica.name} were reset less than ${YOUNG_DAYS} days ago.`,
    ),
    ...(unseen > 0
      ? [`${unseen} more standbys stream from this server and are not registered: queries there count too.`]
      : []),
  ];
}
