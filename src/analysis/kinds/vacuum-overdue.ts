import type { FoundFault } from '../../domain/finding.ts';
import type { Severity } from '../../domain/words.ts';
import { ident, toText } from '../../target/sql.ts';
import {
  type AnalysisContext,
  defineAnalysis,
  type KeptTable,
  type MeasuredTable,
  tableKey,
} from '../define-analysis.ts';
import { durationInWords } from '../duration-in-words.ts';
import {
  LATE_MS,
  runningOn,
  tableSettings,
  toastSettings,
  vacuumCauses,
  type VacuumNeed,
  vacuumNeeds,
  wasLately,
} from '../judge-vacuum.ts';
import type { VacuumState } from '../read-vacuum.ts';
import { planRemedy } from '../remedies.ts';
import { couldHold } from '../table-bloat.ts';

/** From so many dead rows on, and as many as live ones, every scan of the table costs twice. */
const MANY_DEAD = 100_000;
const FEW = 1_000;

/** Tables that by their own settings should have been vacuumed, and have not been. */
export const vacuumOverdue = defineAnalysis({
  kind: 'VACUUM_OVERDUE',
  docs: 'docs/analyses/vacuum-overdue.md',
  find: async (context) => {
    const tables = context.figures.tables.filter((table) => table.kind !== 'PARTITIONED');
    if (isBlind(context)) {
      for (const table of tables) doubt(table, context, 'track_counts is off: nobody counts its dead rows');
      return [blindFault(tables.length)];
    }
    const due = tables.flatMap((table) => dueTable(table, context) ?? []);
    const before =
      due.length === 0 ? null : await context.memory.tablesAt(new Date(context.now.getTime() - LATE_MS));
    return due.flatMap(({ table, needs }) => {
      const lasting = before && needs.filter((need) => need.isOff || wasDue(need, table, before));
      return lasting?.length === 0 ? [] : [faultOf(table, lasting ?? needs, before !== null, context)];
    });
  },
});

type Need = VacuumNeed & { readonly isOff: boolean };

const isBlind = ({ figures }: AnalysisContext) => figures.vacuum.server['track_counts'] === 'off';

function dueTable(
  table: MeasuredTable,
  context: AnalysisContext,
): { table: MeasuredTable; needs: readonly Need[] } | null {
  const { vacuum } = context.figures;
  const needs = vacuumNeeds(table, vacuum)
    .map((need) => ({ ...need, isOff: isOff(need, table, vacuum) }))
    .filter((need) => isLeftAlone(need, context));
  if (needs.length === 0) {
    if (table.countersLost || table.toast?.countersLost)
      doubt(table, context, 'the counters of its rows were lost in a crash or a reset');
    return null;
  }
  if (runningOn(table, vacuum)) return doubt(table, context, 'it is being vacuumed now');
  if (needs.every(({ part, why }) => part === 'TABLE' && why === 'DEAD_ROWS') && !couldHold(table))
    return doubt(
      table,
      context,
      'it is too small for the dead rows that are counted (VACUUM FULL leaves the counter)',
    );
  return { table, needs };
}

function doubt({ schema, name }: MeasuredTable, context: AnalysisContext, why: string): null {
  context.unsure({ schema, table: name, index: null }, `${schema}.${name}: ${why}.`);
  return null;
}

const isOff = ({ part }: VacuumNeed, table: MeasuredTable, vacuum: VacuumState) =>
  (part === 'TABLE' ? tableSettings : toastSettings)(vacuum, table.oid).off !== null;

/** What was vacuumed an hour ago is autovacuum's next turn, or is held back by something: VACUUM_BLOCKED finds that. */
function isLeftAlone(need: Need, { figures, now }: AnalysisContext): boolean {
  if (!wasLately(need, now)) return true;
  return need.isOff && !figures.holders.some(({ since }) => isOlder(since, need.lastVacuumAt));
}

const isOlder = (since: Date | null, lastVacuumAt: string | null) =>
  since !== null && lastVacuumAt !== null && since < new Date(lastVacuumAt);

/** Rows that died a minute ago are what autovacuum is there for: an hour ago they had to be too many already. */
function wasDue(need: VacuumNeed, table: MeasuredTable, before: ReadonlyMap<string, KeptTable>): boolean {
  const kept = before.get(tableKey(table.schema, table.name));
  if (!kept) return false;
  if (need.part === 'TOAST') return true;
  const then =
    need.why === 'DEAD_ROWS' ? kept.deadRows : need.rows - Math.max(table.liveRows - kept.liveRows, 0);
  return then > need.threshold;
}

