import type { RowFilter } from '../domain/filter.ts';
import type { PlanStep } from '../domain/plan.ts';
import type { ArchiveContent } from '../domain/archive-content.ts';
import type { ArchiveView } from '../store/archives.ts';
import type { Relation } from '../target/catalog.ts';
import { compileFilter } from '../target/row-filter.ts';
import { fromCatalog, ident, join, type Sql, sql, toText } from '../target/sql.ts';
import { nameOf } from './plan-context.ts';
import type { PlanRestoreInput } from '../domain/plan-inputs.ts';

type Step = Omit<PlanStep, 'position'>;

/** What the run does, in order. */
export function restoreSteps(
  archive: ArchiveView,
  target: { schema: string; name: string },
  shape: Relation | null,
  where: RowFilter | null,
  input: PlanRestoreInput,
): Step[] {
  const stage = ident('pg_temp', 'declutter_stage');
  const table = ident(target.schema, target.name);
  const columns = insertedColumns(archive.content, input.into === 'SOURCE' ? shape : null);
  const names = join(
    columns.map(({ name }) => ident(name)),
    ', ',
  );
  const holder = archive.content.holder;
  const filter = where === null || shape === null ? sql`` : sql` WHERE ${compileFilter(where, shape)}`;
  const onConflict = input.onConflict === 'SKIP' ? sql` ON CONFLICT DO NOTHING` : sql``;
  const from: Sql = holder === null ? stage : sql`ONLY ${ident(holder.schema, holder.name)}`;
  return [
    ...(input.into === 'SIDE_TABLE'
      ? [
          {
            description: `Make the side table ${nameOf(target)}`,
            sql: toText(sql`CREATE TABLE IF NOT EXISTS ${table} (${definitions(archive.content)})`),
          },
        ]
      : []),
    ...(holder === null
      ? [
          {
            description:
              'Read the archive part by part, check each checksum, and copy it into a temporary table',
            sql: toText(sql`COPY ${stage} FROM STDIN`),
          },
        ]
      : []),
    {
      description: `Insert the rows into ${nameOf(target)}, ${input.onConflict === 'SKIP' ? 'leaving out those whose key is taken' : 'or stop at the first whose key is taken'}`,
      sql: toText(
        sql`INSERT INTO ${table} (${names}) OVERRIDING SYSTEM VALUE SELECT ${names} FROM ${from}${filter}${onConflict}`,
      ),
    },
    ...partSteps(archive.content, input),
    ...(input.into === 'SOURCE'
      ? [{ description: 'Move sequences on that lag behind the restored values', sql: '' }]
      : []),
  ];
}

/** In the statement of the rows that they went along with, so that all may reference each other. */
function partSteps({ parts = [] }: ArchiveContent, { into }: PlanRestoreInput): Step[] {
  const rows = parts.filter(({ reference }) => reference === null);
  const references = parts.flatMap(({ schema, table, reference }) =>
    reference === null ? [] : [`${schema}.${table} (${reference.name})`],
  );
  const where = into === 'SOURCE' ? '' : ', each into a side table';
  return [
    ...rows.map(({ schema, table }) => ({
      description: `Insert the rows of ${schema}.${table} that went along, in the same statement${where}`,
      sql: '',
    })),
    ...(into === 'SIDE_TABLE' || references.length === 0
      ? []
      : [
          {
            description: `Point rows back that had lost their reference and still have none: ${references.join(', ')}`,
            sql: '',
          },
        ]),
  ];
}

/** Generated columns make themselves; in a side table nothing is generated. */
function insertedColumns(
  { columns }: ArchiveContent,
  source: Relation | null,
): readonly { readonly name: string }[] {
  if (source === null) return columns;
  const archived = new Set(columns.map(({ name }) => name));
  return source.columns.filter(({ name, generated }) => !generated && archived.has(name));
}

const definitions = ({ columns }: ArchiveContent): Sql =>
  join(
    columns.map(({ name, type }) => sql`${ident(name)} ${fromCatalog(type)}`),
    ', ',
  );
