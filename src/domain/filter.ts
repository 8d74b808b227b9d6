import { badInput } from '../errors.ts';
import type { FilterOp } from './words.ts';

/** What a caller sends: exactly one of all, any, not, or column with op. Never SQL. */
export interface RowFilterInput {
  all?: RowFilterInput[] | null;
  any?: RowFilterInput[] | null;
  not?: RowFilterInput | null;
  column?: string | null;
  op?: FilterOp | null;
  value?: string | null;
  values?: string[] | null;
  /** ISO 8601 duration, OLDER_THAN only */
  age?: string | null;
}

/** The comparisons that are left once an age has become a literal instant. */
export type ComparisonOp = 'EQ' | 'NE' | 'LT' | 'LE' | 'GT' | 'GE';

/** The canonical form: no ages, one shape for each node; what a plan's hash covers. */
export type RowFilter =
  | { readonly all: readonly RowFilter[] }
  | { readonly any: readonly RowFilter[] }
  | { readonly not: RowFilter }
  | {
      readonly column: string;
      readonly op: ComparisonOp;
      readonly value: string;
      /** the value is the instant that an age became: only a moment can be older than it */
      readonly byAge?: true;
    }
  | { readonly column: string; readonly op: 'IN' | 'NOT_IN'; readonly values: readonly string[] }
  | { readonly column: string; readonly op: 'IS_NULL' | 'IS_NOT_NULL' }
  | { readonly newest: Newest }
  | { readonly orphan: Orphan };

/** Rows that have fewer than count others above them by the column, among those with the same values of per. Plans add it; nobody sends it. */
export interface Newest {
  readonly by: string;
  readonly count: number;
  readonly per: readonly string[];
}

/**
 * Rows whose columns all have a value, and that find no row of the other table by it; a NULL is no orphan (MATCH SIMPLE). Plans add
 * it; nobody sends it.
 */
export interface Orphan {
  readonly references: { readonly schema: string; readonly table: string };
  readonly pairs: readonly KeyPair[];
}

/** A column and the one of the other table that it should find its value in. */
export interface KeyPair {
  readonly column: string;
  readonly key: string;
  /** OPERATOR(schema.=), with the key on the left */
  readonly operator: string;
  /** a domain, for which the operator would not be found by itself: both are cast to the type below it */
  readonly recast: boolean;
  /** schema.name of the one that decides where the columns' own differ */
  readonly collation: string | null;
}

export interface CanonicalFilter {
  readonly filter: RowFilter;
  /** The literal instant that ages became; null when the filter has none. With several ages, the latest. */
  readonly cutoff: Date | null;
}

/** More values than this belong in a table of their own. */
export const MAX_VALUES = 1000;
const MAX_DEPTH = 8;
const MAX_NODES = 200;
const MAX_VALUE_LENGTH = 10_000;

/**
 * Checks the shape of a filter and turns ages into instants counted back from now.
 * Columns and values are checked against the catalog later (target/row-filter).
 */
export function canonicalFilter(input: RowFilterInput, now: Date): CanonicalFilter {
  const state: Walk = { now, nodes: 0, cutoff: null };
  const filter = canonicalNode(input, state, 1);
  return { filter, cutoff: state.cutoff };
}

/** The names of all columns that the filter speaks of, each once, in order of appearance. */
export function filterColumns(filter: RowFilter): string[] {
  if ('all' in filter) return [...new Set(filter.all.flatMap(filterColumns))];
  if ('any' in filter) return [...new Set(filter.any.flatMap(filterColumns))];
  if ('not' in filter) return filterColumns(filter.not);
  if ('newest' in filter) return [...new Set([filter.newest.by, ...filter.newest.per])];
  if ('orphan' in filter) return filter.orphan.pairs.map(({ column }) => column);
  return [filter.column];
}

interface Walk {
  readonly now: Date;
  nodes: number;
  cutoff: Date | null;
}

function canonicalNode(input: RowFilterInput, walk: Walk, depth: number): RowFilter {
  walk.nodes += 1;
  if (depth > MAX_DEPTH) throw badInput(`A filter may be ${MAX_DEPTH} levels deep at most.`);
  if (walk.nodes > MAX_NODES) throw badInput(`A filter may have ${MAX_NODES} parts at most.`);
  const members = (['all', 'any', 'not', 'column'] as const).filter((key) => input[key] != null);
  if (members.length !== 1) {
    throw badInput(
      members.length === 0
        ? 'The filter is empty. Give exactly one of all, any, not, or column with op.'
        : `The filter has ${members.join(' and ')} side by side. Give exactly one of all, any, not, or column with op.`,
    );
  }
  if (input.all != null) return { all: canonicalList('all', input.all, walk, depth) };
  if (input.any != null) return { any: canonicalList('any', input.any, walk, depth) };
  if (input.not != null) return { not: canonicalNode(input.not, walk, depth + 1) };
  return canonicalComparison(input, walk);
}

