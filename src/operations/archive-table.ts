import type { Column } from '../target/catalog-columns.ts';
import { fromCatalog, ident, join, type Sql, sql } from '../target/sql.ts';
import type { OperationContext } from './define-operation.ts';
import { archiveTableOf } from '../domain/archive-tables.ts';
import type { ArchiveContent, ArchivePart } from '../domain/archive-content.ts';
import { Stop } from '../domain/stop.ts';
import { readRelation, type Relation } from '../target/catalog.ts';
import type { Reached } from '../target/reached-tables.ts';
import type { Session } from '../target/session.ts';

interface Named {
  readonly schema: string;
  readonly name: string;
}

interface Destination {
  readonly schema: string;
  readonly table: string;
}

/**
 * The archive table (when absent) and this run's own child of it. The parent has the source's columns and nothing else, so that
 * a query of it gives all archived rows; the child tells which of them are this run's, for verify, restore and expiry.
 */
export async function createHolder(
  { session, relation, holder, content }: OperationContext,
  destination: Destination,
): Promise<void> {
  if (!holder) throw new TypeError('An archive in a table needs a table');
  await createTables(session, relation, destination, holder, content);
}

/** The same for each table whose rows go along; lost references have tables of their own, without one above. */
export async function createPartHolders(
  { session, plan, content }: Pick<OperationContext, 'session' | 'plan' | 'content'>,
  destination: Destination,
  { tables }: Pick<Reached, 'tables'>,
): Promise<void> {
  for (const part of content?.parts ?? []) {
    const holder = part.holder as Named;
    const relation = tables.find(({ oid }) => oid === plan.relations[part.number]?.oid);
    if (relation === undefined) await createReferences(session, part, holder, content);
    else
      await createTables(
        session,
        relation,
        archiveTableOf(destination, plan.relations, part.number),
        holder,
        content,
      );
  }
}

async function createTables(
  session: Session,
  relation: Relation,
  destination: Destination,
  holder: Named,
  content: ArchiveContent | null,
): Promise<void> {
  const parent = ident(destination.schema, destination.table);
  const table = ident(holder.schema, holder.name);
  await session.transaction(async () => {
    await session.execute(sql`CREATE TABLE IF NOT EXISTS ${parent} (${columnDefinitions(relation.columns)})`);
    await session.execute(
      sql`CREATE TABLE IF NOT EXISTS ${table} (${join(batchColumn(content), ', ')}) INHERITS (${parent})`,
    );
    await assertSameColumns(session, relation, holder, content?.batchColumn);
  });
}

async function createReferences(
  session: Session,
  { columns }: ArchivePart,
  holder: Named,
  content: ArchiveContent | null,
): Promise<void> {
  const own = columnDefinitions(columns.map((column) => ({ ...column, collation: null })));
  await session.transaction(() =>
    session.execute(
      sql`CREATE TABLE IF NOT EXISTS ${ident(holder.schema, holder.name)} (${join([own, ...batchColumn(content)], ', ')})`,
    ),
  );
}

/** Transactions come in the order of their numbers: rows of one batch share one, and later ones have a higher one. */
const batchColumn = (content: ArchiveContent | null): Sql[] =>
  content?.batchColumn === undefined
    ? []
    : [
        sql`${ident(content.batchColumn)} pg_catalog.int8 NOT NULL DEFAULT pg_catalog.pg_current_xact_id()::pg_catalog.text::pg_catalog.int8`,
      ];

/** A column of another type would round or cut values on their way in, before any checksum sees them. */
async function assertSameColumns(
  session: Session,
  source: Relation,
  holder: Named,
  ours: string | undefined,
): Promise<void> {
  const kept = await readRelation(session, holder.schema, holder.name);
  const columns = kept?.columns.filter(({ name }) => name !== ours);
  const types = new Map(columns?.map(({ name, type }) => [name, type]));
  const other = source.columns.find(({ name, type }) => types.get(name) !== type);
  if (!other && columns?.length === source.columns.length) return;
  throw new Stop(
    'SCHEMA_DRIFT',
    `The archive table does not have the columns of ${source.schema}.${source.name} (${other?.name ?? 'it has more'}). Cancel and plan again.`,
  );
}

/** Name, type and collation of each column; no constraint, default or generation: an archive keeps values as they were. */
export function columnDefinitions(columns: readonly Pick<Column, 'name' | 'type' | 'collation'>[]): Sql {
  return join(
    columns.map(({ name, type, collation }) => {
      const collate = collation === null ? sql`` : sql` COLLATE ${fromCatalog(collation)}`;
      return sql`${ident(name)} ${fromCatalog(type)}${collate}`;
    }),
    ', ',
  );
}
