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
  withSize,
} from '../index-advice.ts';
import { isIdle } from '../usage-counters.ts';

/** A keeper that is larger by this factor, and by more than a moment's reading, makes long scans dearer. */
const MUCH_LARGER = 2;
const NOTICEABLE_BYTES = 1024 * 1024;

/** Indexes that a longer or a wider one covers: says which may go, and which must stay and why. */
export const redundantIndex = defineAnalysis({
  kind: 'REDUNDANT_INDEX',
  docs: 'docs/analyses/redundant-index.md',
  find: async (context) => {
    unsureOfLocked(context);
    const superfluous = await superfluousIndexes(context);
    return superfluous.filter(({ twin }) => twin === null).map((found) => faultOf(found, context));
  },
});

function faultOf({ table, index, keeper }: Superfluous, context: AnalysisContext): FoundFault {
  const doubts = doubtsAbout(index, keeper, context);
  return {
    kind: 'REDUNDANT_INDEX',
    severity: removalSeverity(index, doubts, context),
    schema: table.schema,
    table: table.name,
    index: index.name,
    columns: columnsOf(index),
    title: `Index ${index.name} is covered by ${keeper.name} (${bytesInWords(index.sizeBytes)})`,
    detail: [
      `${index.name} may go: ${howItIsCovered(index, keeper)}, so that ${keeper.name} answers every query that it does.`,
      `${keeper.name} stays: ${whyItStays(keeper, index, context)}.`,
      ...doubts,
      dropAdvice(index),
    ].join(' '),
    wastedBytes: index.sizeBytes,
    rows: null,
    evidence: {
      mayGo: indexEvidence(index, context),
      mustStay: { ...indexEvidence(keeper, context), duties: keeper.duties },
      doubts,
    },
    remedy: removalRemedy(index, context.databaseName),
  };
}

function howItIsCovered(index: IndexFacts, keeper: IndexFacts): string {
  if (index.method !== keeper.method) return 'a B-tree finds equal values as well as a hash index does';
  if (index.method === 'gin' || index.method === 'brin')
    return `${keeper.name} has its columns, whose order means nothing to ${index.method.toUpperCase()}`;
  const isTurned = index.keys.some((key, i) => key.options !== keeper.keys[i]?.options);
  const keys =
    index.keys.length === keeper.keys.length
      ? `${keeper.name} has the same keys`
      : `its keys are the first ones of ${keeper.name}`;
  const order = isTurned ? ', read backwards' : '';
  return `${keys}${order}${index.included.length > 0 ? ' and has its INCLUDE columns' : ''}`;
}

/** The keeper does all that the other one does, but not always at the same price. */
function doubtsAbout(index: IndexFacts, keeper: IndexFacts, context: AnalysisContext): string[] {
  const isMuchLarger =
    keeper.sizeBytes >= MUCH_LARGER * index.sizeBytes &&
    keeper.sizeBytes - index.sizeBytes >= NOTICEABLE_BYTES;
  const isUsed = !isIdle(index, context);
  return [
    ...(isMuchLarger
      ? [
          `${withSize(keeper)} is much larger than ${withSize(index)}: look-ups cost the same, but scans of many rows read more${isUsed ? ', and this index is in use. Compare such a query with and without it first' : ''}.`,
        ]
      : []),
    ...(index.method !== keeper.method && keeper.sizeBytes > index.sizeBytes
      ? [`A hash index may have been made on purpose, for values that are long: it is the smaller one.`]
      : []),
  ];
}
