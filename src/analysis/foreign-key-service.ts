import type { IndexFacts, IndexKey, MeasuredTable } from './define-analysis.ts';
import type { ForeignKeyFigures, SoughtColumn } from './foreign-keys.ts';
import { conditionsOf, notNullColumn } from './index-predicate.ts';

/**
 * What an index does for the look-up of referencing rows. PART: it knows some of the columns only, or knows them behind
 * others, so that each look-up reads this share of the table (0..1; null: the statistics that tell it are missing).
 */
export type Service =
  { readonly kind: 'WHOLE' | 'NONE' } | { readonly kind: 'PART'; readonly share: number | null };

/** BRIN and others only narrow the search. */
const SERVING_METHODS = new Set(['btree', 'hash', 'gist', 'spgist', 'gin']);
/** These look for any of their columns; the others need the first. */
const ANY_POSITION = new Set(['gin', 'gist']);
/** A look-up that reads more of the table than this is no look-up. */
const LARGEST_SHARE = 0.01;
/** Each step of a skip scan costs about as much as reading so many pages in a row. */
const PAGES_A_STEP = 20;
const SKIP_SCAN_VERSION = 180_000;

const NONE: Service = { kind: 'NONE' };
const WHOLE: Service = { kind: 'WHOLE' };

/** The rules by which the planner matches `$1 = column AND ...` with an index of the table or leaf. */
export function serviceOf(
  index: IndexFacts,
  key: Pick<ForeignKeyFigures, 'columns'>,
  table: MeasuredTable,
  version: number,
): Service {
  if (!index.isValid || !SERVING_METHODS.has(index.method) || !impliedByLookup(index, key)) return NONE;
  const sought = index.keys.map((indexKey) => key.columns.find((column) => isSought(indexKey, column)));
  const first = sought.indexOf(undefined);
  const leading = ANY_POSITION.has(index.method) || first < 0 ? sought : sought.slice(0, first);
  const found = new Set(leading.filter((column) => column !== undefined));
  if (found.size === key.columns.length) return WHOLE;
  if (version >= SKIP_SCAN_VERSION && canSkip(index, sought, key, table)) return WHOLE;
  if (found.size === 0) return NONE;
  return {
    kind: 'PART',
    share: shareOf(
      [...found].map(({ name }) => name),
      table,
    ),
  };
}

export const isServed = (service: Service) =>
  service.kind === 'WHOLE' ||
  (service.kind === 'PART' && service.share !== null && service.share <= LARGEST_SHARE);

/** Equality is never true of NULL: a predicate that says no more than that holds for every row that is looked for. */
const impliedByLookup = (index: IndexFacts, { columns }: Pick<ForeignKeyFigures, 'columns'>) =>
  index.isPartial === (index.predicate !== null) &&
  conditionsOf(index.predicate).every((condition) => {
    const column = notNullColumn(condition);
    return column !== null && columns.some(({ name }) => name === column);
  });

const isSought = (key: IndexKey, column: SoughtColumn) =>
  (column.cast === null ? key.column === column.name : key.expression === column.cast) &&
  column.families.includes(key.operatorFamily) &&
  (key.collation === 0 || key.collation === column.collation);

/** PostgreSQL 18 looks once for each value of the columns that come before: worth it where they have few. */
function canSkip(
  index: IndexFacts,
  sought: readonly (SoughtColumn | undefined)[],
  key: Pick<ForeignKeyFigures, 'columns'>,
  table: MeasuredTable,
): boolean {
  if (index.method !== 'btree' || new Set(sought.filter(Boolean)).size < key.columns.length) return false;
  const last = sought.findLastIndex((column) => column !== undefined);
  const skipped = index.keys.slice(0, last).filter((_, i) => sought[i] === undefined);
  const steps = skipped.reduce((product, { stored }) => {
    const distinct = stored.statistics?.distinct;
    return product * (distinct === undefined ? Infinity : countOf(distinct, table));
  }, 1);
  return steps * PAGES_A_STEP <= table.pages.count;
}

function shareOf(columns: readonly string[], table: MeasuredTable): number | null {
  const distinct = columns.map((name) => table.columns.find((c) => c.name === name)?.statistics?.distinct);
  if (distinct.includes(undefined)) return null;
  return distinct.reduce<number>((share, count) => share / countOf(count ?? 0, table), 1);
}

const countOf = (distinct: number, table: MeasuredTable) =>
  Math.max(distinct < 0 ? -distinct * table.liveRows : distinct, 1);
