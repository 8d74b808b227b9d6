import type { Clock } from '../clock.ts';
import type { FoundFault, NotJudged } from '../domain/finding.ts';
import type { FindingKind } from '../domain/words.ts';
import type { Log } from '../log.ts';
import type { FindingsFound, Unsure } from '../store/findings.ts';
import { keptFindings, keptTables } from '../store/memory.ts';
import type { Store } from '../store/open-store.ts';
import { firstSnapshotAt, recordSnapshot, type SnapshotView } from '../store/snapshots.ts';
import { READ_SETTINGS, type Session, type SessionSettings } from '../target/session.ts';
import { isRefusal } from './catalog-query.ts';
import { readDatabaseFigures } from './database-figures.ts';
import {
  type Analysis,
  type AnalysisContext,
  type Memory,
  type Subject,
  tableKey,
} from './define-analysis.ts';
import { DATABASE_BUDGET } from './measure-exact.ts';
import { type Replica, readReplicas } from './read-replicas.ts';
import { kindBudget, makeRowReader } from './row-reader.ts';
import { deadRows, tableFigures, wastedBytes } from './table-view.ts';

export interface AnalysisDeps {
  readonly store: Store;
  readonly connect: (databaseId: string, settings: SessionSettings) => Promise<Session>;
  /** the registered read-only copies of a database */
  readonly replicas: (databaseId: string, settings: SessionSettings) => Promise<readonly Replica[]>;
  readonly analyses: readonly Analysis[];
  readonly clock: Clock;
  readonly log: Log;
}

/** Of why something was not judged, for each kind. */
const MOST_REASONS = 20;

const NO_REASON =
  'Its figures are not known: it is locked, was never analysed, or its statistics may not be read (GRANT SELECT).';

export const ANALYSIS_SETTINGS: SessionSettings = { ...READ_SETTINGS, applicationName: 'declutter/analysis' };

/** Reads a whole database, asks every kind of question, and keeps the figures and findings as a snapshot. */
export async function runAnalysis(
  deps: AnalysisDeps,
  database: { id: string; name: string },
  exact: boolean,
): Promise<SnapshotView> {
  const started = deps.clock.monotonicMs();
  const takenAt = deps.clock.now();
  const session = await deps.connect(database.id, ANALYSIS_SETTINGS);
  try {
    const figures = await readDatabaseFigures(session, {
      scope: null,
      exact: exact ? { budget: DATABASE_BUDGET, what: 'ALL' } : null,
      clock: deps.clock,
    });
    const { found, notJudged } = await askAll(deps, database.id, exact, {
      databaseName: database.name,
      figures,
      session,
      now: takenAt,
      watchedSince: await firstSnapshotAt(deps.store, database.id),
      replicas: await readReplicas(session, await deps.replicas(database.id, ANALYSIS_SETTINGS)),
    });
    const durationMs = Math.round(deps.clock.monotonicMs() - started);
    const { sizeBytes } = figures;
    const tables = figures.tables.map(tableFigures);
    return await recordSnapshot(
      deps.store,
      {
        databaseId: database.id,
        takenAt,
        exact,
        durationMs,
        sizeBytes,
        wastedBytes: wastedBytes(figures),
        deadRows: deadRows(figures),
        notJudged,
        tables,
      },
      found,
    );
  } finally {
    await session.close();
  }
}

/** A kind that the database refuses to answer leaves its findings as they are; the others are asked all the same. */
async function askAll(
  deps: AnalysisDeps,
  databaseId: string,
  exact: boolean,
  context: Omit<AnalysisContext, 'unsure' | 'memory' | 'rows'>,
): Promise<{ found: FindingsFound; notJudged: NotJudged[] }> {
  const faults: FoundFault[] = [];
  const unsure: Unsure[] = [];
  const answered: FindingKind[] = [];
  const notJudged: NotJudged[] = [];
  for (const { kind, find } of deps.analyses) {
    try {
      const memory = memoryOf(deps.store, databaseId, kind);
      const rows = makeRowReader(context.session, deps.clock, kindBudget(exact));
      const doubts = new Map<string, Subject[]>();
      const unsureOf = (subject: Subject, why = NO_REASON) => {
        unsure.push({ ...subject, kind });
        const known = doubts.get(why);
        if (known) known.push(subject);
        else doubts.set(why, [subject]);
      };
      faults.push(...(await find({ ...context, memory, rows, unsure: unsureOf })));
      answered.push(kind);
      notJudged.push(...summed(kind, doubts));
    } catch (error) {
      if (!isRefusal(error)) throw error;
      deps.log.warn({ err: error, kind, database: context.databaseName }, 'A kind of analysis got no answer');
      notJudged.push({ kind, reason: (error as Error).message, subjects: 0, example: null });
    }
  }
  return { found: { faults, unsure, answered }, notJudged };
}

const summed = (kind: FindingKind, doubts: ReadonlyMap<string, readonly Subject[]>): NotJudged[] =>
  [...doubts].slice(0, MOST_REASONS).map(([reason, subjects]) => {
    const { schema, table, index } = subjects[0] as Subject;
    return { kind, reason, subjects: subjects.length, example: `${schema}.${index ?? table}` };
  });

const memoryOf = (store: Store, databaseId: string, kind: FindingKind): Memory => ({
  findings: () => keptFindings(store, databaseId, kind),
  tablesAt: async (time) => {
    const tables = await keptTables(store, databaseId, time);
    return tables && new Map(tables.map((table) => [tableKey(table.schema, table.name), table]));
  },
});
