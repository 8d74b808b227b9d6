import type { FoundFault } from '../../domain/finding.ts';
import type { Severity } from '../../domain/words.ts';
import { ident, toText } from '../../target/sql.ts';
import {
  type AnalysisContext,
  bytesInWords,
  defineAnalysis,
  type KeptTable,
  type MeasuredTable,
  severityOfBytes,
  tableKey,
} from '../define-analysis.ts';
import { type QuietTable, readQuietTables } from '../read-quiet-tables.ts';
import {
  countedPeriod,
  countedSince,
  daysBefore,
  doubtsAboutUsage,
  FORGOTTEN_DAYS,
  isIdle,
  isIdleOnReplicas,
  replicasInEvidence,
} from '../usage-counters.ts';
import { wholeTables } from '../whole-tables.ts';

const SMALLEST_BYTES = 64 * 1024;

/** Tables that nobody reads or writes, on the primary or on any read-only copy, and that nothing refers to. */
export const unusedTable = defineAnalysis({
  kind: 'UNUSED_TABLE',
  docs: 'docs/analyses/unused-table.md',
  find: async (context) => {
    const quiet = await readQuietTables(context.session, daysBefore(context.now, FORGOTTEN_DAYS));
    const before = await context.memory.tablesAt(daysBefore(context.now, FORGOTTEN_DAYS));
    return wholeTables(context.figures.tables)
      .filter((table) => table.members.every((member) => isQuiet(member, quiet, before, context)))
      .flatMap(({ root, members }) => {
        const facts = members.flatMap((member) => quiet.get(member.oid) ?? []);
        const isReferred = facts.some((fact) => fact.referredBy.length > 0);
        return isReferred || root.totalBytes < SMALLEST_BYTES ? [] : [faultOf(root, facts, context)];
      });
  },
});

/** Rows are changed and removed only after they were looked for: without a scan there can only have been inserts. */
function isQuiet(
  table: MeasuredTable,
  quiet: ReadonlyMap<number, QuietTable>,
  before: ReadonlyMap<string, KeptTable> | null,
  context: AnalysisContext,
): boolean {
  const fact = quiet.get(table.oid);
  if (!fact || !isIdleOnReplicas(table.oid, context)) return false;
  if (table.indexes.some((index) => !isIdle(index, context))) return false;
  const then = before?.get(tableKey(table.schema, table.name));
  return (
    fact.writes === 0 ||
    (then !== undefined && then.liveRows === table.liveRows && then.totalBytes === table.totalBytes)
  );
}

function faultOf(root: MeasuredTable, facts: readonly QuietTable[], context: AnalysisContext): FoundFault {
  const doubts = [...doubtsAboutUsage(context), ...ownDoubts(facts)];
  const lastScanAt = lastScan(root, facts);
  const name = toText(ident(root.schema, root.name));
  return {
    kind: 'UNUSED_TABLE',
    severity: severityOf(root, doubts, context),
    schema: root.schema,
    table: root.name,
    index: null,
    columns: [],
    title: `${root.schema}.${root.name} is not used (${bytesInWords(root.totalBytes)})`,
    detail: [
      lastScanAt === null
        ? `No query has read or changed it ${countedPeriod(context)}.`
        : `It was last read on ${lastScanAt.slice(0, 10)}, and has not grown for ${FORGOTTEN_DAYS} days.`,
      'No foreign key, view, policy or function with a parsed body refers to it.',
      ...doubts,
      `Before it goes, keep a copy (pg_dump -t) and take it out of sight first: ALTER TABLE ${name} RENAME TO ... can be undone in a moment, DROP TABLE ${name} cannot.`,
    ].join(' '),
    wastedBytes: root.totalBytes,
    rows: root.liveRows,
    evidence: {
      countedSince: countedSince(context)?.toISOString() ?? null,
      lastScanAt,
      replicas: replicasInEvidence(context),
      totalBytes: root.totalBytes,
      doubts,
    },
    remedy: null,
  };
}

const ownDoubts = (facts: readonly QuietTable[]) => [
  ...(facts.some((fact) => fact.mentioned) ? ['The text of a function has its name in it.'] : []),
  ...(facts.some((fact) => fact.published)
    ? ['A publication sends it to other databases, which may use it there.']
    : []),
];

function lastScan(root: MeasuredTable, facts: readonly QuietTable[]): string | null {
  const times = [
    ...facts.map((fact) => fact.lastScanAt?.toISOString()),
    ...root.indexes.map((index) => index.lastScanAt),
  ].filter((time) => time != null);
  return times.sort().at(-1) ?? null;
}

/** Where usage was not seen in full, the finding only informs. */
const severityOf = (table: MeasuredTable, doubts: readonly string[], context: AnalysisContext): Severity => {
  if (doubts.length > 0) return 'INFO';
  return severityOfBytes(table.totalBytes, context.figures.sizeBytes) === 'WARNING' ? 'WARNING' : 'NOTICE';
};
