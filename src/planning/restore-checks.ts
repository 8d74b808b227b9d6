import type { PlanNotice } from '../domain/plan.ts';
import type { ArchiveContent } from '../domain/archive-content.ts';
import { readRelation, type Relation } from '../target/catalog.ts';
import { ident, integer, sql, toText } from '../target/sql.ts';
import {
  columnNeeds,
  missingRights,
  type Need,
  schemaNeeds,
  sequenceNeeds,
  tableNeeds,
  temporaryNeed,
} from './check-rights.ts';
import { checkServer, checkSubject, refuseRelation } from './check-subject.ts';
import { nameOf, notice, type PlanContext } from './plan-context.ts';

/** A table of an archive, with what is told of its rows. */
export interface ArchivedTable {
  readonly schema: string;
  readonly table: string;
  readonly content: Pick<ArchiveContent, 'columns' | 'holder'>;
}

export interface Checked {
  readonly blockers: PlanNotice[];
  readonly warnings: PlanNotice[];
}

/** What stands in the way of restoring into the table that the rows came from. */
export async function checkSource(
  context: PlanContext,
  archive: ArchivedTable,
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
  const unsafe = refuseRelation(source, { mayBePartitioned: true });
  if (unsafe.length > 0) return { blockers: unsafe, warnings: [] };
  const columns = compareColumns(archive.content, source, await columnsWithDefaults(context, source));
  return {
    blockers: [
      ...(await checkSubject(
        context,
        source,
        ['SELECT', 'INSERT'],
        [
          ...(await archiveNeeds(context, archive, source)),
          ...source.columns.flatMap(({ sequence }) => (sequence === null ? [] : sequenceNeeds(sequence))),
        ],
      )),
      ...columns.blockers,
    ],
    warnings: columns.warnings,
  };
}

/** Columns are matched by name: what came later takes its default, what went is left out. */
function compareColumns(
  content: ArchivedTable['content'],
  source: Relation,
  defaults: ReadonlySet<string>,
): Checked {
  const archived = new Map(content.columns.map(({ name, type }) => [name, type]));
  const present = new Set(source.columns.map(({ name }) => name));
  const added = source.columns.filter(({ name }) => !archived.has(name));
  const changed = source.columns.filter(
    ({ name, type, generated }) => !generated && archived.has(name) && archived.get(name) !== type,
  );
  return {
    blockers: [
      ...renamedColumns(content, source),
      ...added
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
    ],
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
          `The column ${name} was ${archived.get(name) ?? ''} and is ${type} now; values are read anew from their text, and the run stops where one would lose something.`,
        ),
      ),
    ],
  };
}

/** By name, a renamed column looks like one that went and one that came: its values would be left out. */
function renamedColumns({ columns }: ArchivedTable['content'], source: Relation): PlanNotice[] {
  const present = new Set(source.columns.map(({ name }) => name));
  const archived = new Set(columns.map(({ name }) => name));
  return columns
    .filter(({ name }) => !present.has(name))
    .flatMap((gone) => {
      const now = source.columns.find(
        ({ name, number, type }) =>
          !archived.has(name) && (gone.number === undefined ? type === gone.type : number === gone.number),
      );
      if (now === undefined) return [];
      const message = `The column ${gone.name} of the archive seems to be ${now.name} now: its values would be left out.`;
      return [
        notice(
          'COLUMN_RENAMED',
          message,
          'Rename it back for the restore, or restore into: SIDE_TABLE and move the rows by INSERT ... SELECT.',
        ),
      ];
    });
}

async function columnsWithDefaults(
  { session }: PlanContext,
  { oid }: Relation,
): Promise<ReadonlySet<string>> {
  const rows = await session.query<{ name: string }>(sql`
    SELECT attname AS name FROM pg_catalog.pg_attribute WHERE attrelid = ${integer(oid)} AND attnum > 0 AND atthasdef ORDER BY attnum`);
  return new Set(rows.map(({ name }) => name));
}

/** Rows of files come through a temporary table with the archive's columns, those of a table from there. */
async function archiveNeeds(
  context: PlanContext,
  { content: { holder } }: ArchivedTable,
  shape: Relation | null,
): Promise<Need[]> {
  const { session, database } = context;
  if (holder === null)
    return [temporaryNeed(database.database), ...(shape === null ? [] : await columnNeeds(context, shape))];
  const kept = await session.transaction(() => readRelation(session, holder.schema, holder.name));
  return kept === null ? [] : tableNeeds(context, kept, ['SELECT'], 'it holds the archived rows');
}

/** What stands in the way of a new table beside it. */
export async function checkSide(
  context: PlanContext,
  archive: ArchivedTable,
  shape: Relation | null,
  { schema, name }: { schema: string; name: string },
): Promise<Checked> {
  const { session } = context;
  const needs = [
    ...schemaNeeds(schema, ['USAGE', 'CREATE'], 'the side table gets its place there'),
    ...(shape === null ? [] : await columnNeeds(context, shape)),
    ...(await archiveNeeds(context, archive, null)),
  ];
  const blockers = [...checkServer(context), ...(await missingRights(context, needs))];
  if ((await session.query(sql`SELECT FROM pg_catalog.pg_namespace WHERE nspname = ${schema}`)).length === 0)
    blockers.push(
      notice(
        'TABLE_MISSING',
        `The schema ${schema} is not there any more.`,
        `CREATE SCHEMA ${toText(ident(schema))};`,
      ),
    );
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
