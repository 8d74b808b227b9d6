import type { PlanNotice } from '../domain/plan.ts';
import type { Relation } from '../target/catalog.ts';
import { ident, integer, join, type Sql, sql, toText } from '../target/sql.ts';
import { nameOf, notice, type PlanContext } from './plan-context.ts';

export type Right = 'SELECT' | 'INSERT' | 'UPDATE' | 'DELETE' | 'MAINTAIN';

type Context = Pick<PlanContext, 'session' | 'capabilities'>;
type Named = { readonly schema: string; readonly name: string };

/** A right that a run, or its forecast, cannot do without. */
export interface Need {
  /** The object as people call it. */
  readonly name: string;
  readonly right: string;
  /** What a GRANT of it says before TO. */
  readonly grant: { readonly right: string; readonly on: string | null };
  /** Whether our role has it; NULL when there is no such object. */
  readonly held: Sql;
  readonly why?: string | undefined;
}

/** All that is missing, each object once with the GRANT that helps: nobody should have to plan again after each of them. */
export async function missingRights(context: Context, needs: readonly Need[]): Promise<PlanNotice[]> {
  const groups = new Map<string, Need[]>();
  for (const need of await notHeld(context, needs)) {
    const key = `${need.name} ${need.grant.on ?? ''}`;
    groups.set(key, [...(groups.get(key) ?? []), need]);
  }
  return [...groups.values()].map((group) => noticeOf(context, group));
}

async function notHeld({ session }: Context, needs: readonly Need[]): Promise<Need[]> {
  if (needs.length === 0) return [];
  const tests = needs.map(({ held }, number) => sql`(${integer(number)}, (${held}))`);
  const rows = await session.query<{ number: number }>(
    sql`SELECT number FROM (VALUES ${join(tests, ', ')}) AS test(number, held) WHERE NOT held ORDER BY number`,
  );
  return rows.map(({ number }) => needs[number] as Need);
}

function noticeOf({ capabilities }: Context, group: readonly Need[]): PlanNotice {
  const { name, grant } = group[0] as Need;
  const role = capabilities.role.name;
  const all = (of: (need: Need) => string) => [...new Set(group.map(of))];
  const why = group.find((need) => need.why !== undefined)?.why;
  return notice(
    'NO_RIGHTS',
    `The role ${role} lacks ${all(({ right }) => right).join(' and ')} on ${name}${why === undefined ? '' : `: ${why}`}.`,
    `GRANT ${all((need) => need.grant.right).join(', ')}${grant.on === null ? '' : ` ON ${grant.on}`} TO ${toText(ident(role))};`,
  );
}

/** For SQL that names the table; without USAGE on its schema nothing in it can be named. */
export async function tableNeeds(
  context: Context,
  relation: Relation,
  rights: readonly Right[],
  why?: string,
): Promise<Need[]> {
  const needs = schemaNeeds(relation.schema, ['USAGE']);
  for (const right of rights) needs.push(await tableNeed(context, relation, right, why));
  return needs;
}

/** MAINTAIN exists since PostgreSQL 17; before, ownership stands for it. To lock rows, UPDATE of any column is enough. */
async function tableNeed(context: Context, relation: Relation, right: Right, why?: string): Promise<Need> {
  const { versionNumber } = context.capabilities;
  if (right === 'MAINTAIN' && versionNumber < 170_000)
    return ownerNeed(context, relation, 'before PostgreSQL 17 only its owner may vacuum and reindex it');
  const column = toText(ident(relation.columns[0]?.name ?? 'ctid'));
  const granted = right === 'UPDATE' ? `UPDATE (${column})` : right;
  const test =
    right === 'UPDATE'
      ? sql`pg_catalog.has_any_column_privilege(c.oid, 'UPDATE')`
      : sql`pg_catalog.has_table_privilege(c.oid, ${right})`;
  const held = right === 'MAINTAIN' ? sql`(pg_catalog.pg_has_role(c.relowner, 'USAGE') OR ${test})` : test;
  return {
    name: nameOf(relation),
    right,
    grant: { right: granted, on: toText(ident(relation.schema, relation.name)) },
    held: ofClass(relation.oid, held),
    why,
  };
}

