import type { Clock } from '../clock.ts';
import type { Session } from '../target/session.ts';
import { sql } from '../target/sql.ts';
import { readCatalog, type Scope } from './catalog-query.ts';
import type { DatabaseFigures, MeasuredIndex, MeasuredTable } from './define-analysis.ts';
import { estimateIndexBloat, measureIndexBloat } from './index-bloat.ts';
import { makeMeter, type Budget, type Meter } from './measure-exact.ts';
import { measureTableBloat } from './measure-table.ts';
import { readColumns } from './read-columns.ts';
import { readHorizon } from './read-horizon.ts';
import { type IndexRow, readIndexes } from './read-indexes.ts';
import { STANDBYS } from './read-replicas.ts';
import { readTables } from './read-tables.ts';
import { readVacuum } from './read-vacuum.ts';
import { rolledUp } from './roll-up.ts';
import { sampleTables, SAMPLING_BUDGET, type SamplingBudget } from './sample-rows.ts';
import { estimateTableBloat, type Surroundings, type TableFacts, wantsSample } from './table-bloat.ts';

export interface ReadOptions {
  readonly scope: Scope | null;
  /** null: statistics only */
  readonly exact: ExactReading | null;
  /** SAMPLING_BUDGET unless told */
  readonly sampling?: SamplingBudget;
  readonly clock: Clock;
}

/** What to read with pgstattuple, and at what cost; the rest keeps its estimate. */
export interface ExactReading {
  readonly budget: Budget;
  readonly what: 'ALL' | 'TABLE' | { readonly index: string };
}

/** All tables and indexes with sizes, rows, statistics and verdicts, in a handful of catalog queries. */
export async function readDatabaseFigures(session: Session, options: ReadOptions): Promise<DatabaseFigures> {
  const { facts, vacuum, holders } = await readFacts(session, options);
  const tables =
    options.exact === null
      ? facts.map(estimated)
      : await measured(session, facts, options.exact, options.clock);
  return { ...(await readDatabase(session)), tables: rolledUp(tables), vacuum, holders };
}

type Table = TableFacts & Pick<MeasuredTable, 'partitionedIndexes'>;

interface Facts {
  readonly table: Table;
  readonly indexes: readonly IndexRow[];
  readonly around: Surroundings;
}

async function readFacts(
  session: Session,
  options: ReadOptions,
): Promise<Pick<DatabaseFigures, 'vacuum' | 'holders'> & { facts: Facts[] }> {
  const rows = await readTables(session, options.scope);
  const columns = await readColumns(session, options.scope);
  const indexes = await readIndexes(session, options.scope, columns);
  const vacuum = await readVacuum(session, options.scope);
  const holders = await readHorizon(session);
  const now = options.clock.now();
  const tables = rows.map((row) => ({ ...row, columns: columns.get(row.oid) ?? [] }));
  const context = { holders, vacuum, now };
  const samples = await sampleTables(
    session,
    tables.filter((table) => wantsSample(table, context)),
    options.clock,
    options.sampling ?? SAMPLING_BUDGET,
  );
  const facts = tables.map((table) => ({
    table: { ...table, partitionedIndexes: indexes.get(table.oid)?.filter(isPartitioned) ?? [] },
    indexes: indexes.get(table.oid)?.filter((index) => !isPartitioned(index)) ?? [],
    around: { ...context, sample: samples.get(table.oid) ?? null },
  }));
  return { facts, vacuum, holders };
}

const isPartitioned = (index: IndexRow) => index.isPartitioned;

const estimated = ({ table, indexes, around }: Facts): MeasuredTable =>
  assembled(
    table,
    indexes.map((index) => ({ ...index, bloat: estimateIndexBloat(index, table) })),
    estimateTableBloat(table, around),
  );

/** What the estimate worries about comes first, then the largest: the budget may not last for all. */
async function measured(
  session: Session,
  facts: readonly Facts[],
  { budget, what }: ExactReading,
  clock: Clock,
): Promise<MeasuredTable[]> {
  const meter = await makeMeter(session, clock, budget);
  const tables = facts.map((fact) => ({ fact, bloat: estimateTableBloat(fact.table, fact.around) }));
  tables.sort((a, b) => urgency(b) - urgency(a) || b.fact.table.heapBytes - a.fact.table.heapBytes);
  const result = new Map<number, MeasuredTable>();
  for (const { fact, bloat } of tables) {
    const own =
      what === 'ALL' || what === 'TABLE' ? await measureTableBloat(fact.table, fact.around, meter) : bloat;
    const indexes = await measuredIndexes(
      fact,
      meter,
      (name) => what === 'ALL' || (what !== 'TABLE' && what.index === name),
    );
    result.set(fact.table.oid, assembled(fact.table, indexes, own));
  }
  return facts.flatMap((fact) => result.get(fact.table.oid) ?? []);
}

async function measuredIndexes(
  { table, indexes }: Facts,
  meter: Meter,
  isWanted: (name: string) => boolean,
): Promise<MeasuredIndex[]> {
  const result: MeasuredIndex[] = [];
  for (const index of indexes) {
    const bloat = isWanted(index.name)
      ? await measureIndexBloat(index, table, meter)
      : estimateIndexBloat(index, table);
    result.push({ ...index, bloat });
  }
  return result;
}

const urgency = ({ bloat }: { bloat: MeasuredTable['bloat'] }) => (bloat.verdict === 'HEALTHY' ? 0 : 1);

function assembled(
  table: Table,
  indexes: readonly MeasuredIndex[],
  bloat: MeasuredTable['bloat'],
): MeasuredTable {
  const indexBytes = indexes.reduce((sum, index) => sum + index.sizeBytes, 0);
  return {
    ...table,
    indexes,
    bloat,
    indexBytes,
    totalBytes: table.heapBytes + table.toastBytes + indexBytes,
  };
}

async function readDatabase(
  session: Session,
): Promise<Omit<DatabaseFigures, 'tables' | 'vacuum' | 'holders'>> {
  const [row] = await readCatalog<RawDatabase>(
    session,
    sql`SELECT CASE WHEN pg_catalog.has_database_privilege(d.oid, 'CONNECT') THEN pg_catalog.pg_database_size(d.oid) END::float8 AS bytes,
               pg_catalog.pg_stat_get_db_stat_reset_time(d.oid) AS since,
               (SELECT a.stats_reset FROM pg_catalog.pg_stat_archiver a) AS began, ${STANDBYS} AS standbys,
               (SELECT pg_catalog.count(*) FROM pg_catalog.pg_replication_slots s WHERE s.slot_type = 'physical' AND NOT s.active)::float8 AS away
          FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database()`,
  );
  return {
    sizeBytes: row?.bytes ?? 0,
    countersSince: row?.since ?? null,
    countersBegan: row?.began ?? null,
    standbys: row?.standbys ?? 0,
    awayStandbys: row?.away ?? 0,
  };
}

interface RawDatabase {
  bytes: number | null;
  since: Date | null;
  began: Date | null;
  standbys: number;
  away: number;
}
