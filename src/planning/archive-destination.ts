import type { ArchiveDestination, PlanNotice } from '../domain/plan.ts';
import { checkIdentifier } from '../domain/identifier.ts';
import { badInput } from '../errors.ts';
import { readRelation, type Relation } from '../target/catalog.ts';
import { ident, sql, toText } from '../target/sql.ts';
import { refuseRelation } from './check-subject.ts';
import { nameOf, notice, type PlanContext } from './plan-context.ts';
import type { ArchiveDestinationInput } from './plan-inputs.ts';

export const DEFAULT_STORE = 'local';

/** Where the rows would go, with all defaults filled in. @throws BAD_USER_INPUT */
export function destinationFrom(input: ArchiveDestinationInput, source: Relation): ArchiveDestination {
  if (input.kind === 'S3') throw badInput('This version archives to FILES and TABLE.');
  if (input.kind === 'FILES') {
    if (input.schema != null || input.table != null)
      throw badInput('FILES takes store and format, not schema and table.');
    return { kind: 'FILES', store: input.store ?? DEFAULT_STORE, format: input.format ?? 'COPY_ZSTD' };
  }
  if (input.store != null || input.format != null)
    throw badInput('TABLE takes schema and table, not store and format.');
  const [schema, table] = [input.schema ?? source.schema, input.table ?? `${source.name}_archive`];
  checkIdentifier('archive schema', schema);
  checkIdentifier('archive table', table);
  return { kind: 'TABLE', schema, table };
}

/** What stands in the way of archiving there. Also asked again when a run is to start. */
export async function checkDestination(
  context: Pick<PlanContext, 'session' | 'capabilities'> & { readonly fileStores: ReadonlySet<string> },
  destination: ArchiveDestination,
  source: Relation,
): Promise<PlanNotice[]> {
  if (destination.kind === 'TABLE') return checkTable(context, destination, source);
  const { store, format } = destination;
  return [
    ...(context.fileStores.has(store)
      ? []
      : [
          notice(
            'UNKNOWN_STORE',
            `No archive store is named "${store}".`,
            `Configured are: ${[...context.fileStores].join(', ')}.`,
          ),
        ]),
    ...(format === 'COPY_ZSTD'
      ? []
      : [notice('FORMAT_UNAVAILABLE', `This version does not write ${format}.`, 'Use COPY_ZSTD.')]),
  ];
}

type Table = Extract<ArchiveDestination, { kind: 'TABLE' }>;
type Context = Pick<PlanContext, 'session' | 'capabilities'>;

async function checkTable(
  context: Context,
  { schema, table }: Table,
  source: Relation,
): Promise<PlanNotice[]> {
  const { session } = context;
  const unsafe = refuseRelation({ ...source, schema, name: table, kind: 'TABLE' });
  if (unsafe.length > 0) return unsafe;
  const rights = await schemaRights(context, schema);
  if (rights === null)
    return [
      notice(
        'ARCHIVE_TABLE_INCOMPATIBLE',
        `The schema ${schema} does not exist.`,
        `CREATE SCHEMA ${toText(ident(schema))};`,
      ),
    ];
  const role = toText(ident(context.capabilities.role.name));
  const missing = rights
    ? []
    : [
        notice(
          'NO_RIGHTS',
          `The archive needs a table in the schema ${schema}.`,
          `GRANT CREATE ON SCHEMA ${toText(ident(schema))} TO ${role};`,
        ),
      ];
  const existing = await session.transaction(() => readRelation(session, schema, table));
  if (existing === null) return missing;
  const problems = [...incompatibilities(existing, source), ...(await ownership(context, existing))];
  return [
    ...missing,
    ...problems.map((problem) =>
      notice(
        'ARCHIVE_TABLE_INCOMPATIBLE',
        `${nameOf(existing)} ${problem}.`,
        'Name another table; the run makes it when it is absent.',
      ),
    ),
  ];
}

async function schemaRights({ session }: Context, schema: string): Promise<boolean | null> {
  const [row] = await session.query<{ create: boolean }>(sql`
    SELECT pg_catalog.has_schema_privilege(oid, 'CREATE') AS create FROM pg_catalog.pg_namespace WHERE nspname = ${schema}`);
  return row === undefined ? null : row.create;
}

async function ownership({ session }: Context, { oid }: Relation): Promise<string[]> {
  const { ours } = await session.one<{ ours: boolean }>(sql`
    SELECT pg_catalog.pg_has_role(relowner, 'USAGE') AS ours FROM pg_catalog.pg_class WHERE oid = ${oid}::pg_catalog.oid`);
  return ours ? [] : ['is owned by another role, so that no child table can be added to it'];
}

/** Rows are written by column name, so the order may differ; names and types may not. */
function incompatibilities(existing: Relation, source: Relation): string[] {
  if (existing.oid === source.oid) return ['is the table that is to be archived'];
  if (existing.kind !== 'TABLE') return ['is not an ordinary table'];
  if (existing.persistence !== 'PERMANENT') return ['does not survive a crash of the server'];
  if (existing.isPartition) return ['is a partition'];
  const types = new Map(existing.columns.map(({ name, type }) => [name, type]));
  const wanted = new Set(source.columns.map(({ name }) => name));
  return [
    ...source.columns.flatMap(({ name, type }) => {
      const found = types.get(name);
      if (found === undefined) return [`has no column ${name}`];
      return found === type ? [] : [`has ${name} as ${found}, not as ${type}`];
    }),
    ...existing.columns
      .filter(({ name }) => !wanted.has(name))
      .map(({ name }) => `has a column ${name}, which the source lacks`),
    ...existing.columns
      .filter(({ generated }) => generated)
      .map(({ name }) => `generates its column ${name}, which could not keep the archived value`),
  ];
}
