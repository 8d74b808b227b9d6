import type { FoundFault } from '../../domain/finding.ts';
import {
  type AnalysisContext,
  bytesInWords,
  defineAnalysis,
  type MeasuredIndex,
  type MeasuredTable,
  percent,
  severityOfBytes,
} from '../define-analysis.ts';
import { whyUnknown } from '../judge-bloat.ts';
import { planRemedy } from '../remedies.ts';

/** Indexes that a rebuild would make much smaller. */
export const indexBloat = defineAnalysis({
  kind: 'INDEX_BLOAT',
  docs: 'docs/analyses/index-bloat.md',
  find: async (context) =>
    context.figures.tables.flatMap((table) =>
      table.indexes.flatMap((index) => {
        if (index.bloat.verdict === 'UNKNOWN')
          context.unsure(
            { schema: table.schema, table: table.name, index: index.name },
            whyUnknown(index.bloat),
          );
        return index.bloat.verdict === 'NEEDS_REWRITE' ? [faultOf(table, index, context)] : [];
      }),
    ),
});

function faultOf(table: MeasuredTable, index: MeasuredIndex, context: AnalysisContext): FoundFault {
  const wasted = index.bloat.wastedBytes ?? 0;
  return {
    kind: 'INDEX_BLOAT',
    severity: severityOfBytes(wasted, context.figures.sizeBytes),
    schema: table.schema,
    table: table.name,
    index: index.name,
    columns: index.keys.flatMap((key) => key.column ?? []),
    title: `Index ${index.name} is ${percent(index.bloat.ratio ?? 0)} empty (${bytesInWords(wasted)})`,
    detail: [...index.bloat.causes.map((cause) => cause.detail), index.bloat.advice].join(' '),
    wastedBytes: wasted,
    rows: null,
    evidence: {
      method: index.bloat.method,
      ratio: index.bloat.ratio,
      causes: index.bloat.causes,
      sizeBytes: index.sizeBytes,
      fillfactor: index.fillfactor,
      definition: index.definition,
    },
    remedy: planRemedy(
      'Reindex',
      'Plan to rebuild the index beside the old one, without locking out writers.',
      {
        database: context.databaseName,
        schema: table.schema,
        table: table.name,
        indexes: [index.name],
      },
    ),
  };
}
