import type { PlanNotice } from '../domain/plan.ts';
import type { Relation } from '../target/catalog.ts';
import { READ_SETTINGS, type Session } from '../target/session.ts';
import { ident, integer, join, literal, type Sql, sql } from '../target/sql.ts';
import { TargetError } from '../target/sqlstate.ts';
import { nameOf, notice, type PlanContext } from './plan-context.ts';

const TRIAL_ROWS = 100;
const TRIAL_MS = 5_000;

export interface Trial {
  readonly blockers: readonly PlanNotice[];
  readonly warnings: readonly PlanNotice[];
}

interface Touched {
  readonly schema: string;
  readonly name: string;
  readonly inserted: number;
  readonly updated: number;
  readonly deleted: number;
}

/**
 * Deletes a few of the rows in a transaction that is rolled back, and tells what keys and triggers did, in every table.
 * PostgreSQL takes back what happened in the database; what a trigger does outside of it is done.
 */
export async function tryDeletion(context: PlanContext, relation: Relation, filter: Sql): Promise<Trial> {
  const { deps, database } = context;
  const settings = { ...READ_SETTINGS, readOnly: false, statementTimeoutMs: TRIAL_MS };
  const session = await deps.connect(database.id, { ...settings, applicationName: 'declutter/trial' });
  try {
    return await measured(session, relation, filter);
  } catch (error) {
    if (!(error instanceof TargetError) || error.failure === 'CONNECTION') throw error;
    return { blockers: [failed(relation, error)], warnings: [] };
  } finally {
    await session.rollback();
    await session.close();
  }
}

async function measured(session: Session, relation: Relation, filter: Sql): Promise<Trial> {
  // Deferred checks and triggers belong to what the delete does.
  await session.script(`${session.begin()}; SET CONSTRAINTS ALL IMMEDIATE`);
  const table = await tableWith(session, relation, filter);
  const rows = await session.query<{ place: string }>(sql`
    SELECT ctid::pg_catalog.text AS place FROM ONLY ${table} WHERE ${filter} LIMIT ${integer(TRIAL_ROWS)}`);
  if (rows.length === 0) return { blockers: [], warnings: [] };
  const places = join(
    rows.map(({ place }) => literal(place)),
    ', ',
  );
  const begun = performance.now();
  const deleted = await session.execute(
    sql`DELETE FROM ONLY ${table} WHERE ctid = ANY (ARRAY[${places}]::pg_catalog.tid[]) AND (${filter})`,
  );
  const ms = performance.now() - begun;
  const touched = await session.query<Touched>(TOUCHED);
  return {
    blockers: deleted < rows.length ? [kept(relation, rows.length, deleted)] : [],
    warnings: [report(relation, deleted, ms, touched)],
  };
}

/** Of a partitioned table: a partition that has some of the rows. */
async function tableWith(session: Session, relation: Relation, filter: Sql): Promise<Sql> {
  const own = ident(relation.schema, relation.name);
  if (relation.kind !== 'PARTITIONED') return own;
  const [first] = await session.query<{ schema: string; name: string }>(sql`
    SELECT n.nspname AS schema, c.relname AS name
      FROM (SELECT tableoid AS oid FROM ${own} WHERE ${filter} LIMIT 1) AS first
      JOIN pg_catalog.pg_class AS c ON c.oid = first.oid JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace`);
  return first === undefined ? own : ident(first.schema, first.name);
}

/** The statistics of the open transaction. */
const TOUCHED = sql`
  SELECT schemaname AS schema, relname AS name, n_tup_ins::pg_catalog.float8 AS inserted,
         n_tup_upd::pg_catalog.float8 AS updated, n_tup_del::pg_catalog.float8 AS deleted
    FROM pg_catalog.pg_stat_xact_user_tables
   WHERE n_tup_ins + n_tup_upd + n_tup_del > 0 ORDER BY schemaname, relname`;

function report(relation: Relation, rows: number, ms: number, touched: readonly Touched[]): PlanNotice {
  const tables = touched.map((table) => {
    const counts = (['inserted', 'updated', 'deleted'] as const)
      .filter((what) => table[what] > 0)
      .map((what) => `${table[what]} ${what}`);
    return `${nameOf(table)} ${counts.join(', ')}`;
  });
  return notice(
    'TRIAL',
    `${rows} of the rows of ${nameOf(relation)} were deleted in ${Math.ceil(ms)} ms, in a transaction that was rolled back: ${tables.join('; ')}.`,
    'Tables that the effects do not name were written by triggers.',
  );
}

const kept = (relation: Relation, chosen: number, deleted: number): PlanNotice =>
  notice(
    'TRIAL_KEPT_ROWS',
    `Of ${chosen} rows of ${nameOf(relation)} that were to go in a trial, ${chosen - deleted} stayed: a trigger keeps them.`,
    'Change the trigger, or leave those rows out by the filter.',
  );

const failed = (relation: Relation, error: TargetError): PlanNotice =>
  notice(
    'TRIAL_FAILED',
    `Deleting a few rows of ${nameOf(relation)} in a transaction that was rolled back failed: ${error.message}`,
    'The run would fail the same way.',
  );
