import type { ArchiveDestination, PlanNotice } from '../domain/plan.ts';
import { checkIdentifier } from '../domain/identifier.ts';
import { badInput } from '../errors.ts';
import { readRelation, type Relation } from '../target/catalog.ts';
import type { Session } from '../target/session.ts';
import { ident, sql, toText } from '../target/sql.ts';
import { columnNeeds, missingRights, type Need, ownerNeed, schemaNeeds } from './check-rights.ts';
import { refuseRelation } from './check-subject.ts';
import { nameOf, notice, type PlanContext, type PlanningDeps } from './plan-context.ts';
import type { ArchiveDestinationInput } from '../domain/plan-inputs.ts';

/** The stores that are meant when none is named. */
const DEFAULT_STORES = { FILES: 'local', S3: 's3' };

/** Where the rows would go, with all defaults filled in. @throws BAD_USER_INPUT */
export function destinationFrom(input: ArchiveDestinationInput, source: Relation): ArchiveDestination {
  if (input.kind !== 'TABLE') {
    if (input.schema != null || input.table != null)
      throw badInput(`${input.kind} takes store and format, not schema and table.`);
    const store = input.store ?? DEFAULT_STORES[input.kind];
    return { kind: input.kind, store, format: input.format ?? 'COPY_ZSTD' };
  }
  if (input.store != null || input.format != null)
    throw badInput('TABLE takes schema and table, not store and format.');
  const [schema, table] = [input.schema ?? source.schema, input.table ?? `${source.name}_archive`];
  checkIdentifier('archive schema', schema);
  checkIdentifier('archive table', table);
  return { kind: 'TABLE', schema, table };
}

type Context = Pick<PlanContext, 'session' | 'capabilities'>;
type Stores = Pick<PlanningDeps, 'archiveStores'>;

/** What stands in the way of archiving there, rights included. Also asked again when a run is to start. */
export async function checkDestination(
  context: Context & Stores,
  destination: ArchiveDestination,
  source: Relation,
): Promise<PlanNotice[]> {
  return [
    ...(await missingRights(context, await destinationNeeds(context, destination, source))),
    ...(await examineDestination(context, destination, source)),
  ];
}

/** The rights that the run needs there. */
export async function destinationNeeds(
  context: Context,
  destination: ArchiveDestination | null,
  source: Relation,
): Promise<Need[]> {
  if (destination?.kind !== 'TABLE' || refuseRelation(archiveTable(destination, source)).length > 0)
    return [];
  const { schema, table } = destination;
  const needs = schemaNeeds(schema, ['USAGE', 'CREATE'], 'the archive gets tables there');
  const existing = await context.session.transaction(() => readRelation(context.session, schema, table));
  return existing === null
    ? [...needs, ...(await columnNeeds(context, source))]
    : [...needs, await ownerNeed(context, existing, "only its owner may add this run's part to it")];
}

/** What stands in the way of archiving there but rights. */
export async function examineDestination(
  { session, archiveStores }: Context & Stores,
  destination: ArchiveDestination,
  source: Relation,
): Promise<PlanNotice[]> {
  if (destination.kind === 'TABLE') return examineTable(session, destination, source);
  return [
    ...(await examineStore(archiveStores, destination)),
    ...(await examineFormat(session, destination)),
  ];
}

/** JSON and Parquet have text in UTF-8; a database in SQL_ASCII has any bytes, and converts none. */
async function examineFormat(session: Session, { format }: Stored): Promise<PlanNotice[]> {
  if (format === 'COPY_ZSTD') return [];
  const { encoding } = await session.one<{ encoding: string }>(
    sql`SELECT pg_catalog.current_setting('server_encoding') AS encoding`,
  );
  if (encoding !== 'SQL_ASCII') return [];
  const message = `${format} keeps text as UTF-8, and the texts of this database may be any bytes (SQL_ASCII).`;
  return [notice('FORMAT_UNAVAILABLE', message, 'Use COPY_ZSTD, which keeps them as they are.')];
}

type Stored = Exclude<ArchiveDestination, { kind: 'TABLE' }>;

async function examineStore(
  stores: Stores['archiveStores'],
  { kind, store: name }: Stored,
): Promise<PlanNotice[]> {
  const store = stores.get(name);
  if (store?.kind !== kind) {
    const configured = [...stores].filter(([, { kind: other }]) => other === kind).map(([other]) => other);
    const hint =
      configured.length > 0
        ? `Configured are: ${configured.join(', ')}.`
        : 'Set DECLUTTER_S3_BUCKET for all processes (docs/configuration.md).';
    return [notice('UNKNOWN_STORE', `No archive store for ${kind} is named "${name}".`, hint)];
  }
  const trouble = await store.trouble();
  return trouble === null
    ? []
    : [notice('ARCHIVE_STORE_TROUBLE', trouble, 'Mend the store, then plan again.')];
}

type Table = Extract<ArchiveDestination, { kind: 'TABLE' }>;

const archiveTable = ({ schema, table }: Table, source: Relation): Relation => ({
  ...source,
  schema,
  name: table,
  kind: 'TABLE',
});

async function examineTable(session: Session, destination: Table, source: Relation): Promise<PlanNotice[]> {
  const unsafe = refuseRelation(archiveTable(destination, source));
  if (unsafe.length > 0) return unsafe;
  const { schema, table } = destination;
  if (
    (await session.query(sql`SELECT FROM pg_catalog.pg_namespace WHERE nspname = ${schema}`)).length === 0
  ) {
    const message = `The schema ${schema} does not exist.`;
    return [notice('ARCHIVE_TABLE_INCOMPATIBLE', message, `CREATE SCHEMA ${toText(ident(schema))};`)];
  }
  const existing = await session.transaction(() => readRelation(session, schema, table));
  if (existing === null) return [];
  return incompatibilities(existing, source).map((problem) =>
    notice(
      'ARCHIVE_TABLE_INCOMPATIBLE',
      `${nameOf(existing)} ${problem}.`,
      'Name another table; the run makes it when it is absent.',
    ),
  );
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