function faultOf(
  table: MeasuredTable,
  needs: readonly Need[],
  isLasting: boolean,
  context: AnalysisContext,
): FoundFault {
  const { schema, name } = table;
  const { vacuum } = context.figures;
  const causes = vacuumCauses(table, vacuum, context.now);
  const isKnown = isLasting || needs.some((need) => need.isOff);
  const doubts = [...(isKnown ? [] : [FIRST_LOOK]), ...(vacuum.seesAll ? [] : [hiddenWorkers(vacuum.role)])];
  return {
    kind: 'VACUUM_OVERDUE',
    severity: severityOf(table, needs, isKnown),
    schema,
    table: name,
    index: null,
    columns: [],
    title: `${schema}.${name}: ${needInWords(needs)} wait for VACUUM`,
    detail: [
      ...needs.map((need) => inWords(need, context.now)),
      ...causes.map((cause) => cause.detail),
      ...heldBack(context),
      ...doubts,
      advice(table, causes),
    ].join(' '),
    wastedBytes: null,
    rows: needs.find(({ part, why }) => part === 'TABLE' && why === 'DEAD_ROWS')?.rows ?? null,
    evidence: {
      needs,
      causes,
      doubts,
      liveRows: table.liveRows,
      deadRows: table.deadRows,
      deadChunks: table.toast?.deadChunks ?? 0,
      busyWorkers: vacuum.busyWorkers,
      maxWorkers: Number(vacuum.server['autovacuum_max_workers']),
      lastVacuumAt: table.lastVacuumAt,
    },
    remedy: planRemedy('Reorganization', 'Plan a VACUUM: it makes the room of dead rows usable again.', {
      database: context.databaseName,
      schema,
      table: name,
      method: 'VACUUM',
    }),
  };
}

/** Seen for the first time it may be autovacuum's next turn: that is worth a note, no more. */
function severityOf(table: MeasuredTable, needs: readonly VacuumNeed[], isKnown: boolean): Severity {
  const dead = Math.max(table.deadRows, table.toast?.deadChunks ?? 0);
  if (!isKnown || dead < FEW || needs.every(({ why }) => why === 'INSERTED_ROWS')) return 'INFO';
  return dead >= MANY_DEAD && dead >= table.liveRows ? 'WARNING' : 'NOTICE';
}

const FIRST_LOOK =
  'No earlier snapshot tells how long it has been so: if the rows are of the last minutes, autovacuum is on its way.';

const THINGS: Readonly<Record<VacuumNeed['part'], Readonly<Record<VacuumNeed['why'], string>>>> = {
  TABLE: { DEAD_ROWS: 'dead rows', INSERTED_ROWS: 'new rows' },
  TOAST: { DEAD_ROWS: 'dead chunks of wide values', INSERTED_ROWS: 'new chunks of wide values' },
};

const needInWords = (needs: readonly VacuumNeed[]) =>
  needs
    .slice(0, 1)
    .map(({ rows, part, why }) => `${rows} ${THINGS[part][why]}`)
    .join('');

function inWords({ part, why, rows, threshold, lastVacuumAt }: VacuumNeed, now: Date): string {
  const last =
    lastVacuumAt === null
      ? 'no VACUUM is known'
      : `the last VACUUM was ${durationInWords(now.getTime() - Date.parse(lastVacuumAt))} ago`;
  return `${rows} ${THINGS[part][why]}; by its settings VACUUM is due from ${Math.round(threshold)} on, and ${last}.`;
}

/** VACUUM would run, and remove nothing that the oldest of them may still see. */
function heldBack({ figures, now }: AnalysisContext): string[] {
  const [holder] = figures.holders.filter(
    ({ holds, since }) => holds === 'ROWS' && since !== null && now.getTime() - since.getTime() > 60_000,
  );
  return holder ? [`Something holds VACUUM back: ${holder.detail}`] : [];
}

const hiddenWorkers = (role: string) =>
  `Whether all workers of autovacuum are busy is hidden from this role: GRANT pg_read_all_stats TO ${toText(ident(role))};`;

const advice = ({ schema, name }: MeasuredTable, causes: readonly { code: string }[]) =>
  causes
    .flatMap(({ code }) => ADVICE[code]?.(toText(ident(schema, name))) ?? [])
    .concat('VACUUM the table (planReorganization with method VACUUM).')
    .join(' ');

const ADVICE: Readonly<Record<string, (table: string) => string>> = {
  AUTOVACUUM_OFF: (table) =>
    `If that is not meant: ALTER TABLE ${table} RESET (autovacuum_enabled); where it is the table's own, autovacuum = on where it is the server's.`,
  AUTOVACUUM_STARVED: () =>
    'Raise autovacuum_max_workers together with autovacuum_vacuum_cost_limit, which they share.',
  AUTOVACUUM_BLOCKED: () => 'Look at what that session does, and let it end.',
  AUTOVACUUM_SLOW: () => 'Raise autovacuum_vacuum_cost_limit or lower autovacuum_vacuum_cost_delay.',
};

const blindFault = (tables: number): FoundFault => ({
  kind: 'VACUUM_OVERDUE',
  severity: 'WARNING',
  schema: null,
  table: null,
  index: null,
  columns: [],
  title: 'Nobody counts dead rows: track_counts is off',
  detail:
    'Without track_counts autovacuum neither vacuums nor analyses any table, except against wraparound, and the figures of rows here stand still. ' +
    'Switch it on (track_counts = on; it may be off for this database or role alone: ALTER DATABASE ... RESET track_counts), then VACUUM ANALYZE.',
  wastedBytes: null,
  rows: null,
  evidence: { setting: 'track_counts', value: 'off', tables },
  remedy: null,
});
