import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import type {
  Analysis,
  AnalysisContext,
  DatabaseFigures,
  MeasuredTable,
  Memory,
  Subject,
} from '../../src/analysis/define-analysis.ts';
import { readDatabaseFigures } from '../../src/analysis/database-figures.ts';
import { RELATION_BUDGET } from '../../src/analysis/measure-exact.ts';
import { kindBudget, makeRowReader } from '../../src/analysis/row-reader.ts';
import { systemClock } from '../../src/clock.ts';
import type { FoundFault } from '../../src/domain/finding.ts';
import type { TestDatabase } from '../support/postgres.ts';

/**
 * Each statement by a session of its own, as different applications would send them: the counters of one statement reach
 * the server before the next one begins.
 */
export async function inTurn(
  database: Pick<TestDatabase, 'url' | 'version'>,
  ...statements: readonly string[]
): Promise<void> {
  for (const statement of statements) {
    const client = new pg.Client({ connectionString: database.url });
    await client.connect();
    try {
      await client.query(statement);
    } finally {
      await client.end();
    }
  }
  // Before PostgreSQL 15 a collector writes the counters to a file that may be half a second old.
  if (database.version < 15) await sleep(700);
}

export async function figuresOf(
  database: Pick<TestDatabase, 'session'>,
  options: { exact?: boolean; role?: string } = {},
): Promise<DatabaseFigures> {
  const session = await database.session();
  if (options.role !== undefined) await session.script(`SET ROLE ${options.role}`);
  const exact = options.exact ? ({ budget: RELATION_BUDGET, what: 'ALL' } as const) : null;
  const sampling = { ms: 120_000, tables: 1_000 };
  const figures = await readDatabaseFigures(session, { scope: null, exact, clock: systemClock, sampling });
  await session.close();
  return figures;
}

export const tableNamed = (figures: DatabaseFigures, name: string): MeasuredTable => {
  const table = figures.tables.find((candidate) => candidate.name === name);
  if (!table)
    throw new Error(`There is no table ${name} among ${figures.tables.map((t) => t.name).join(', ')}.`);
  return table;
};

interface Given extends Partial<Pick<AnalysisContext, 'replicas' | 'watchedSince' | 'now'>> {
  readonly standbys?: number;
  readonly awayStandbys?: number;
  readonly countersBegan?: Date;
  readonly memory?: Partial<Memory>;
  /** tables may be read whole */
  readonly exact?: boolean;
  /** with the rights of this role, and not those of a superuser */
  readonly role?: string;
}

const NOTHING_KEPT: Memory = { findings: async () => [], tablesAt: async () => null };

export interface Answer {
  readonly faults: readonly FoundFault[];
  readonly unsure: readonly NotJudged[];
}

type NotJudged = Subject & { readonly why?: string };

/** Asks one kind of question of a database as it is now. */
export async function ask(analysis: Analysis, database: TestDatabase, given: Given = {}): Promise<Answer> {
  const session = await database.session();
  if (given.role !== undefined) await session.script(`SET ROLE ${given.role}`);
  const figures = await readDatabaseFigures(session, { scope: null, exact: null, clock: systemClock });
  const unsure: NotJudged[] = [];
  const faults = await analysis.find({
    databaseName: 'shop',
    figures: {
      ...figures,
      // What other tests do to the server that they share, and when it was started, is not what a test is about.
      standbys: given.standbys ?? 0,
      awayStandbys: given.awayStandbys ?? 0,
      countersBegan: given.countersBegan ?? null,
    },
    session,
    now: given.now ?? new Date(),
    watchedSince: given.watchedSince ?? null,
    replicas: given.replicas ?? [],
    memory: { ...NOTHING_KEPT, ...given.memory },
    rows: makeRowReader(session, systemClock, kindBudget(given.exact ?? false)),
    unsure: (subject, why) => unsure.push({ ...subject, ...(why === undefined ? {} : { why }) }),
  });
  await session.close();
  return { faults, unsure };
}
