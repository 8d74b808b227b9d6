import type { OperationSpec } from '../domain/plan.ts';
import type { ArchiveContent } from '../domain/archive-content.ts';
import { Stop } from '../domain/stop.ts';
import type { Relation } from '../target/catalog.ts';
import type { Column } from '../target/catalog-columns.ts';
import type { Session } from '../target/session.ts';
import { fromCatalog, ident, join, type Sql, sql } from '../target/sql.ts';
import { TargetError } from '../target/sqlstate.ts';
import { type ChosenRows, chosenRows } from './chosen-rows.ts';
import { explained } from './restore-refusals.ts';

export interface Restoring {
  readonly session: Session;
  readonly spec: Extract<OperationSpec, { kind: 'RESTORE' }>;
  readonly content: ArchiveContent;
}

/** Rows of one part that are to go back in one transaction. */
export interface StagedRows {
  readonly part: number;
  /** as they were archived */
  readonly columns: ArchiveContent['columns'];
  /** the table as it is now */
  readonly target: Relation;
  /** a sub-select of them, with their PLACE */
  readonly from: Sql;
}

export interface PutBack {
  readonly rows: number;
  /** chosen, and left out because their keys are taken */
  readonly skipped: number;
}

/**
 * Puts rows back, inside the open transaction: all tables in one statement, so that rows may reference each other in every
 * direction. Columns are matched by name; generated ones make themselves, and identities keep their old values.
 * @throws Stop when a value or a row would be lost, or does not fit any more
 */
export async function insertRows(restoring: Restoring, staged: readonly StagedRows[]): Promise<PutBack> {
  const { session, spec } = restoring;
  for (const rows of staged) await refuseLosses(restoring, rows, staged);
  const chosen = await countsOf(session, selection(restoring, staged));
  await session.script(`SAVEPOINT ${BEFORE}`);
  try {
    const back = await countsOf(session, insertion(restoring, staged, spec.onConflict === 'SKIP'));
    const short = back.findIndex((rows, i) => spec.onConflict === 'REFUSE' && rows !== chosen[i]);
    if (short !== -1) throw keptOut(staged[short] as StagedRows, back[short] ?? 0, chosen[short] ?? 0);
    return { rows: sum(back), skipped: sum(chosen) - sum(back) };
  } catch (error) {
    if (!(error instanceof TargetError)) throw error;
    throw await explained(error, { staged, chosen, insertable: () => insertableRows(restoring, staged) });
  }
}

const BEFORE = 'declutter_restore';

const sum = (counts: readonly number[]): number => counts.reduce((all, count) => all + count, 0);

/** counts: an array, for each part in order */
async function countsOf(session: Session, statement: Sql): Promise<number[]> {
  return (await session.one<{ counts: number[] }>(statement)).counts;
}

const counted = (each: readonly Sql[]): Sql =>
  sql`SELECT ARRAY[${join(
    each.map((rows) => sql`(SELECT pg_catalog.count(*) FROM ${rows})::pg_catalog.int4`),
    ', ',
  )}] AS counts`;

function selection(restoring: Restoring, staged: readonly StagedRows[]): Sql {
  const chosen = chosenRows(restoring, staged);
  return sql`${withTables(chosen, [])} ${counted(staged.map(({ part, from }) => sql`${from} AS stage WHERE ${chosen.condition(part)}`))}`;
}

function insertion(restoring: Restoring, staged: readonly StagedRows[], skips: boolean): Sql {
  const chosen = chosenRows(restoring, staged);
  const name = (i: number) => ident(`back_${i}`);
  const insertions = staged.map(
    (rows, i) => sql`${name(i)} AS (${insertionOf(rows, chosen.condition(rows.part), skips)})`,
  );
  return sql`${withTables(chosen, insertions)} ${counted(staged.map((_, i) => name(i)))}`;
}

function withTables({ tables }: ChosenRows, more: readonly Sql[]): Sql {
  const all = [...(tables === null ? [] : [tables]), ...more];
  return all.length === 0 ? sql`` : sql`WITH RECURSIVE ${join(all, ', ')}`;
}

