import { isOff, optionOf } from './read-tables.ts';

/** Server settings by name, as in pg_settings: numbers in their base units, switches as on and off. */
export type ServerSettings = Readonly<Record<string, string>>;

/** All that is asked of pg_settings; a name that this version does not know is not there. */
export const SETTING_NAMES: readonly string[] = [
  'autovacuum',
  'track_counts',
  'autovacuum_max_workers',
  'autovacuum_naptime',
  'autovacuum_vacuum_threshold',
  'autovacuum_vacuum_scale_factor',
  'autovacuum_vacuum_max_threshold',
  'autovacuum_vacuum_insert_threshold',
  'autovacuum_vacuum_insert_scale_factor',
  'autovacuum_analyze_threshold',
  'autovacuum_analyze_scale_factor',
  'autovacuum_freeze_max_age',
  'autovacuum_multixact_freeze_max_age',
  'autovacuum_vacuum_cost_delay',
  'autovacuum_vacuum_cost_limit',
  'vacuum_cost_delay',
  'vacuum_cost_limit',
  'vacuum_cost_page_dirty',
  'vacuum_failsafe_age',
  'vacuum_multixact_failsafe_age',
  'vacuum_freeze_min_age',
  'vacuum_freeze_table_age',
  'vacuum_multixact_freeze_min_age',
  'vacuum_multixact_freeze_table_age',
];

/** Autovacuum comes when more than base + scale * rows have changed, but never later than at max. */
export interface Threshold {
  readonly base: number;
  readonly scale: number;
  readonly max: number | null;
}

/** What is in force for one table or one TOAST table. */
export interface VacuumSettings {
  /** why autovacuum never comes, except against wraparound; null when it does */
  readonly off: 'SERVER' | 'COUNTERS' | 'TABLE' | null;
  readonly dead: Threshold;
  /** null: inserted rows alone are no reason */
  readonly inserted: Threshold | null;
  readonly analyze: Threshold;
  readonly freezeMaxAge: number;
  readonly multixactFreezeMaxAge: number;
  /** bytes that autovacuum may dirty in a second, all its workers together; null: no limit */
  readonly dirtyBytesPerSecond: number | null;
}

/** rows: reltuples, -1 when they were never counted, which autovacuum takes for none */
export function thresholdFor({ base, scale, max }: Threshold, rows: number): number {
  const threshold = base + scale * Math.max(rows, 0);
  return max === null ? threshold : Math.min(threshold, max);
}

/** The reloptions that autovacuum goes by for a TOAST table: its own if it has any, else all of its table's. */
export const toastOptions = (own: string | null, table: string | null) => own ?? table;

/** As relation_needs_vacanalyze in autovacuum.c joins a table's options with the server's settings. */
export function settingsFor(server: ServerSettings, options: string | null): VacuumSettings {
  const number = (name: string) => valueOf(server, options, name);
  return {
    off: whyOff(server, options),
    dead: {
      base: number('vacuum_threshold'),
      scale: number('vacuum_scale_factor'),
      max: bound(number('vacuum_max_threshold')),
    },
    inserted:
      number('vacuum_insert_threshold') < 0
        ? null
        : { base: number('vacuum_insert_threshold'), scale: number('vacuum_insert_scale_factor'), max: null },
    analyze: { base: number('analyze_threshold'), scale: number('analyze_scale_factor'), max: null },
    freezeMaxAge: lowered(server, options, 'freeze_max_age'),
    multixactFreezeMaxAge: lowered(server, options, 'multixact_freeze_max_age'),
    dirtyBytesPerSecond: dirtyRate(server, options),
  };
}

/** A setting of the server; NaN when this version has none of that name. */
export const serverNumber = (server: ServerSettings, name: string) => Number(server[name] ?? NaN);

function valueOf(server: ServerSettings, options: string | null, name: string): number {
  const own = optionOf(options, `autovacuum_${name}`);
  return own === undefined ? serverNumber(server, `autovacuum_${name}`) : Number(own);
}

/** -1 says that there is none; before PostgreSQL 18 there never is. */
const bound = (value: number) => (Number.isNaN(value) || value < 0 ? null : value);

/** A table can ask to be frozen earlier than the server says, never later. */
const lowered = (server: ServerSettings, options: string | null, name: string) =>
  Math.min(valueOf(server, options, name), serverNumber(server, `autovacuum_${name}`));

function whyOff(server: ServerSettings, options: string | null): VacuumSettings['off'] {
  if (isOff(server['autovacuum'])) return 'SERVER';
  if (isOff(server['track_counts'])) return 'COUNTERS';
  return isOff(optionOf(options, 'autovacuum_enabled')) ? 'TABLE' : null;
}

const PAGE_BYTES = 8192;

/** A page that is dirtied costs vacuum_cost_page_dirty; at the limit a worker rests for the delay. */
function dirtyRate(server: ServerSettings, options: string | null): number | null {
  const inherited = (name: string) => {
    const value = valueOf(server, options, `vacuum_${name}`);
    return value < 0 ? serverNumber(server, `vacuum_${name}`) : value;
  };
  const delayMs = inherited('cost_delay');
  const cost = serverNumber(server, 'vacuum_cost_page_dirty');
  if (delayMs <= 0 || cost <= 0) return null;
  return (inherited('cost_limit') / cost) * PAGE_BYTES * (1_000 / delayMs);
}
