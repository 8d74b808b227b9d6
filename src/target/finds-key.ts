import type { KeyPair, Orphan } from '../domain/filter.ts';
import { fromCatalog, ident, join, type Sql, sql } from './sql.ts';

/** A value to look for, and what its column's type is compared as. */
export interface LookedFor {
  readonly sql: Sql;
  readonly type: string;
}

/**
 * Whether a row of the referenced table has these values. What inherits from that table counts too, and partitions do: a row there
 * saves what points to it. Its columns get names of their own, so that the values need no alias.
 */
export function findsKey({ references, pairs }: Orphan, values: readonly LookedFor[]): Sql {
  const renamed = pairs.map(({ key }, i) => sql`${ident(key)} AS ${keyName(i)}`);
  const keys = sql`SELECT ${join(renamed, ', ')} FROM ${ident(references.schema, references.table)}`;
  return sql`EXISTS (SELECT FROM (${keys}) AS every_key WHERE ${areEqual(
    pairs,
    pairs.map((_, i) => keyName(i)),
    values,
  )})`;
}

/** As the reference compares: the keys on the left. */
export function areEqual(pairs: readonly KeyPair[], keys: readonly Sql[], values: readonly LookedFor[]): Sql {
  const equal = pairs.map((pair, i) => {
    const { sql: value, type } = values[i] as LookedFor;
    return sql`${operand(pair, keys[i] as Sql, type)} ${operator(pair)} ${operand(pair, value, type)}`;
  });
  return join(equal, ' AND ');
}

const keyName = (i: number): Sql => ident(`declutter ${i}`);

function operand({ recast, collation }: KeyPair, value: Sql, type: string): Sql {
  const typed = recast ? sql`${value}::${fromCatalog(type)}` : value;
  return collation === null ? typed : sql`${typed} COLLATE ${checked(collation, COLLATION)}`;
}

const NAME = '(?:[a-z_][a-z0-9_$]*|"(?:[^"]|"")+")';
const COLLATION = new RegExp(`^${NAME}\\.${NAME}$`);
const OPERATOR = new RegExp(`^OPERATOR\\(${NAME}\\.[-+*/<>=~!@#%^&|\`?]+\\)$`);

const operator = (pair: KeyPair): Sql => checked(pair.operator, OPERATOR);

/** From the catalog, but kept in a plan as text meanwhile: looked at again before it becomes SQL. */
function checked(name: string, form: RegExp): Sql {
  if (!form.test(name)) throw new TypeError('A plan has a name in it that is none.');
  return fromCatalog(name);
}
