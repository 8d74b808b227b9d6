import { sideTableOf } from '../domain/archive-tables.ts';
import type { OperationSpec } from '../domain/plan.ts';
import type { ArchiveContent } from '../domain/archive-content.ts';
import { Stop } from '../domain/stop.ts';
import { readRelation, type Relation } from '../target/catalog.ts';
import type { Session } from '../target/session.ts';
import { ident, sql } from '../target/sql.ts';
import { columnDefinitions } from './archive-table.ts';
import type { Lost } from './point-back.ts';
import type { StagedRows } from './restore-rows.ts';

type Spec = Extract<OperationSpec, { kind: 'RESTORE' }>;

/** A part of the archive that holds rows, and the table that they go to. */
export type RestoredTable = Omit<StagedRows, 'from'>;

/** The tables as they are today, or side tables, made when absent. */
export async function restoredTables(
  session: Session,
  spec: Spec,
  content: ArchiveContent,
): Promise<RestoredTable[]> {
  const own = { number: 0, columns: content.columns, schema: spec.schema, table: spec.table };
  const others = (content.parts ?? [])
    .filter(({ reference }) => reference === null)
    .map(({ number, columns, schema, table }) => ({
      number,
      columns,
      schema,
      table: nameOf(spec, table, number),
    }));
  const tables: RestoredTable[] = [];
  for (const part of [own, ...others]) {
    if (spec.into === 'SIDE_TABLE') await makeSideTable(session, part);
    tables.push({ part: part.number, columns: part.columns, target: await requireTable(session, part) });
  }
  return tables;
}

const nameOf = ({ into, sourceRunId }: Spec, table: string, part: number): string =>
  into === 'SIDE_TABLE' ? sideTableOf(table, part, sourceRunId) : table;

interface Named {
  readonly schema: string;
  readonly table: string;
}

async function makeSideTable(
  session: Session,
  { schema, table, columns }: Named & Pick<ArchiveContent, 'columns'>,
): Promise<void> {
  const definitions = columnDefinitions(columns.map((column) => ({ ...column, collation: null })));
  await session.transaction(() =>
    session.execute(sql`CREATE TABLE IF NOT EXISTS ${ident(schema, table)} (${definitions})`),
  );
}

async function requireTable(session: Session, { schema, table }: Named): Promise<Relation> {
  const relation = await session.transaction(() => readRelation(session, schema, table));
  if (relation) return relation;
  throw new Stop('SCHEMA_DRIFT', `The table ${schema}.${table} is not there any more.`, 'FAILED');
}

/** The references that are pointed back when their rows go to where they came from; those of tables that are gone are not. */
export async function lostReferences(
  session: Session,
  { into }: Spec,
  content: ArchiveContent,
  tables: readonly RestoredTable[],
): Promise<Lost[]> {
  const lost: Lost[] = [];
  for (const { number, schema, table, reference } of into === 'SOURCE' ? (content.parts ?? []) : []) {
    if (reference === null) continue;
    const child = await session.transaction(() => readRelation(session, schema, table));
    const parent = tables.find(({ part }) => part === reference.parent)?.target;
    if (child !== null && parent !== undefined) lost.push({ part: number, reference, child, parent });
  }
  return lost;
}
