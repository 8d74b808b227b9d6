import type { Bloat } from '../domain/finding.ts';
import { bytesInWords, percent } from './define-analysis.ts';
import type { Unknown } from './estimate-heap.ts';
import { vacuumCauses, type VacuumSubject } from './judge-vacuum.ts';
import type { HorizonHolder } from './read-horizon.ts';
import type { VacuumState } from './read-vacuum.ts';

/** Under this no percentage means anything: a table of one row in a page of 8 kB is no fault. */
export const SMALLEST_WASTE = 256 * 1024;
/** New pages come and go in every table that is written to; a rewrite pays from here on. */
const TABLE_SHARE = 0.3;
/** Random inserts leave a B-tree two thirds full for good. */
const INDEX_SHARE = 0.4;
const VACUUM_SHARE = 0.2;
/** A snapshot that is younger than this is at work, not forgotten. */
const FORGOTTEN_MS = 60_000;

type Cause = Bloat['causes'][number];

export interface Waste {
  readonly sizeBytes: number;
  readonly neededBytes: number;
  /** of rows that are deleted and not yet vacuumed; part of what is not needed */
  readonly deadBytes: number;
  readonly method: 'STATISTICS' | 'SCAN';
  readonly causes: readonly Cause[];
}

export const unknownBloat = (why: Unknown, more: readonly Cause[] = []): Bloat => ({
  verdict: 'UNKNOWN',
  wastedBytes: null,
  ratio: null,
  method: 'NONE',
  causes: [{ code: why.code, detail: why.detail, pid: null }, ...more],
  advice: why.advice,
});

/** Why a bloat is UNKNOWN, in a sentence. */
export const whyUnknown = ({ causes, advice }: Bloat): string => causes[0]?.detail ?? advice;

/** The verdict is certain, how much it is about is not: the rows that died may be others than those that live. */
export const withoutFigures = ({ room: _room, ...bloat }: Bloat): Bloat => ({
  ...bloat,
  wastedBytes: null,
  ratio: null,
  method: 'NONE',
  advice:
    'VACUUM (planReorganization with method VACUUM) makes the room of dead rows usable again; then look again.',
});

/** Dead rows are VACUUM's work and their room is used again; only what stays free after it is a reason to rewrite. */
export function judgeTable(waste: Waste, table: VacuumSubject, around: VacuumContext): Bloat {
  const { wastedBytes, ratio, ...known } = figuresOf(waste);
  const deadBytes = Math.min(waste.deadBytes, wastedBytes);
  const room = { free: Math.round(wastedBytes - deadBytes), dead: Math.round(deadBytes) };
  const figures = { ...known, wastedBytes, ratio, room };
  const causes = [
    ...waste.causes,
    ...deadCauses(deadBytes, table, around),
    ...freeCauses(wastedBytes - deadBytes),
  ];
  if (wastedBytes < SMALLEST_WASTE || ratio < VACUUM_SHARE)
    return { ...figures, verdict: 'HEALTHY', causes, advice: HEALTHY_ADVICE };
  if (deadBytes >= wastedBytes / 2)
    return { ...figures, verdict: 'NEEDS_VACUUM', causes, advice: vacuumAdvice(causes, deadBytes) };
  if (ratio < TABLE_SHARE) return { ...figures, verdict: 'HEALTHY', causes, advice: HEALTHY_ADVICE };
  return { ...figures, verdict: 'NEEDS_REWRITE', causes, advice: rewriteAdvice(wastedBytes, ratio) };
}

