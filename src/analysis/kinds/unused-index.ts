import type { FoundFault } from '../../domain/finding.ts';
import {
  type AnalysisContext,
  bytesInWords,
  defineAnalysis,
  type IndexFacts,
  type MeasuredTable,
} from '../define-analysis.ts';
import {
  columnsOf,
  decide,
  dropAdvice,
  removalRemedy,
  removalSeverity,
  unsureOfLocked,
  withTheirParts,
} from '../index-advice.ts';
import { findUnused } from '../unused-indexes.ts';
import { countedPeriod, countedSince, replicasInEvidence, scansOf } from '../usage-counters.ts';

/** Indexes that no query has used, on the primary or on any read-only copy, for as long as usage has been counted. */
export const unusedIndex = defineAnalysis({
  kind: 'UNUSED_INDEX',
  docs: 'docs/analyses/unused-index.md',
  find: async (context) => {
    unsureOfLocked(context);
    const { unused, doubts } = await findUnused(context);
    if (unused.length === 0) return [];
    const certain = withTheirParts(doubts.length > 0 ? [] : unused);
    const needed = withTheirParts(decide(context, certain).map(({ keeper }) => ({ index: keeper })));
    return unused
      .filter(({ index }) => ![index.oid, ...index.parts].some((oid) => needed.has(oid)))
      .map(({ table, index }) => faultOf(table, index, doubts, context));
  },
});

function faultOf(
  table: MeasuredTable,
  index: IndexFacts,
  doubts: readonly string[],
  context: AnalysisContext,
): FoundFault {
  return {
    kind: 'UNUSED_INDEX',
    severity: removalSeverity(index, doubts, context),
    schema: table.schema,
    table: table.name,
    index: index.name,
    columns: columnsOf(index),
    title: `Index ${index.name} is not used (${bytesInWords(index.sizeBytes)})`,
    detail: [usage(index, context), ...doubts, ...aside(index), dropAdvice(index)].join(' '),
    wastedBytes: index.sizeBytes,
    rows: null,
    evidence: {
      scans: scansOf(index, context),
      lastScanAt: index.lastScanAt,
      countedSince: countedSince(context)?.toISOString() ?? null,
      sizeBytes: index.sizeBytes,
      definition: index.definition,
      replicas: replicasInEvidence(context),
      doubts,
    },
    remedy: doubts.length > 0 ? null : removalRemedy(index, context.databaseName),
  };
}

const usage = (index: IndexFacts, context: AnalysisContext) =>
  index.lastScanAt === null
    ? `No query has used it ${countedPeriod(context)}.`
    : `It was last used on ${index.lastScanAt.slice(0, 10)}.`;

/** The planner reads these whether or not it chooses the index, and no counter counts that. */
const aside = (index: IndexFacts) =>
  index.expressions === null
    ? []
    : [
        `ANALYZE keeps statistics of its expression, which plans may rest on: CREATE STATISTICS ON ${index.keys.flatMap((key) => key.expression ?? []).join(', ')} keeps them without it.`,
      ];