function canonicalList(name: string, list: RowFilterInput[], walk: Walk, depth: number): RowFilter[] {
  if (list.length === 0) throw badInput(`The filter's list "${name}" is empty.`);
  return list.map((part) => canonicalNode(part, walk, depth + 1));
}

function canonicalComparison(input: RowFilterInput, walk: Walk): RowFilter {
  const column = input.column ?? '';
  const { op } = input;
  if (column === '') throw badInput('A comparison needs the name of a column.');
  if (op == null) throw badInput(`The comparison on "${column}" has no op.`);
  assertOperand(input, column, op);
  if (op === 'IS_NULL' || op === 'IS_NOT_NULL') return { column, op };
  if (op === 'IN' || op === 'NOT_IN')
    return { column, op, values: checkedValues(column, input.values ?? []) };
  if (op === 'OLDER_THAN')
    return { column, op: 'LT', value: instantBefore(input.age ?? '', walk), byAge: true };
  return { column, op, value: checkedValue(column, input.value ?? '') };
}

function assertOperand(input: RowFilterInput, column: string, op: FilterOp): void {
  const wanted = wantedOperand(op);
  for (const operand of ['value', 'values', 'age'] as const) {
    if ((input[operand] != null) !== (operand === wanted)) {
      throw badInput(`${op} on "${column}" takes ${wanted ?? 'no value'}.`);
    }
  }
}

function wantedOperand(op: FilterOp): 'value' | 'values' | 'age' | null {
  if (op === 'IS_NULL' || op === 'IS_NOT_NULL') return null;
  if (op === 'IN' || op === 'NOT_IN') return 'values';
  return op === 'OLDER_THAN' ? 'age' : 'value';
}

function checkedValues(column: string, values: string[]): string[] {
  if (values.length === 0) throw badInput(`The list of values for "${column}" is empty.`);
  if (values.length > MAX_VALUES) {
    throw badInput(`The list of values for "${column}" has ${values.length}; ${MAX_VALUES} are allowed.`);
  }
  return values.map((value) => checkedValue(column, value));
}

function checkedValue(column: string, value: string): string {
  if (value.includes('\0')) throw badInput(`A value for "${column}" contains a NUL character.`);
  if (value.length > MAX_VALUE_LENGTH) throw badInput(`A value for "${column}" is too long.`);
  return value;
}

const DURATION =
  /^P(?=\d|T\d)(?:(\d+)Y)?(?:(\d+)M)?(?:(\d+)W)?(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)S)?)?$/;

const LONGEST_AGE_MONTHS = 200 * 12;

/**
 * The instant that lies an ISO 8601 duration before now, by the UTC calendar: P1M before 31 March is 28 or 29 February.
 * Refuses less than one hour and more than 200 years.
 */
function instantBefore(age: string, walk: Walk): string {
  const parts = DURATION.exec(age);
  if (!parts) throw badInput(`"${age.slice(0, 40)}" is not an ISO 8601 duration such as P90D or P1Y6M.`);
  const [years, months, weeks, days, hours, minutes, seconds] = parts.slice(1).map((n) => Number(n ?? 0)) as [
    number,
    number,
    number,
    number,
    number,
    number,
    number,
  ];
  const instant = monthsBefore(walk.now, years * 12 + months);
  instant.setTime(
    instant.getTime() - ((((weeks * 7 + days) * 24 + hours) * 60 + minutes) * 60 + seconds) * 1000,
  );
  // Not a number when it lies before all that JavaScript can count: that is out of range, too.
  if (!(instant >= monthsBefore(walk.now, LONGEST_AGE_MONTHS)))
    throw badInput(`An age of ${age.slice(0, 40)} is out of range; at most 200 years.`);
  if (walk.now.getTime() - instant.getTime() < 3_600_000) {
    throw badInput(`An age of ${age} is too short; at least one hour (PT1H).`);
  }
  if (walk.cutoff === null || instant > walk.cutoff) walk.cutoff = instant;
  return instant.toISOString();
}

function monthsBefore(now: Date, months: number): Date {
  const first = new Date(now);
  first.setUTCDate(1);
  first.setUTCMonth(first.getUTCMonth() - months);
  const daysInMonth = new Date(Date.UTC(first.getUTCFullYear(), first.getUTCMonth() + 1, 0)).getUTCDate();
  first.setUTCDate(Math.min(now.getUTCDate(), daysInMonth));
  return first;
}
