import type { Clock } from '../clock.ts';
import type { Session } from '../target/session.ts';
import { integer, type Sql, sql, toText } from '../target/sql.ts';
import { TargetError } from '../target/sqlstate.ts';

/** Less than this is not worth a try. */
const LEAST_MS = 20;

/** The time that a plan may spend on counting; past it, estimates have to do. */
export class Budget {
  readonly #clock: Clock;
  readonly #deadline: number;

  constructor(clock: Clock, milliseconds: number) {
    this.#clock = clock;
    this.#deadline = clock.monotonicMs() + milliseconds;
  }

  get leftMs(): number {
    return Math.floor(this.#deadline - this.#clock.monotonicMs());
  }

  /** The rows of the statement, or null when the time is up before it has them. */
  query<Row extends object>(session: Session, statement: Sql): Promise<Row[] | null> {
    return this.within(session, () => session.query<Row>(statement));
  }

  /** The work, in a transaction whose statements may each take as long as is left; null when the time is up. */
  async within<T>(session: Session, work: () => Promise<T>): Promise<T | null> {
    const left = this.leftMs;
    if (left < LEAST_MS) return null;
    try {
      return await session.transaction(async () => {
        await session.script(
          toText(sql`SET LOCAL statement_timeout = ${integer(left)}; SET LOCAL synchronize_seqscans = off`),
        );
        return work();
      });
    } catch (error) {
      if (error instanceof TargetError && error.failure === 'CANCELLED') return null;
      throw error;
    }
  }

  /** The count that "SELECT count(*) AS count ..." gives, or null. */
  async count(session: Session, statement: Sql): Promise<number | null> {
    const rows = await this.query<{ count: string }>(session, statement);
    return rows === null ? null : Number(rows[0]?.count ?? 0);
  }
}

/** How many rows PostgreSQL expects the statement to find. */
export async function estimateRows(session: Session, statement: Sql): Promise<number> {
  const { plan } = await explain(session, statement);
  return Math.round(plan['Plan Rows']);
}

export interface PlanNode {
  readonly 'Node Type': string;
  readonly 'Plan Rows': number;
  readonly 'Index Cond'?: string;
  readonly 'Index Name'?: string;
  readonly 'One-Time Filter'?: string;
  readonly Plans?: readonly PlanNode[];
}

/** withoutSeqScan: shows whether an index could answer at all. */
export async function explain(
  session: Session,
  statement: Sql,
  withoutSeqScan = false,
): Promise<{ plan: PlanNode }> {
  return session.transaction(async () => {
    if (withoutSeqScan) await session.script('SET LOCAL enable_seqscan = off; SET LOCAL jit = off');
    return { plan: await explained(session, statement) };
  });
}

async function explained(session: Session, statement: Sql): Promise<PlanNode> {
  const row = await session.one<{ 'QUERY PLAN': [{ Plan: PlanNode }] }>(
    sql`EXPLAIN (FORMAT JSON) ${statement}`,
  );
  return row['QUERY PLAN'][0].Plan;
}

/** Whether constraints, or the bounds of a partition, keep every row out of the statement's reach, as PostgreSQL itself proves it. */
export async function isRuledOut(session: Session, statement: Sql): Promise<boolean> {
  return session.transaction(async () => {
    await session.script('SET LOCAL constraint_exclusion = on');
    return (await explained(session, statement))['One-Time Filter'] === 'false';
  });
}
