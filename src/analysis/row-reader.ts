import type { Clock } from '../clock.ts';
import type { Session } from '../target/session.ts';
import type { Sql } from '../target/sql.ts';
import { TargetError } from '../target/sqlstate.ts';
import { bytesInWords } from './define-analysis.ts';
import type { Budget } from './measure-exact.ts';

/** What reading people's rows may cost. */
export interface RowBudget {
  /** for all samples together */
  readonly samplingMs: number;
  /** for reading tables whole; null: samples only */
  readonly exact: Budget | null;
}

const GIBIBYTE = 1024 ** 3;
/** No single sample is worth more. */
const ONE_SAMPLE_MS = 1_500;

/** Each kind has one of its own, so that none has to wait for what another leaves. */
export const kindBudget = (exact: boolean): RowBudget => ({
  samplingMs: 3_000,
  exact: exact ? { bytes: 2 * GIBIBYTE, ms: 10_000 } : null,
});

/** For one table that somebody asks about. */
export const tableBudget = (exact: boolean): RowBudget => ({
  samplingMs: 5_000,
  exact: exact ? { bytes: 16 * GIBIBYTE, ms: 20_000 } : null,
});

/** Why there is no answer, in a sentence. */
export interface NotRead {
  readonly notRead: string;
}

export const isNotRead = (answer: object): answer is NotRead => 'notRead' in answer;

/**
 * Reads people's rows as long as the budget lasts. Statements answer with one row of figures: no value of a row ever leaves the
 * server. Names in them mean PostgreSQL's own. They read by TABLESAMPLE, also of 100 percent: PostgreSQL counts that neither as
 * a scan of the table nor of an index, and what nobody else uses goes on to look unused.
 */
export interface RowReader {
  /** tables may be read whole */
  readonly exact: boolean;
  /** Of a query whose cost does not grow with the table. byIndex: other tables are looked up by their indexes alone. */
  sample<Row extends object>(query: Sql, options?: { byIndex: boolean }): Promise<Row | NotRead>;
  /** Of a query that reads so many bytes. */
  whole<Row extends object>(bytes: number, query: Sql): Promise<Row | NotRead>;
}

export function makeRowReader(session: Session, clock: Clock, budget: RowBudget): RowReader {
  const exact = budget.exact ?? { bytes: 0, ms: 0 };
  let samplingLeft = budget.samplingMs;
  let bytesLeft = exact.bytes;
  let msLeft = exact.ms;
  const timed = async <Row extends object>(query: Sql, ms: number, settings: string) => {
    const started = clock.monotonicMs();
    const answer = await readOne<Row>(session, query, Math.ceil(ms), settings);
    return { answer, took: clock.monotonicMs() - started };
  };
  return {
    exact: budget.exact !== null,
    sample: async <Row extends object>(query: Sql, options = { byIndex: false }) => {
      if (samplingLeft <= 0)
        return notRead(`The ${budget.samplingMs / 1_000} seconds for samples were spent on others.`);
      const ms = Math.min(samplingLeft, ONE_SAMPLE_MS);
      const { answer, took } = await timed<Row>(query, ms, options.byIndex ? BY_INDEX : '');
      samplingLeft -= took;
      return answer;
    },
    whole: async <Row extends object>(bytes: number, query: Sql) => {
      if (bytes > bytesLeft || msLeft <= 0) return notRead(spent(exact, bytes));
      bytesLeft -= bytes;
      const { answer, took } = await timed<Row>(query, msLeft, '');
      msLeft -= took;
      return answer;
    },
  };
}

const notRead = (why: string): NotRead => ({ notRead: why });

const spent = (budget: Budget, bytes: number) =>
  bytes > budget.bytes
    ? `It has ${bytesInWords(bytes)}, more than the budget of ${bytesInWords(budget.bytes)} for reading tables whole.`
    : `The budget of ${bytesInWords(budget.bytes)} and ${budget.ms / 1_000} seconds for reading tables whole was spent on others.`;

/** One process of the server, which others have to share; nothing is compiled for a statement that runs once. */
const GENTLE =
  'SET LOCAL search_path = pg_catalog; SET LOCAL jit = off; SET LOCAL max_parallel_workers_per_gather = 0';
const BY_INDEX =
  '; SET LOCAL enable_seqscan = off; SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off';

async function readOne<Row extends object>(
  session: Session,
  query: Sql,
  ms: number,
  settings: string,
): Promise<Row | NotRead> {
  try {
    return await session.transaction(async () => {
      await session.script(`${GENTLE}${settings}; SET LOCAL statement_timeout = ${ms}`);
      return session.one<Row>(query);
    });
  } catch (error) {
    const why = error instanceof TargetError ? refusalInWords(error) : null;
    if (why === null) throw error;
    return notRead(why);
  }
}

/** null: the session itself is of no more use */
function refusalInWords({ failure, sqlstate }: TargetError): string | null {
  switch (failure) {
    case 'LOCKED':
      return 'Another session holds a lock on it; we do not queue behind it.';
    case 'CANCELLED':
    case 'RETRY':
      return 'Reading it took longer than it may, or was cancelled.';
    case 'RIGHTS':
      return 'The role may not read it.';
    case 'CORRUPTION':
      return `PostgreSQL reports damaged data in it (SQLSTATE ${sqlstate ?? ''}): look at the server first.`;
    case 'CONNECTION':
    case 'READ_ONLY':
      return null;
    default:
      return `PostgreSQL could not read it (SQLSTATE ${sqlstate ?? 'unknown'}), or it is gone.`;
  }
}