export function judgeIndex(waste: Waste): Bloat {
  const figures = figuresOf(waste);
  const { wastedBytes, ratio } = figures;
  const deadBytes = Math.min(waste.deadBytes, wastedBytes);
  if (wastedBytes < SMALLEST_WASTE || ratio < INDEX_SHARE) {
    return { ...figures, verdict: 'HEALTHY', causes: waste.causes, advice: 'Nothing to do.' };
  }
  if (deadBytes >= wastedBytes / 2) {
    const causes = [
      ...waste.causes,
      { code: 'DEAD_ROWS', detail: 'Its table has dead rows that VACUUM has not removed.', pid: null },
    ];
    return {
      ...figures,
      verdict: 'NEEDS_VACUUM',
      causes,
      advice: 'VACUUM the table first; then look again.',
    };
  }
  const causes = [...waste.causes, ...freeCauses(wastedBytes)];
  const advice = `REINDEX CONCURRENTLY (planReindex) would give back about ${bytesInWords(wastedBytes)}.`;
  return { ...figures, verdict: 'NEEDS_REWRITE', causes, advice };
}

function figuresOf(
  waste: Waste,
): Pick<Bloat, 'wastedBytes' | 'ratio' | 'method'> & { wastedBytes: number; ratio: number } {
  const wastedBytes = Math.max(Math.round(waste.sizeBytes - waste.neededBytes), 0);
  return {
    wastedBytes,
    ratio: waste.sizeBytes === 0 ? 0 : wastedBytes / waste.sizeBytes,
    method: waste.method,
  };
}

/** What the server knows of VACUUM beyond the table itself. */
export interface VacuumContext {
  readonly holders: readonly HorizonHolder[];
  readonly vacuum: VacuumState;
  readonly now: Date;
}

function deadCauses(deadBytes: number, table: VacuumSubject, around: VacuumContext): Cause[] {
  if (deadBytes < SMALLEST_WASTE / 4) return [];
  const detail = `${table.deadRows} dead rows (about ${bytesInWords(deadBytes)}) wait for VACUUM, which makes their room usable again.`;
  const held = around.holders.filter((holder) => holdsBack(holder, table.lastVacuumAt, around.now));
  return [
    { code: 'DEAD_ROWS', detail, pid: null },
    ...vacuumCauses(table, around.vacuum, around.now),
    ...held.slice(0, 3).map(({ code, detail, pid }) => ({ code, detail, pid })),
  ];
}

/** Transactions that have begun since, where no time tells how old a holder is. */
const FORGOTTEN_TRANSACTIONS = 10_000;

/** Older than a VACUUM that has left dead rows behind, or old by any measure. */
function holdsBack(holder: HorizonHolder, lastVacuumAt: string | null, now: Date): boolean {
  if (holder.holds === 'CATALOGS') return false;
  if (holder.isIdle) return true;
  if (holder.since === null) return holder.transactions >= FORGOTTEN_TRANSACTIONS;
  return (
    now.getTime() - holder.since.getTime() > FORGOTTEN_MS ||
    (lastVacuumAt !== null && holder.since < new Date(lastVacuumAt))
  );
}

const freeCauses = (bytes: number): Cause[] =>
  bytes < SMALLEST_WASTE / 4
    ? []
    : [
        {
          code: 'FREE_SPACE',
          detail: `About ${bytesInWords(bytes)} lie free: usable for new rows, not given back to the disk.`,
          pid: null,
        },
      ];

const HEALTHY_ADVICE = 'Nothing to do: free space within the table is used by new rows.';

function vacuumAdvice(causes: readonly Cause[], deadBytes: number): string {
  const held = causes.some((cause) => HOLDING.has(cause.code));
  const gain = `About ${bytesInWords(deadBytes)} become usable for new rows; the disk gets back only empty pages at the table's end.`;
  return held
    ? `End what holds VACUUM back (see causes), then VACUUM (planReorganization with method VACUUM). ${gain} A rewrite would not help.`
    : `VACUUM (planReorganization with method VACUUM). ${gain} A rewrite is not the answer yet.`;
}

const HOLDING = new Set(['OLD_SNAPSHOT', 'PREPARED_TRANSACTION', 'REPLICATION_SLOT', 'STANDBY_FEEDBACK']);

const rewriteAdvice = (bytes: number, ratio: number) =>
  `New rows will use the free space. Only if the table will not grow again by that much, a rewrite would give back about ${bytesInWords(bytes)}, ${percent(ratio)} of it. ` +
  'planReorganization with AUTO chooses how, and locks nobody out.';
