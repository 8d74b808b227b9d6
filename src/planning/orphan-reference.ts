import type { KeyPair, Orphan } from '../domain/filter.ts';
import { badInput } from '../errors.ts';
import type { Column } from '../target/catalog-columns.ts';
import type { ForeignKey, Relation } from '../target/catalog.ts';
import { nameOf } from './plan-context.ts';

/** Columns of one table that should find their values in another. */
export interface Reference {
  readonly orphan: Orphan;
  readonly child: Relation;
  readonly parent: Relation;
  /** the foreign key that says the same */
  readonly declared: ForeignKey | null;
  /** The columns that are pointed to are unique, so that a foreign key can be declared. */
  readonly isKey: boolean;
}

interface Named {
  readonly columns: readonly string[];
  readonly referencedColumns: readonly string[];
}

/** @throws BAD_USER_INPUT for columns that are not there, or that cannot be compared with each other */
export function referenceOf(child: Relation, parent: Relation, named: Named): Reference {
  checkLists(named);
  const declared = declaredKey(child, parent, named);
  const pairs = named.columns.map((name, i) => {
    const column = columnOf(child, name);
    const key = columnOf(parent, named.referencedColumns[i] as string);
    return pairOf(column, key, declared);
  });
  const references = { schema: parent.schema, table: parent.name };
  const isKey = parent.indexes.some(
    (index) => index.isUnique && isWhole(index) && sameNames(index.columns, named.referencedColumns),
  );
  return { orphan: { references, pairs }, child, parent, declared, isKey };
}

/** As many as an index can have. */
const MAX_COLUMNS = 32;

function checkLists({ columns, referencedColumns }: Named): void {
  if (columns.length === 0 || columns.length > MAX_COLUMNS)
    throw badInput(`columns must name 1 to ${MAX_COLUMNS} columns.`);
  if (columns.length !== referencedColumns.length)
    throw badInput(
      'columns and referencedColumns must be of the same length: each finds its value in its counterpart.',
    );
  for (const [name, list] of Object.entries({ columns, referencedColumns }))
    if (new Set(list).size !== list.length) throw badInput(`${name} names a column twice.`);
}

function columnOf(relation: Relation, name: string): Column {
  const column = relation.columns.find((one) => one.name === name);
  if (column !== undefined) return column;
  throw badInput(`The table "${relation.schema}"."${relation.name}" has no column "${name}".`, {
    column: name,
  });
}

/** With the same pairs of columns, in any order; one that PostgreSQL keeps up first. */
function declaredKey({ outbound }: Relation, parent: Relation, { columns, referencedColumns }: Named) {
  const isSame = (key: ForeignKey) =>
    key.referencedOid === parent.oid &&
    key.columns.length === columns.length &&
    columns.every((name, i) => {
      const at = key.columns.indexOf(name);
      return at !== -1 && key.referencedColumns[at] === referencedColumns[i];
    });
  const keys = outbound.filter(isSame);
  return keys.find(({ enforced }) => enforced) ?? keys[0] ?? null;
}

function pairOf(column: Column, key: Column, declared: ForeignKey | null): KeyPair {
  const recast = column.comparison.recast || key.comparison.recast;
  const operator = declared?.operators[declared.columns.indexOf(column.name)] ?? equality(column, key);
  return { column: column.name, key: key.name, operator, recast, collation: decidingCollation(column, key) };
}

const INTEGERS = new Set(['smallint', 'integer', 'bigint']);

/** @throws BAD_USER_INPUT when the values of the two can't be equal, or nothing tells when they are */
function equality(column: Column, key: Column): string {
  const [one, other] = [column.comparison, key.comparison];
  if (INTEGERS.has(one.type) && INTEGERS.has(other.type)) return 'OPERATOR(pg_catalog.=)';
  if (one.type === other.type && other.eq !== null) return other.eq;
  throw badInput(
    `The column "${column.name}" (${column.type}) cannot be compared with "${key.name}" (${key.type}).`,
    { column: column.name },
  );
}

/** As in a foreign key: that of the key. Without a word PostgreSQL would not choose between two. */
const decidingCollation = (column: Column, key: Column): string | null =>
  column.collation === key.collation ? null : (key.collation ?? 'pg_catalog."default"');

type Index = Relation['indexes'][number];

const isWhole = ({ isValid, predicate }: Index): boolean => isValid && predicate === null;

const sameNames = (some: readonly (string | null)[], others: readonly string[]): boolean =>
  some.length === others.length && others.every((name) => some.includes(name));

/** Whether keys are looked up through an index, not by reading the whole table. */
export function hasLookUp({ indexes }: Relation, referencedColumns: readonly string[]): boolean {
  const leads = ({ columns, isUnique, method }: Index) => {
    const leading = columns.slice(0, referencedColumns.length);
    const isNamed = leading.every((name) => name !== null && referencedColumns.includes(name));
    return (
      isNamed &&
      ['btree', 'hash'].includes(method) &&
      (isUnique || leading.length === referencedColumns.length)
    );
  };
  return indexes.some((index) => isWhole(index) && leads(index));
}

/** "shop.orders (customer_id) to shop.customers (id)" */
export const inWords = ({ child, parent, orphan: { pairs } }: Reference): string =>
  `${nameOf(child)} (${pairs.map(({ column }) => column).join(', ')}) to ${nameOf(parent)} (${pairs.map(({ key }) => key).join(', ')})`;
