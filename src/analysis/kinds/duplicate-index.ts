import type { FoundFault } from '../../domain/finding.ts';
import { type AnalysisContext, bytesInWords, defineAnalysis, type IndexFacts } from '../define-analysis.ts';
import {
  columnsOf,
  dropAdvice,
  indexEvidence,
  removalRemedy,
  removalSeverity,
  type Superfluous,
  superfluousIndexes,
  unsureOfLocked,
  whyItStays,
} from '../index-advice.ts';

/** Two indexes of which each answers what the other does: says which may go, and which must stay and why. */
export const duplicateIndex = defineAnalysis({
  kind: 'DUPLICATE_INDEX',
  docs: 'docs/analyses/duplicate-index.md',
  find: async (context) => {
    unsureOfLocked(context);
    const superfluous = await superfluousIndexes(context);
    return superfluous.flatMap((found) => (found.twin ? [faultOf(found, found.twin, context)] : []));
  },
});

function faultOf(
  { table, index, keeper }: Superfluous,
  twin: IndexFacts,
  context: AnalysisContext,
): FoundFault {
  const both = twin === keeper ? '' : ` ${twin.name} may go, too: ${keeper.name} covers both.`;
  return {
    kind: 'DUPLICATE_INDEX',
    severity: removalSeverity(index, [], context),
    schema: table.schema,
    table: table.name,
    index: index.name,
    columns: columnsOf(index),
    title: `Index ${index.name} is the same as ${twin.name} (${bytesInWords(index.sizeBytes)})`,
    detail:
      `${index.name} may go: ${twin.name} answers every query that it does.${both} ` +
      `${keeper.name} stays: ${whyItStays(keeper, index, context)}. ${dropAdvice(index)}`,
    wastedBytes: index.sizeBytes,
    rows: null,
    evidence: {
      mayGo: indexEvidence(index, context),
      mustStay: { ...indexEvidence(keeper, context), duties: keeper.duties },
    },
    remedy: removalRemedy(index, context.databaseName),
  };
}
