import type { Bloat } from '../domain/finding.ts';
import { bytesInWords, type MeasuredTable } from './define-analysis.ts';
import type { TableVacuum, VacuumState } from './read-vacuum.ts';
import {
  serverNumber,
  settingsFor,
  thresholdFor,
  toastOptions,
  type Threshold,
  type VacuumSettings,
} from './vacuum-settings.ts';

type Cause = Bloat['causes'][number];

export type VacuumSubject = Pick<MeasuredTable, 'oid' | 'deadRows' | 'lastVacuumAt' | 'pages' | 'toast'>;

/** A table, or its TOAST table, that by its own settings should have been vacuumed. */
export interface VacuumNeed {
  readonly part: 'TABLE' | 'TOAST';
  readonly why: 'DEAD_ROWS' | 'INSERTED_ROWS';
  /** chunks, of a TOAST table */
  readonly rows: number;
  readonly threshold: number;
  readonly lastVacuumAt: string | null;
}

/** Autovacuum looks at every database once a minute (autovacuum_naptime); whatever waits for so long is not just next. */
export const LATE_MS = 3_600_000;
/** Autovacuum that may dirty less than this in a second falls behind on any large table; the default allows 39 MB. */
const SLOW_BYTES_PER_SECOND = 16 * 1024 * 1024;

const NOTHING_SPECIAL: TableVacuum = {
  options: null,
  toastOptions: null,
  inserted: 0,
  toastInserted: 0,
  unfrozen: 1,
  toastUnfrozen: 1,
  toastVacuumedAt: null,
};

export const vacuumOf = (state: VacuumState, oid: number) => state.tables.get(oid) ?? NOTHING_SPECIAL;

export const tableSettings = (state: VacuumState, oid: number) =>
  settingsFor(state.server, vacuumOf(state, oid).options);

export const toastSettings = (state: VacuumState, oid: number) => {
  const own = vacuumOf(state, oid);
  return settingsFor(state.server, toastOptions(own.toastOptions, own.options));
};

/** By the rules that autovacuum goes by itself. */
export function vacuumNeeds(table: VacuumSubject, state: VacuumState): VacuumNeed[] {
  const own = vacuumOf(state, table.oid);
  const { lastVacuumAt, pages, toast, deadRows } = table;
  const heap = needsOf(tableSettings(state, table.oid), {
    rows: pages.rows,
    dead: deadRows,
    inserted: own.inserted,
    unfrozen: own.unfrozen,
  }).map((need) => ({ ...need, part: 'TABLE' as const, lastVacuumAt }));
  if (toast === null) return heap;
  const wide = needsOf(toastSettings(state, table.oid), {
    rows: toast.pages.rows,
    dead: toast.deadChunks,
    inserted: own.toastInserted,
    unfrozen: own.toastUnfrozen,
  }).map((need) => ({ ...need, part: 'TOAST' as const, lastVacuumAt: own.toastVacuumedAt }));
  return [...heap, ...wide];
}

interface Counted {
  readonly rows: number;
  readonly dead: number;
  readonly inserted: number;
  readonly unfrozen: number;
}

function needsOf(
  settings: VacuumSettings,
  counted: Counted,
): Pick<VacuumNeed, 'why' | 'rows' | 'threshold'>[] {
  const dead = thresholdFor(settings.dead, counted.rows);
  const fresh = insertThreshold(settings.inserted, counted);
  return [
    ...(counted.dead > dead ? [{ why: 'DEAD_ROWS' as const, rows: counted.dead, threshold: dead }] : []),
    ...(fresh !== null && counted.inserted > fresh
      ? [{ why: 'INSERTED_ROWS' as const, rows: counted.inserted, threshold: fresh }]
      : []),
  ];
}

const insertThreshold = (threshold: Threshold | null, { rows, unfrozen }: Counted) =>
  threshold && thresholdFor({ ...threshold, scale: threshold.scale * unfrozen }, rows);