function insertionOf({ columns, target, from }: StagedRows, condition: Sql, skips: boolean): Sql {
  const shared = sharedColumns(columns, target);
  const names = shared.map(({ column }) => ident(column.name));
  const values = shared.map(({ column, changed }) => (changed ? recast(column) : staged(column)));
  const onConflict = skips ? sql`ON CONFLICT DO NOTHING` : sql``;
  return sql`INSERT INTO ${ident(target.schema, target.name)} (${join(names, ', ')}) OVERRIDING SYSTEM VALUE
    SELECT ${join(values, ', ')} FROM ${from} AS stage WHERE ${condition} ${onConflict} RETURNING 1 AS one`;
}

interface Shared {
  readonly column: Column;
  readonly archivedType: string;
  readonly changed: boolean;
}

function sharedColumns(columns: StagedRows['columns'], target: Relation): Shared[] {
  const archived = new Map(columns.map(({ name, type }) => [name, type]));
  return target.columns.flatMap((column) => {
    const archivedType = archived.get(column.name);
    if (column.generated || archivedType === undefined) return [];
    return [{ column, archivedType, changed: archivedType !== column.type }];
  });
}

const staged = ({ name }: Column): Sql => sql`stage.${ident(name)}`;
const asText = (column: Column): Sql => sql`${staged(column)}::pg_catalog.text`;
const recast = (column: Column): Sql => sql`${asText(column)}::${fromCatalog(column.type)}`;

/**
 * A cast may cut or round a value without a word (to varchar(3), to numeric(5,2), to date): each value must come back the same
 * when it is cast to the new type and from there to the old one.
 */
async function refuseLosses(
  restoring: Restoring,
  { part, columns, target, from }: StagedRows,
  all: readonly StagedRows[],
): Promise<void> {
  const changed = sharedColumns(columns, target).filter((column) => column.changed);
  if (changed.length === 0) return;
  const counts = changed.map(({ column, archivedType }, i) => {
    const back = sql`${recast(column)}::pg_catalog.text::${fromCatalog(archivedType)}::pg_catalog.text`;
    const same = sql`coalesce(${back} OPERATOR(pg_catalog.=) ${asText(column)}, ${asText(column)} IS NULL)`;
    return sql`pg_catalog.count(*) FILTER (WHERE NOT ${same})::pg_catalog.int4 AS ${ident(`lost${i}`)}`;
  });
  const chosen = chosenRows(restoring, all);
  const lost = await restoring.session
    .one<Record<string, number>>(
      sql`${withTables(chosen, [])} SELECT ${join(counts, ', ')} FROM ${from} AS stage WHERE ${chosen.condition(part)}`,
    )
    .catch((error: unknown) => {
      throw isDataError(error) ? unreadable(changed, error) : error;
    });
  changed.forEach(({ column, archivedType }, i) => {
    const values = lost[`lost${i}`] ?? 0;
    if (values > 0) throw losing(column, archivedType, values);
  });
}

const isDataError = (error: unknown): error is TargetError =>
  error instanceof TargetError && error.sqlstate?.startsWith('22') === true;

const losing = ({ name, type }: Column, archivedType: string, values: number): Stop =>
  new Stop(
    'SCHEMA_DRIFT',
    `${values} values of the column ${name} would lose something: they were ${archivedType}, and the column is ${type} now. ` +
      'Restore into a side table, and decide there.',
    'FAILED',
  );

const unreadable = (changed: readonly Shared[], cause: unknown): Stop =>
  new Stop(
    'SCHEMA_DRIFT',
    `Archived values cannot be read as the type that their column has now (${changed.map(({ column }) => column.name).join(', ')}). ` +
      'Restore into a side table, and decide there.',
    'FAILED',
    { cause },
  );

const keptOut = ({ target }: StagedRows, rows: number, chosen: number): Stop =>
  new Stop(
    'ROWS_KEPT',
    `Of ${chosen} archived rows ${rows} were put back: a trigger or rule of ${target.schema}.${target.name} keeps the others out. ` +
      'Change it and resume, or cancel and restore into a side table.',
  );

/** By trying: every unique and exclusion constraint has its say. */
async function insertableRows(restoring: Restoring, staged: readonly StagedRows[]): Promise<number[]> {
  await restoring.session.script(`ROLLBACK TO SAVEPOINT ${BEFORE}`);
  return countsOf(restoring.session, insertion(restoring, staged, true));
}
