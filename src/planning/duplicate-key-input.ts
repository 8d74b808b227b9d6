import type { DuplicateKey, KeepRule } from '../domain/plan.ts';
import { badInput } from '../errors.ts';
import type { Column } from '../target/catalog-columns.ts';
import type { Relation } from '../target/catalog.ts';
import { integer, sql } from '../target/sql.ts';
import type { PlanContext } from './plan-context.ts';
import type { PlanDeduplicationInput } from '../domain/plan-inputs.ts';

/** As many as an index may have. */
const MAX_COLUMNS = 32;

/** The key and the keeper rule, checked against the table. @throws BAD_USER_INPUT */
export async function keyFrom(
  context: PlanContext,
  relation: Relation,
  input: PlanDeduplicationInput,
): Promise<{ key: DuplicateKey[]; keep: KeepRule }> {
  if (input.key.length === 0 || input.key.length > MAX_COLUMNS)
    throw badInput(`key must have 1 to ${MAX_COLUMNS} columns.`);
  const key = input.key.map(({ column, ignoreCase, trim }) => ({ column, ignoreCase, trim }));
  const twice = key.find(({ column }, i) => key.findIndex((part) => part.column === column) < i);
  if (twice !== undefined) throw badInput(`The column "${twice.column}" is twice in key.`);
  for (const part of key) ordered(relation, part.column);
  await refuseLoose(context, relation, key);
  const { by, order } = input.keep;
  ordered(relation, by);
  return { key, keep: { by, order } };
}

function ordered(relation: Relation, name: string): Column {
  const column = relation.columns.find((one) => one.name === name);
  if (column === undefined)
    throw badInput(`The table "${relation.schema}"."${relation.name}" has no column "${name}".`, {
      column: name,
    });
  if (column.comparison.eq === null || column.comparison.lt === null)
    throw badInput(`Values of the column "${name}" (${column.type}) have no order in PostgreSQL.`, {
      column: name,
    });
  return column;
}

/** Case and outer spaces are a matter of texts. */
async function refuseLoose(
  { session }: PlanContext,
  { oid }: Relation,
  key: readonly DuplicateKey[],
): Promise<void> {
  const loose = key.filter(({ ignoreCase, trim }) => ignoreCase || trim);
  if (loose.length === 0) return;
  const texts = await session.query<{ name: string }>(sql`
    SELECT a.attname AS name FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
     WHERE a.attrelid = ${integer(oid)} AND a.attnum > 0 AND t.typcategory = 'S' ORDER BY a.attnum`);
  const other = loose.find(({ column }) => texts.every(({ name }) => name !== column));
  if (other === undefined) return;
  throw badInput(`ignoreCase and trim are for text; the column "${other.column}" is none.`, {
    column: other.column,
  });
}
