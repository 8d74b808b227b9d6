import type { StatementFigures } from '../domain/run.ts';
import type { RunView } from '../store/runs.ts';
import { READ_SETTINGS, type Session, type SessionSettings } from '../target/session.ts';
import { readStatements, type StatementTimes } from '../target/statement-times.ts';
import { TargetError } from '../target/sqlstate.ts';

/** How long a statement took on average before a run, and since. */
export interface QueryTime {
  readonly query: string;
  readonly callsBefore: number;
  readonly meanMsBefore: number;
  /** since the run's end; null: not known, as the database or pg_stat_statements does not answer, or was reset */
  readonly callsAfter: number | null;
  readonly meanMsAfter: number | null;
}

export interface QueryTimeDeps {
  readonly connect: (databaseId: string, settings: SessionSettings) => Promise<Session>;
}

/** Asks the database now: what has been called since the run ended is known there only. */
export async function queryTimes(
  { connect }: QueryTimeDeps,
  { databaseId, result }: Pick<RunView, 'databaseId' | 'result'>,
): Promise<QueryTime[]> {
  const figures = result.statements ?? [];
  if (figures.length === 0) return [];
  const now = await timesNow(connect, databaseId, figures);
  return figures.map((statement) => timeOf(statement, now?.find(({ id }) => id === statement.id) ?? null));
}

async function timesNow(
  connect: QueryTimeDeps['connect'],
  databaseId: string,
  figures: readonly StatementFigures[],
): Promise<StatementTimes[] | null> {
  try {
    const session = await connect(databaseId, { ...READ_SETTINGS, applicationName: 'declutter/times' });
    const ids = figures.map(({ id }) => id);
    return await readStatements(session, ids).finally(() => session.close());
  } catch (error) {
    if (error instanceof TargetError) return null; // away now: what was before is known all the same
    throw error;
  }
}

function timeOf({ query, before, end }: StatementFigures, now: StatementTimes | null): QueryTime {
  const calls = now === null ? null : now.calls - end.calls;
  const isKnown = calls !== null && calls >= 0;
  return {
    query,
    callsBefore: before.calls,
    meanMsBefore: before.calls === 0 ? 0 : before.ms / before.calls,
    callsAfter: isKnown ? calls : null,
    meanMsAfter: now === null || !isKnown || calls === 0 ? null : (now.ms - end.ms) / calls,
  };
}
