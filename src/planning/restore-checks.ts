import type { ArchiveContent, PlanNotice } from '../domain/plan.ts';
import type { ArchiveView } from '../store/archives.ts';
import { readRelation, type Relation } from '../target/catalog.ts';
import { ident, integer, sql, toText } from '../target/sql.ts';
import { checkServer, checkSubject, refuseRelation } from './check-subject.ts';
import { nameOf, notice, type PlanContext } from './plan-context.ts';

export interface Checked {
  readonly blockers: PlanNotice[];
  readonly warnings: PlanNotice[];
}

/** What stands in the way of restoring into the table that the rows came from. */
export async function checkSource(
  context: PlanContext,
  archive: ArchiveView,
  source: Relation | null,
): Promise<Checked> {
  if (source === null) {
    const gone = notice(
      'TABLE_MISSING',
      `${nameOf({ schema: archive.schema, name: archive.table })} is not there any more.`,
      'Restore into: SIDE_TABLE.',
    );
    return { blockers: [gone], warnings: [] };
  }
  const unsafe = refuseRelation(source);
  if (unsafe.length > 0) return { blockers: unsafe, warnings: [] };
  const columns = compareColumns(archive.content, source, await columnsWithDefaults(context, source));
  return {
    blockers: [
      ...(await checkSubject(context, source, ['SELECT', 'INSERT'])),
      ...(await checkTemporary(context)),
      ...(await checkSequences(context, source)),
      ...columns.blockers,
    ],
    warnings: columns.warnings,
  };
}

/** Columns are matched by name: what came later takes its default, what went is left out. */
function compareColumns(content: ArchiveContent, source: Relation, defaults: ReadonlySet<string>): Checked {
  const archived = new Map(content.columns.map(({ name, type }) => [name, type]));
  const present = new Set(source.columns.map(({ name }) => name));
  const added = source.columns.filter(({ name }) => !archived.has(name));
  const changed = source.columns.filter(
    ({ name, type, generated }) => !generated && archived.has(name) && archived.get(name) !== type,
  );
  return {
    blockers: added
      .filter(
        ({ name, notNull, generated, identity }) =>
          notNull && !generated && identity === null && !defaults.has(name),
      )
      .map(({ name }) =>
        notice(
          'COLUMN_REQUIRED',
          `The column ${name} came after the archive, may not be NULL and has no default.`,
          'Give it a default, or restore into: SIDE_TABLE.',
        ),
      ),
    warnings: [
      ...added.map(({ name }) =>
        notice('COLUMN_ADDED', `The column ${name} came after the archive; restored rows get its default.`),
      ),
      ...[...archived.keys()]
        .filter((name) => !present.has(name))
        .map((name) =>
          notice(
            'COLUMN_DROPPED',
            `The archive has a column ${name}, which the table has lost; it is left out.`,
          ),
        ),
      ...changed.map(({ name, type }) =>
        notice(
          'COLUMN_CHANGED',
          `The column ${name} was ${archived.get(name) ?? ''} and is ${type} now; values are read anew from their text.`,
        ),
      ),
    ],
  };
}

async function columnsWithDefaults(
  { session }: PlanContext,
  { oid }: Relation,
): Promise<ReadonlySet<string>> {
  const rows = await session.query<{ name: string }>(sql`
    SELECT attname AS name FROM pg_catalog.pg_attribute WHERE attrelid = ${integer(oid)} AND attnum > 0 AND atthasdef ORDER BY attnum`);
  return new Set(rows.map(({ name }) => name));
}

/** Sequences behind the restored values are moved on, or they would hand them out again. */
async function checkSequences(
  { session, capabilities }: PlanContext,
  { columns }: Relation,
): Promise<PlanNotice[]> {
  const notices: PlanNotice[] = [];
  for (const { sequence } of columns) {
    if (sequence === null) continue;
    const name = toText(ident(sequence.schema, sequence.name));
    const { may } = await session.one<{ may: boolean }>(sql`
      SELECT pg_catalog.has_sequence_privilege(${name}, 'SELECT') AND pg_catalog.has_sequence_privilege(${name}, 'UPDATE') AS may`);
    if (may) continue;
    const grant = `GRANT SELECT, UPDATE ON SEQUENCE ${name} TO ${toText(ident(capabilities.role.name))};`;
    notices.push(
      notice(
        'NO_RIGHTS',
        `The sequence ${nameOf(sequence)} has to be moved on behind restored values.`,
        grant,
      ),
    );
  }
  return notices;
}

async function checkTemporary({ session, capabilities, database }: PlanContext): Promise<PlanNotice[]> {
  const { may } = await session.one<{ may: boolean }>(
    sql`SELECT pg_catalog.has_database_privilege(pg_catalog.current_database(), 'TEMPORARY') AS may`,
  );
  if (may) return [];
  const grant = `GRANT TEMPORARY ON DATABASE ${toText(ident(database.database))} TO ${toText(ident(capabilities.role.name))};`;
  return [
    notice('NO_RIGHTS', 'Restoring goes through a temporary table, which our role may not make.', grant),
  ];
}

/** What stands in the way of a new table beside it. */
export async function checkSide(
  context: PlanContext,
  { schema, name }: { schema: string; name: string },
): Promise<Checked> {
  const { session, capabilities } = context;
  const [row] = await session.query<{ create: boolean }>(
    sql`SELECT pg_catalog.has_schema_privilege(oid, 'CREATE') AS create FROM pg_catalog.pg_namespace WHERE nspname = ${schema}`,
  );
  const blockers = [...checkServer(context), ...(await checkTemporary(context))];
  if (row === undefined)
    blockers.push(
      notice(
        'TABLE_MISSING',
        `The schema ${schema} is not there any more.`,
        `CREATE SCHEMA ${toText(ident(schema))};`,
      ),
    );
  else if (!row.create) {
    blockers.push(
      notice(
        'NO_RIGHTS',
        `The side table needs a place in the schema ${schema}.`,
        `GRANT CREATE ON SCHEMA ${toText(ident(schema))} TO ${toText(ident(capabilities.role.name))};`,
      ),
    );
  }
  if ((await session.transaction(() => readRelation(session, schema, name))) !== null) {
    blockers.push(
      notice(
        'SIDE_TABLE_EXISTS',
        `${schema}.${name} is there already, from an earlier restore.`,
        'Drop or rename it when it is no longer needed.',
      ),
    );
  }
  return { blockers, warnings: [] };
}
