import type { Newest, Orphan, RowFilter } from '../domain/filter.ts';
import { badInput } from '../errors.ts';
import type { Column } from './catalog-columns.ts';
import type { Relation } from './catalog.ts';
import { findsKey } from './finds-key.ts';
import type { Session } from './session.ts';
import { type Sql, fromCatalog, ident, integer, join, sql, typedArray, typedValue } from './sql.ts';
import { TargetError } from './sqlstate.ts';

type Comparison = Extract<RowFilter, { column: string }>;
type WithValues = Extract<Comparison, { value: string } | { values: readonly string[] }>;

/**
 * A filter as a boolean SQL expression on the relation. Comparisons are SQL's own: with NULL on the left they are unknown,
 * so NE and NOT_IN leave out rows whose column is NULL, inside NOT too.
 * @throws BAD_USER_INPUT when a column is not there, or its type does not compare that way
 */
export function compileFilter(filter: RowFilter, relation: Relation, alias?: Sql): Sql {
  if ('all' in filter) return group(filter.all, ' AND ', relation, alias);
  if ('any' in filter) return group(filter.any, ' OR ', relation, alias);
  if ('not' in filter) return sql`(NOT ${compileFilter(filter.not, relation, alias)})`;
  if ('newest' in filter) return compileNewest(filter.newest, relation, alias);
  if ('orphan' in filter) return compileOrphan(filter.orphan, relation, alias);
  const column = columnOf(filter, relation);
  return sql`(${compileComparison(filter, column, named(column, alias))})`;
}

const named = ({ name }: Column, alias?: Sql): Sql =>
  alias === undefined ? ident(name) : sql`${alias}.${ident(name)}`;

function compileOrphan(orphan: Orphan, relation: Relation, alias?: Sql): Sql {
  const columns = orphan.pairs.map(({ column }) => columnOf({ column, op: 'IS_NOT_NULL' }, relation));
  const filled = columns.map((column) => isNull(false, column, named(column, alias)));
  const found = findsKey(
    orphan,
    columns.map((column) => ({ sql: named(column, alias), type: column.comparison.type })),
  );
  return sql`(${join(filled, ' AND ')} AND NOT ${found})`;
}

/**
 * Never unknown: a row whose column is NULL has none above it, and counts as one of the newest. The columns of the rows above get names of
 * their own, so that those of the row itself need no alias.
 */
function compileNewest({ by, count, per }: Newest, relation: Relation, alias?: Sql): Sql {
  const columns = [...per, by].map((name) => columnOf({ column: name, op: 'IS_NOT_NULL' }, relation));
  const own = (column: Column) => named(column, alias);
  const above = (i: number) => ident(`declutter ${i}`);
  const conditions = columns.map((column, i) => {
    const [left, right] = [operand(column, above(i)), operand(column, own(column))];
    if (i === per.length) return sql`${left} ${operator(column, 'GT')} ${right}`;
    const equal = sql`${left} ${operator(column, 'EQ')} ${right}`;
    return column.notNull ? equal : sql`(${equal} OR (${above(i)} IS NULL AND ${own(column)} IS NULL))`;
  });
  const renamed = columns.map(({ name }, i) => sql`${ident(name)} AS ${above(i)}`);
  const rows = sql`SELECT ${join(renamed, ', ')} FROM ONLY ${ident(relation.schema, relation.name)}`;
  return sql`((SELECT pg_catalog.count(*) FROM (SELECT FROM (${rows}) AS every_row WHERE ${join(conditions, ' AND ')}
                LIMIT ${integer(count)}) AS above) < ${integer(count)})`;
}

const group = (parts: readonly RowFilter[], separator: string, relation: Relation, alias?: Sql): Sql =>
  sql`(${join(
    parts.map((part) => compileFilter(part, relation, alias)),
    separator,
  )})`;

function columnOf(filter: Comparison, relation: Relation): Column {
  const column = relation.columns.find(({ name }) => name === filter.column);
  if (column === undefined) {
    throw badInput(`The table "${relation.schema}"."${relation.name}" has no column "${filter.column}".`, {
      column: filter.column,
    });
  }
  return column;
}

function compileComparison(filter: Comparison, column: Column, name: Sql): Sql {
  if ('values' in filter) {
    const isOne = isOneOf(filter.values, column, name);
    return filter.op === 'IN' ? isOne : sql`NOT ${isOne}`;
  }
  if (!('value' in filter)) return isNull(filter.op === 'IS_NULL', column, name);
  const value = typedValue(filter.value, column.comparison.type);
  if (filter.op === 'NE') return sql`NOT ${operand(column, name)} ${operator(column, 'EQ')} ${value}`;
  return sql`${operand(column, name)} ${operator(column, filter.op)} ${value}`;
}

function isNull(wanted: boolean, column: Column, name: Sql): Sql {
  if (column.composite)
    return wanted ? sql`${name} IS NOT DISTINCT FROM NULL` : sql`${name} IS DISTINCT FROM NULL`;
  return wanted ? sql`${name} IS NULL` : sql`${name} IS NOT NULL`;
}

const OPERATORS = { EQ: 'eq', LT: 'lt', LE: 'le', GT: 'gt', GE: 'ge' } as const;