export const runningOn = (table: Pick<VacuumSubject, 'oid' | 'toast'>, state: VacuumState) =>
  state.running.get(table.oid) ?? (table.toast ? state.running.get(table.toast.oid) : undefined);

/** Why dead or new rows of a table wait for VACUUM; the first one is the reason, the others add to it. */
export function vacuumCauses(table: VacuumSubject, state: VacuumState, now: Date): Cause[] {
  const running = runningOn(table, state);
  if (running) return [cause('VACUUM_RUNNING', `VACUUM is at work on it (pid ${running.pid}).`, running.pid)];
  const needs = vacuumNeeds(table, state);
  const settings =
    needs.some(({ part }) => part === 'TABLE') || needs.length === 0 ? tableSettings : toastSettings;
  const inForce = settings(state, table.oid);
  if (inForce.off !== null) return [cause('AUTOVACUUM_OFF', OFF_IN_WORDS[inForce.off])];
  if (needs.length === 0) return [belowThreshold(table, inForce)];
  return [...lockCause(table, state), ...workerCauses(needs, state, inForce, now)];
}

const cause = (code: string, detail: string, pid: number | null = null): Cause => ({ code, detail, pid });

const OFF_IN_WORDS: Readonly<Record<NonNullable<VacuumSettings['off']>, string>> = {
  SERVER: 'Autovacuum is off for the whole server (autovacuum = off).',
  COUNTERS: 'track_counts is off: nothing counts dead rows, and autovacuum does not come without it.',
  TABLE: 'autovacuum_enabled is off for this table.',
};

function belowThreshold(table: VacuumSubject, { dead }: VacuumSettings): Cause {
  const threshold = Math.round(thresholdFor(dead, table.pages.rows));
  return cause('BELOW_THRESHOLD', `Autovacuum comes to this table from ${threshold} dead rows on.`);
}

function lockCause(table: VacuumSubject, state: VacuumState): Cause[] {
  const holder = state.lockHolders.get(table.oid);
  if (!holder) return [];
  const who = holder.pid === null ? 'A prepared transaction' : `The session with pid ${holder.pid}`;
  const detail = `${who} holds a lock on it (${holder.mode}) that VACUUM conflicts with: autovacuum passes the table by.`;
  return [cause('AUTOVACUUM_BLOCKED', detail, holder.pid)];
}

function workerCauses(
  needs: readonly VacuumNeed[],
  state: VacuumState,
  settings: VacuumSettings,
  now: Date,
): Cause[] {
  const workers = serverNumber(state.server, 'autovacuum_max_workers');
  const isSlow =
    settings.dirtyBytesPerSecond !== null && settings.dirtyBytesPerSecond < SLOW_BYTES_PER_SECOND;
  const slow = isSlow
    ? [
        cause(
          'AUTOVACUUM_SLOW',
          `Its cost limit and delay let autovacuum change no more than ${bytesInWords(settings.dirtyBytesPerSecond ?? 0)} a second, all workers together.`,
        ),
      ]
    : [];
  if (state.busyWorkers !== null && state.busyWorkers >= workers) {
    const detail = `All ${workers} workers of autovacuum are busy elsewhere (autovacuum_max_workers).`;
    return [cause('AUTOVACUUM_STARVED', detail), ...slow];
  }
  return needs.every((need) => wasLately(need, now))
    ? slow
    : [cause('AUTOVACUUM_LATE', lateInWords(needs)), ...slow];
}

/** Vacuumed so recently that what is there now has come since, or could not be removed. */
export const wasLately = ({ lastVacuumAt }: VacuumNeed, now: Date) =>
  lastVacuumAt !== null && now.getTime() - Date.parse(lastVacuumAt) < LATE_MS;

function lateInWords(needs: readonly VacuumNeed[]): string {
  const [need] = needs;
  const last = need?.lastVacuumAt?.slice(0, 16).replace('T', ' ');
  const since = last === undefined ? 'has not been there at all' : `was there last on ${last} UTC`;
  return `Autovacuum is on, and ${since}; it comes within minutes, unless it has too much to do or is cancelled again and again by locks.`;
}