/** To lock the whole table against writers; before PostgreSQL 17 one of the rights to change it stands for that. */
export function lockNeed({ capabilities }: Context, relation: Relation, why: string): Need {
  const hasMaintain = capabilities.versionNumber >= 170_000;
  const enough = `UPDATE, DELETE, TRUNCATE${hasMaintain ? ', MAINTAIN' : ''}`;
  const right = hasMaintain ? 'MAINTAIN' : 'DELETE';
  return {
    name: nameOf(relation),
    right,
    grant: { right, on: toText(ident(relation.schema, relation.name)) },
    held: ofClass(relation.oid, sql`pg_catalog.has_table_privilege(c.oid, ${enough})`),
    why,
  };
}

const ofClass = (oid: number, test: Sql) =>
  sql`SELECT ${test} FROM pg_catalog.pg_class c WHERE c.oid = ${integer(oid)}`;

/** Ownership comes by membership in the role that owns. */
export async function ownerNeed({ session }: Context, relation: Relation, why: string): Promise<Need> {
  const { owner } = await session.one<{ owner: string }>(
    ofClass(relation.oid, sql`pg_catalog.pg_get_userbyid(c.relowner)::pg_catalog.text AS owner`),
  );
  return {
    name: nameOf(relation),
    right: 'ownership',
    grant: { right: toText(ident(owner)), on: null },
    held: ofClass(relation.oid, sql`pg_catalog.pg_has_role(c.relowner, 'USAGE')`),
    why,
  };
}

export const schemaNeeds = (schema: string, rights: readonly ('USAGE' | 'CREATE')[], why?: string): Need[] =>
  rights.map((right) => ({
    name: `the schema ${schema}`,
    right,
    grant: { right, on: `SCHEMA ${toText(ident(schema))}` },
    held: sql`SELECT pg_catalog.has_schema_privilege(oid, ${right}) FROM pg_catalog.pg_namespace WHERE nspname = ${schema}`,
    why,
  }));

/** To look at a sequence and to move it on. */
export const sequenceNeeds = (sequence: Named): Need[] => [
  ...schemaNeeds(sequence.schema, ['USAGE']),
  ...(['SELECT', 'UPDATE'] as const).map((right) => ({
    name: `the sequence ${nameOf(sequence)}`,
    right,
    grant: { right, on: `SEQUENCE ${toText(ident(sequence.schema, sequence.name))}` },
    held: sql`SELECT pg_catalog.has_sequence_privilege(c.oid, ${right})
                FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
               WHERE n.nspname = ${sequence.schema} AND c.relname = ${sequence.name}`,
    why: 'it has to be moved on behind restored values',
  })),
];

export const temporaryNeed = (database: string): Need => ({
  name: `the database ${database}`,
  right: 'TEMPORARY',
  grant: { right: 'TEMPORARY', on: `DATABASE ${toText(ident(database))}` },
  held: sql`pg_catalog.has_database_privilege(pg_catalog.current_database(), 'TEMPORARY')`,
  why: 'rows of files come back through a temporary table',
});

/** To make a table with the same columns: their types and collations, and the schemas that these are in. */
export async function columnNeeds({ session }: Context, { oid }: Relation): Promise<Need[]> {
  const rows = await session.query<{ schema: string; type: string | null }>(sql`
    SELECT n.nspname AS schema, e.typname AS type
      FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
      JOIN pg_catalog.pg_type e ON e.oid = CASE WHEN t.typcategory = 'A' AND t.typelem <> 0 THEN t.typelem ELSE t.oid END
      JOIN pg_catalog.pg_namespace n ON n.oid = e.typnamespace
     WHERE a.attrelid = ${integer(oid)} AND a.attnum > 0 AND NOT a.attisdropped AND n.nspname <> 'pg_catalog'
     UNION
    SELECT n.nspname, NULL
      FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_collation c ON c.oid = a.attcollation
      JOIN pg_catalog.pg_namespace n ON n.oid = c.collnamespace
     WHERE a.attrelid = ${integer(oid)} AND a.attnum > 0 AND NOT a.attisdropped AND n.nspname <> 'pg_catalog'
     ORDER BY 1, 2`);
  return rows.flatMap(({ schema, type }) => [
    ...schemaNeeds(schema, ['USAGE']),
    ...(type === null ? [] : [typeNeed({ schema, name: type })]),
  ]);
}

const typeNeed = (type: Named): Need => ({
  name: `the type ${nameOf(type)}`,
  right: 'USAGE',
  grant: { right: 'USAGE', on: `TYPE ${toText(ident(type.schema, type.name))}` },
  held: sql`SELECT pg_catalog.has_type_privilege(t.oid, 'USAGE')
              FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
             WHERE n.nspname = ${type.schema} AND t.typname = ${type.name}`,
});
