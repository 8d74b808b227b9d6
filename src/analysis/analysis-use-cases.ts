import type { Bloat, TableFigures } from '../domain/finding.ts';
import type { Principal } from '../domain/principal.ts';
import { requiredReason } from '../domain/reason.ts';
import { badInput, notFound } from '../errors.ts';
import { findDatabase, findDatabaseById } from '../store/databases.ts';
import { type FindingQuery, suppressFinding, unsuppressFinding } from '../store/findings.ts';
import type { SnapshotView } from '../store/snapshots.ts';
import { sql } from '../target/sql.ts';
import { readCatalog } from './catalog-query.ts';
import { type ExactReading, readDatabaseFigures } from './database-figures.ts';
import type { MeasuredTable } from './define-analysis.ts';
import { RELATION_BUDGET } from './measure-exact.ts';
import { makeRemembered } from './remembered.ts';
import { ANALYSIS_SETTINGS, type AnalysisDeps, runAnalysis } from './run-analysis.ts';
import { type DuplicatesWanted, readDuplicates, type TableDuplicates } from './table-duplicates.ts';
import { tableFigures } from './table-view.ts';

/** What clutters a database: taken now, or as the last snapshot remembers it. */
export function makeAnalysisUseCases(deps: AnalysisDeps) {
  const analyze = joined((id: string, exact: boolean) => analyzeById(deps, id, exact));
  const remembered = makeRemembered(deps.store);
  return {
    ...remembered,
    analyze: async (name: string, exact: boolean): Promise<SnapshotView> =>
      analyze((await registered(deps, name)).id, exact),
    takeSnapshot: async (databaseId: string): Promise<void> => void (await analyze(databaseId, false)),
    table: (databaseName: string, schema: string, name: string) =>
      readTable(deps, databaseName, schema, name),
    tableBloat: (databaseName: string, schema: string, name: string, exact: boolean) =>
      tableBloat(deps, databaseName, schema, name, exact),
    tableDuplicates: (databaseName: string, wanted: DuplicatesWanted) =>
      tableDuplicates(deps, databaseName, wanted),
    indexBloat: (databaseName: string, schema: string, index: string, exact: boolean) =>
      indexBloat(deps, databaseName, schema, index, exact),
    findings: async ({ databaseId, databaseName, ...query }: FindingQuery & DatabaseChoice) =>
      remembered.findings(await chosen(deps, { databaseId, databaseName }), query),
    suppress: async (id: string, reason: string, until: Date | null, by: Principal) =>
      suppressFinding(deps.store, id, {
        reason: requiredReason(reason).trim(),
        until: checkedUntil(until, deps.clock.now()),
        by: by.subject,
      }),
    unsuppress: (id: string) => unsuppressFinding(deps.store, id),
  };
}

/** Callers that ask for the same while it is under way share one answer: the server is read once. */
function joined(analyze: (id: string, exact: boolean) => Promise<SnapshotView>) {
  const underWay = new Map<string, Promise<SnapshotView>>();
  return (id: string, exact: boolean): Promise<SnapshotView> => {
    const key = `${id} ${exact}`;
    const known = underWay.get(key);
    if (known) return known;
    const answer = analyze(id, exact).finally(() => underWay.delete(key));
    underWay.set(key, answer);
    return answer;
  };
}

async function analyzeById(deps: AnalysisDeps, id: string, exact: boolean): Promise<SnapshotView> {
  const database = await findDatabaseById(deps.store, id);
  if (database === null) throw notFound('The database');
  return runAnalysis(deps, database, exact);
}

async function registered(deps: AnalysisDeps, name: string) {
  const database = await findDatabase(deps.store, name);
  if (database === null) throw notFound(`The database "${name}"`);
  return database;
}

interface DatabaseChoice {
  readonly databaseId?: string | undefined;
  readonly databaseName?: string | undefined;
}

const chosen = async (deps: AnalysisDeps, { databaseId, databaseName }: DatabaseChoice) =>
  databaseId ?? (await registered(deps, databaseName ?? '')).id;

async function readTable(
  deps: AnalysisDeps,
  databaseName: string,
  schema: string,
  name: string,
): Promise<TableFigures | null> {
  const table = await readOne(deps, databaseName, { schema, name, exact: null });
  return table && tableFigures(table);
}

async function tableBloat(
  deps: AnalysisDeps,
  databaseName: string,
  schema: string,
  name: string,
  exact: boolean,
): Promise<Bloat> {
  const table = await readOne(deps, databaseName, {
    schema,
    name,
    exact: exact ? { budget: RELATION_BUDGET, what: 'TABLE' } : null,
  });
  if (table === null) throw notFound(`The table ${schema}.${name}`);
  return table.bloat;
}

async function indexBloat(
  deps: AnalysisDeps,
  databaseName: string,
  schema: string,
  index: string,
  exact: boolean,
): Promise<Bloat> {
  const table = await readOne(deps, databaseName, {
    schema,
    index,
    exact: exact ? { budget: RELATION_BUDGET, what: { index } } : null,
  });
  const found = table?.indexes.find((candidate) => candidate.name === index);
  if (!found) throw notFound(`The index ${schema}.${index}`);
  return found.bloat;
}

async function tableDuplicates(
  deps: AnalysisDeps,
  databaseName: string,
  wanted: DuplicatesWanted,
): Promise<TableDuplicates> {
  const session = await deps.connect((await registered(deps, databaseName)).id, ANALYSIS_SETTINGS);
  return readDuplicates(session, deps.clock, wanted).finally(() => session.close());
}

interface Wanted {
  readonly schema: string;
  readonly name?: string;
  /** the table is found by it */
  readonly index?: string;
  readonly exact: ExactReading | null;
}

/** Asks the database itself, now. */
async function readOne(
  deps: AnalysisDeps,
  databaseName: string,
  wanted: Wanted,
): Promise<MeasuredTable | null> {
  const { schema, index, exact } = wanted;
  const session = await deps.connect((await registered(deps, databaseName)).id, ANALYSIS_SETTINGS);
  try {
    const name =
      index === undefined
        ? wanted.name
        : (await readCatalog<{ name: string }>(session, ownerOf(schema, index)))[0]?.name;
    if (name === undefined) return null;
    const figures = await readDatabaseFigures(session, {
      scope: { schema, table: name },
      exact,
      clock: deps.clock,
    });
    return figures.tables.find((table) => table.schema === schema && table.name === name) ?? null;
  } finally {
    await session.close();
  }
}

const ownerOf = (schema: string, index: string) => sql`
  SELECT c.relname AS name FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indrelid
    JOIN pg_catalog.pg_class x ON x.oid = i.indexrelid JOIN pg_catalog.pg_namespace n ON n.oid = x.relnamespace
   WHERE n.nspname = ${schema} AND x.relname = ${index}`;

/** A time that PostgreSQL cannot keep is no time that anybody means. */
const LONGEST_SILENCE_MS = 100 * 365 * 86_400_000;

function checkedUntil(until: Date | null, now: Date): Date | null {
  if (until !== null && !(until > now && until.getTime() - now.getTime() <= LONGEST_SILENCE_MS))
    throw badInput('until must be a time to come, within 100 years.');
  return until;
}
