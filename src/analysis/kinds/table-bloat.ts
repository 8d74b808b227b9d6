import type { FoundFault, Remedy } from '../../domain/finding.ts';
import {
  type AnalysisContext,
  bytesInWords,
  defineAnalysis,
  type MeasuredTable,
  percent,
  severityOfBytes,
} from '../define-analysis.ts';
import { whyUnknown } from '../judge-bloat.ts';
import { planRemedy } from '../remedies.ts';

/** Tables whose files hold much more than their rows need. */
export const tableBloat = defineAnalysis({
  kind: 'TABLE_BLOAT',
  docs: 'docs/analyses/table-bloat.md',
  find: async (context) =>
    context.figures.tables.flatMap((table) => {
      if (table.kind === 'PARTITIONED') return [];
      if (table.bloat.verdict === 'UNKNOWN')
        context.unsure({ schema: table.schema, table: table.name, index: null }, whyUnknown(table.bloat));
      return ['NEEDS_VACUUM', 'NEEDS_REWRITE'].includes(table.bloat.verdict) ? [faultOf(table, context)] : [];
    }),
});

function faultOf(table: MeasuredTable, context: AnalysisContext): FoundFault {
  const { bloat } = table;
  const wasted = bloat.wastedBytes ?? 0;
  return {
    kind: 'TABLE_BLOAT',
    severity: severityOfBytes(wasted, context.figures.sizeBytes),
    schema: table.schema,
    table: table.name,
    index: null,
    columns: [],
    title: titleOf(table),
    detail: [...bloat.causes.map((cause) => cause.detail), bloat.advice].join(' '),
    wastedBytes: bloat.wastedBytes,
    rows: table.deadRows,
    evidence: {
      verdict: bloat.verdict,
      method: bloat.method,
      ratio: bloat.ratio,
      reusableBytes: bloat.room?.free ?? null,
      reusableAfterVacuumBytes: bloat.room ? bloat.room.free + bloat.room.dead : null,
      backToDiskBytes: bloat.wastedBytes,
      causes: bloat.causes,
      liveRows: table.liveRows,
      deadRows: table.deadRows,
      heapBytes: table.heapBytes,
      toastBytes: table.toastBytes,
      lastVacuumAt: table.lastVacuumAt,
      lastAnalyzeAt: table.lastAnalyzeAt,
    },
    remedy: remedyOf(table, context.databaseName),
  };
}

function titleOf({ schema, name, bloat, deadRows }: MeasuredTable): string {
  if (bloat.ratio === null) return `${schema}.${name} holds ${deadRows} dead rows`;
  const what = bloat.verdict === 'NEEDS_VACUUM' ? 'dead rows' : 'free space';
  return `${schema}.${name} is ${percent(bloat.ratio)} ${what} (${bytesInWords(bloat.wastedBytes ?? 0)})`;
}

/** Dead rows come first: what is free after them is known only then. */
function remedyOf(table: MeasuredTable, database: string): Remedy {
  const input = { database, schema: table.schema, table: table.name };
  if (table.bloat.verdict === 'NEEDS_VACUUM' || hasDeadRows(table))
    return planRemedy('Reorganization', 'Plan a VACUUM: it makes the room of dead rows usable again.', {
      ...input,
      method: 'VACUUM',
    });
  return planRemedy(
    'Reorganization',
    'Plan what gives the free space back to the disk: AUTO chooses, in place where it can, and says why.',
    { ...input, method: 'AUTO' },
  );
}

const DEAD_FLOOR = 1_000;
const DEAD_SHARE = 0.02;

const hasDeadRows = ({ deadRows, liveRows }: MeasuredTable) =>
  deadRows >= DEAD_FLOOR && deadRows >= liveRows * DEAD_SHARE;
