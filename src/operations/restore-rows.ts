import type { SourceArchive } from '../archive/source-archive.ts';
import type { OperationSpec } from '../domain/plan.ts';
import { Stop } from '../domain/stop.ts';
import type { Relation } from '../target/catalog.ts';
import type { Column } from '../target/catalog-columns.ts';
import { compileFilter } from '../target/row-filter.ts';
import type { Session } from '../target/session.ts';
import { fromCatalog, ident, join, type Sql, sql } from '../target/sql.ts';
import { TargetError } from '../target/sqlstate.ts';

export interface Restoring {
  readonly session: Session;
  readonly spec: Extract<OperationSpec, { kind: 'RESTORE' }>;
  readonly source: SourceArchive;
  /** the table as it is now */
  readonly target: Relation;
}

export interface PutBack {
  readonly rows: number;
  /** chosen, and left out because their keys are taken */
  readonly skipped: number;
}

/**
 * Puts rows of a part back, inside the open transaction: columns are matched by name; generated ones make themselves, and
 * identities keep their old values. @throws Stop when a value or a row would be lost, or does not fit any more
 */
export async function insertRows(restoring: Restoring, from: Sql): Promise<PutBack> {
  const { session, spec } = restoring;
  await refuseLosses(restoring, from);
  const chosen = await countChosen(restoring, from);
  await session.script(`SAVEPOINT ${BEFORE}`);
  try {
    const rows = await session.execute(insertion(restoring, from, spec.onConflict === 'SKIP'));
    if (spec.onConflict === 'REFUSE' && rows !== chosen) throw keptOut(restoring, rows, chosen);
    return { rows, skipped: chosen - rows };
  } catch (error) {
    throw await explained(restoring, from, chosen, error);
  }
}

const BEFORE = 'declutter_restore';

function insertion({ spec, source, target }: Restoring, from: Sql, skips: boolean): Sql {
  const shared = sharedColumns(source, target);
  const names = shared.map(({ column }) => ident(column.name));
  const values = shared.map(({ column, changed }) => (changed ? recast(column) : staged(column)));
  const onConflict = skips ? sql`ON CONFLICT DO NOTHING` : sql``;
  return sql`INSERT INTO ${ident(target.schema, target.name)} (${join(names, ', ')}) OVERRIDING SYSTEM VALUE
    SELECT ${join(values, ', ')} FROM ${from} AS stage ${chosenBy(spec.where, target)} ${onConflict}`;
}

const chosenBy = (where: Restoring['spec']['where'], target: Relation): Sql =>
  where ? sql`WHERE ${compileFilter(where, target, sql`stage`)}` : sql``;

interface Shared {
  readonly column: Column;
  readonly archivedType: string;
  readonly changed: boolean;
}

function sharedColumns(source: SourceArchive, target: Relation): Shared[] {
  const archived = new Map(source.content.columns.map(({ name, type }) => [name, type]));
  return target.columns.flatMap((column) => {
    const archivedType = archived.get(column.name);
    if (column.generated || archivedType === undefined) return [];
    return [{ column, archivedType, changed: archivedType !== column.type }];
  });
}

const staged = ({ name }: Column): Sql => sql`stage.${ident(name)}`;
const asText = (column: Column): Sql => sql`${staged(column)}::pg_catalog.text`;
const recast = (column: Column): Sql => sql`${asText(column)}::${fromCatalog(column.type)}`;

async function countChosen({ session, spec, target }: Restoring, from: Sql): Promise<number> {
  const { rows } = await session.one<{ rows: number }>(sql`
    SELECT pg_catalog.count(*)::pg_catalog.int4 AS rows FROM ${from} AS stage ${chosenBy(spec.where, target)}`);
  return rows;
}

/**
 * A cast may cut or round a value without a word (to varchar(3), to numeric(5,2), to date): each value must come back the same
 * when it is cast to the new type and from there to the old one.
 */
async function refuseLosses({ session, spec, source, target }: Restoring, from: Sql): Promise<void> {
  const changed = sharedColumns(source, target).filter((column) => column.changed);
  if (changed.length === 0) return;
  const counts = changed.map(({ column, archivedType }, i) => {
    const back = sql`${recast(column)}::pg_catalog.text::${fromCatalog(archivedType)}::pg_catalog.text`;
    const same = sql`coalesce(${back} OPERATOR(pg_catalog.=) ${asText(column)}, ${asText(column)} IS NULL)`;
    return sql`pg_catalog.count(*) FILTER (WHERE NOT ${same})::pg_catalog.int4 AS ${ident(`lost${i}`)}`;
  });
  const lost = await session
    .one<Record<string, number>>(
      sql`SELECT ${join(counts, ', ')} FROM ${from} AS stage ${chosenBy(spec.where, target)}`,
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

const keptOut = ({ spec }: Restoring, rows: number, chosen: number): Stop =>
  new Stop(
    'ROWS_KEPT',
    `Of ${chosen} archived rows ${rows} were put back: a trigger or rule of ${spec.schema}.${spec.table} keeps the others out. ` +
      'Change it and resume, or cancel and restore into a side table.',
  );

const CONSTRAINTS: Readonly<Record<string, string>> = {
  '23502': 'have no value where the table wants one now',
  '23514': 'do not fulfil a check of the table or of a type',
};

/** What PostgreSQL's refusal means for the rows of this part; the transaction is rolled back in any case. */
async function explained(restoring: Restoring, from: Sql, chosen: number, error: unknown): Promise<unknown> {
  if (!(error instanceof TargetError)) return error;
  const table = `${restoring.spec.schema}.${restoring.spec.table}`;
  if (error.failure === 'CONFLICT' || error.sqlstate === '23P01') {
    const taken = chosen - (await insertableRows(restoring, from));
    const message =
      `Of the ${chosen} rows of this part ${taken} find their keys taken in ${table}. None of the part was put back. ` +
      'onConflict: SKIP leaves them out, and a side table takes them all.';
    return new Stop('CONFLICT', message, 'FAILED', { cause: error });
  }
  if (error.sqlstate === '23503') {
    const message = `Rows of this part reference rows that are not there: restore those first, then resume. (${table})`;
    return new Stop('DEPENDENTS', message, 'PAUSED', { cause: error });
  }
  const words = CONSTRAINTS[error.sqlstate ?? ''];
  if (words === undefined) return error;
  return new Stop(
    'CONFLICT',
    `Rows of this part ${words}: ${table}. None of the part was put back. Restore into a side table, and decide there.`,
    'FAILED',
    { cause: error },
  );
}

/** By trying: every unique and exclusion constraint has its say. */
async function insertableRows(restoring: Restoring, from: Sql): Promise<number> {
  await restoring.session.script(`ROLLBACK TO SAVEPOINT ${BEFORE}`);
  return restoring.session.execute(insertion(restoring, from, true));
}