function operator(column: Column, op: keyof typeof OPERATORS): Sql {
  const name = column.comparison[OPERATORS[op]];
  if (name !== null) return fromCatalog(name);
  throw badInput(
    `Values of the column "${column.name}" (${column.type}) ${op === 'EQ' ? 'cannot be compared' : 'have no order'} in PostgreSQL; ` +
      `use ${column.comparison.eq === null ? 'IS_NULL or IS_NOT_NULL' : 'EQ, NE, IN, NOT_IN, IS_NULL or IS_NOT_NULL'}.`,
    { column: column.name, op },
  );
}

/** There is no array of arrays in PostgreSQL, so a list of them becomes a chain of comparisons. */
function isOneOf(values: readonly string[], column: Column, name: Sql): Sql {
  const { type } = column.comparison;
  const equals = operator(column, 'EQ');
  const left = operand(column, name);
  if (!type.endsWith('[]')) return sql`${left} ${equals} ANY (${typedArray(values, type)})`;
  return sql`(${join(
    values.map((value) => sql`${left} ${equals} ${typedValue(value, type)}`),
    ' OR ',
  )})`;
}

/** A domain over an enum, range or array does not find the polymorphic operators by itself. The index on it is still used. */
const operand = (column: Column, name: Sql): Sql =>
  column.comparison.recast ? sql`${name}::${fromCatalog(column.comparison.type)}` : name;

/**
 * Has the server read each value as its column's type. Sends transactions of its own: call it outside of one.
 * @throws BAD_USER_INPUT without PostgreSQL's words, which could carry data
 */
export async function checkFilterValues(
  session: Session,
  filter: RowFilter,
  relation: Relation,
): Promise<void> {
  for (const comparison of comparisonsOf(filter)) {
    const column = columnOf(comparison, relation);
    compileComparison(comparison, column, ident(column.name));
    refuseAgeless(comparison, column);
    if (!('value' in comparison || 'values' in comparison)) continue;
    await checkParses(session, comparison, column);
    if (isMoment(column)) await checkMoments(session, comparison, column);
  }
}

/** Text, bytes and times of day would be compared with the instant's letters, or with its time of day. */
function refuseAgeless(comparison: Comparison, column: Column): void {
  if (!('byAge' in comparison) || isMoment(column)) return;
  throw badInput(`OLDER_THAN needs a date or a timestamp; the column "${column.name}" is ${column.type}.`, {
    column: column.name,
  });
}

function comparisonsOf(filter: RowFilter): Comparison[] {
  if ('all' in filter) return filter.all.flatMap(comparisonsOf);
  if ('any' in filter) return filter.any.flatMap(comparisonsOf);
  if ('newest' in filter || 'orphan' in filter) return [];
  return 'not' in filter ? comparisonsOf(filter.not) : [filter];
}

async function checkParses(session: Session, comparison: WithValues, column: Column): Promise<void> {
  try {
    const values = valuesOf(comparison).map(
      (value) => sql`${typedValue(value, column.comparison.type)} IS NULL`,
    );
    await session.transaction(() => session.query(sql`SELECT ${join(values, ' OR ')} AS parsed`));
  } catch (error) {
    if (!(error instanceof TargetError) || !['OTHER', 'DRIFT'].includes(error.failure)) throw error;
    throw badInput(`A value for "${column.name}" is not a valid ${column.comparison.type}.`, {
      column: column.name,
    });
  }
}

const valuesOf = (comparison: WithValues) =>
  'values' in comparison ? comparison.values : [comparison.value];

const MOMENTS = new Set(['pg_catalog.date', 'timestamp without time zone', 'timestamp with time zone']);
const isMoment = (column: Column) => MOMENTS.has(column.comparison.type);

/** Words that PostgreSQL would read as the time of the statement: a plan's filter must mean the same in every batch. */
const RELATIVE = /now|today|tomorrow|yesterday/i;

/**
 * Moments without a zone are read as UTC. For a column that has none (timestamp, date) PostgreSQL would drop the zone of a
 * value silently, so only UTC may be written there. Nothing is older than a moment that is still to come.
 */
async function checkMoments(session: Session, comparison: WithValues, column: Column): Promise<void> {
  const refuse = (why: string) => badInput(`A value for "${column.name}" ${why}`, { column: column.name });
  for (const value of valuesOf(comparison)) {
    if (RELATIVE.test(value)) throw refuse('must be a literal date or time.');
    const facts = await session.transaction(() =>
      session.one<MomentFacts>(momentFacts(value, column.comparison.type)),
    );
    if (facts.infinite && !isEquality(comparison)) throw refuse('is infinite; give a date or time.');
    if (facts.shifted)
      throw refuse(
        'has a time zone, but the column has none; write it in UTC, ending in Z or without a zone.',
      );
    if (facts.future && (comparison.op === 'LT' || comparison.op === 'LE'))
      throw refuse('lies in the future.');
  }
}

const isEquality = ({ op }: Comparison) => op === 'EQ' || op === 'NE' || op === 'IN' || op === 'NOT_IN';

interface MomentFacts {
  readonly infinite: boolean;
  readonly shifted: boolean;
  readonly future: boolean;
}

/** Runs in a transaction whose TimeZone is UTC (target/session). */
const momentFacts = (value: string, type: string): Sql => sql`
  SELECT NOT pg_catalog.isfinite(typed) AS infinite,
         typed OPERATOR(pg_catalog.<>) (zoned::${fromCatalog(type)}) AS shifted,
         typed::timestamp with time zone OPERATOR(pg_catalog.>) pg_catalog.now() AS future
    FROM (SELECT ${typedValue(value, type)} AS typed, ${typedValue(value, 'timestamp with time zone')} AS zoned) v`;
