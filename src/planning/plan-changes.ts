import type { PlanNotice } from '../domain/plan.ts';
import type { Relation } from '../target/catalog.ts';
import { explainGeneric, type GenericPlan } from '../target/generic-plan.ts';
import { ident, integer, type Sql, sql } from '../target/sql.ts';
import { TargetError } from '../target/sqlstate.ts';
import { nameOf, notice, type PlanContext } from './plan-context.ts';

/** What is supposed for a moment, in our session alone: that an index is not there, or that there is another. */
export type Supposition = { readonly hide: number } | { readonly create: string };

/** So many of the statements that take the most time and name the table are asked about. */
const STATEMENTS = 5;
const SHOWN_CHARACTERS = 160;
/** Costs that differ by less are the same plan. */
const SAME = 0.01;

interface Statement {
  readonly query: string;
  readonly calls: number;
}

interface Extensions {
  /** the schema of each; null: it is not there, or too old */
  readonly statements: string | null;
  readonly hypothetical: string | null;
}

/**
 * What the plans of the table's main statements would become, by HypoPG and pg_stat_statements; nothing where either is
 * missing. Only EXPLAIN is sent, and nothing of the database changes.
 */
export async function planChanges(
  context: PlanContext,
  relation: Relation,
  supposition: Supposition,
): Promise<PlanNotice[]> {
  const { statements: schema, hypothetical } = await readExtensions(context, supposition);
  if (schema === null || hypothetical === null) return [];
  const changes: PlanNotice[] = [];
  let asked = 0;
  for (const statement of await readStatements(context, relation, schema)) {
    const before = await explained(context, statement.query);
    if (before === null) continue;
    const after = await supposing(context, hypothetical, supposition, () =>
      explained(context, statement.query),
    );
    asked += 1;
    if (after !== null && differs(before, after)) changes.push(changed(statement, before, after));
  }
  if (changes.length > 0 || asked === 0) return changes;
  return [
    notice(
      'PLANS_UNCHANGED',
      `The plans of the ${asked} statements on ${nameOf(relation)} that take the most time would stay as they are.`,
    ),
  ];
}

/** HypoPG hides indexes since 1.4. */
async function readExtensions({ session }: PlanContext, supposition: Supposition): Promise<Extensions> {
  const wanted = 'hide' in supposition ? 'hypopg_hide_index' : 'hypopg_create_index';
  return session.transaction(() =>
    session.one<Extensions>(sql`
      SELECT (SELECT n.nspname FROM pg_catalog.pg_extension e JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace
               WHERE e.extname = 'pg_stat_statements') AS statements,
             (SELECT n.nspname FROM pg_catalog.pg_extension e JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace
               WHERE e.extname = 'hypopg'
                 AND EXISTS (SELECT FROM pg_catalog.pg_proc p WHERE p.pronamespace = n.oid AND p.proname = ${wanted})) AS hypothetical`),
  );
}

/**
 * Of the table's owner and of our own role: to plan a statement PostgreSQL may call functions that it names, with our rights,
 * and a stranger's are none of our business. A semicolon could hide a second statement.
 */
async function readStatements(
  { session }: PlanContext,
  { oid, name }: Relation,
  schema: string,
): Promise<Statement[]> {
  try {
    return await session.transaction(() =>
      session.query<Statement>(sql`
        SELECT s.query, s.calls::pg_catalog.float8 AS calls
          FROM ${ident(schema, 'pg_stat_statements')} s
         WHERE s.dbid = (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database())
           AND s.userid IN (current_user::pg_catalog.regrole::pg_catalog.oid,
                            (SELECT c.relowner FROM pg_catalog.pg_class c WHERE c.oid = ${integer(oid)}))
           AND pg_catalog.strpos(s.query, ${name}) > 0 AND pg_catalog.strpos(s.query, ';') = 0
           AND s.query OPERATOR(pg_catalog.~*) '^\\s*(select|with|insert|update|delete)\\M'
         ORDER BY s.total_exec_time DESC, s.queryid LIMIT ${integer(STATEMENTS)}`),
    );
  } catch (error) {
    // Not loaded into the server (shared_preload_libraries), or not readable: then there is nothing to show.
    if (error instanceof TargetError && error.failure !== 'CONNECTION') return [];
    throw error;
  }
}

async function explained({ session }: PlanContext, query: string): Promise<GenericPlan | null> {
  try {
    return await explainGeneric(session, query);
  } catch (error) {
    // A statement that only runs under another search_path, say: others may still be asked.
    if (error instanceof TargetError && error.failure !== 'CONNECTION') return null;
    throw error;
  }
}

async function supposing<T>(
  { session }: PlanContext,
  schema: string,
  supposition: Supposition,
  work: () => Promise<T>,
): Promise<T> {
  const call = (suppose: Sql) => session.transaction(() => session.query(sql`SELECT ${suppose}`));
  await call(
    'hide' in supposition
      ? sql`${ident(schema)}.hypopg_hide_index(${integer(supposition.hide)}::pg_catalog.oid)`
      : sql`pg_catalog.count(*) FROM ${ident(schema)}.hypopg_create_index(${supposition.create})`,
  );
  try {
    return await work();
  } finally {
    await call(
      'hide' in supposition
        ? sql`${ident(schema)}.hypopg_unhide_all_indexes()`
        : sql`${ident(schema)}.hypopg_reset()`,
    );
  }
}

const differs = (before: GenericPlan, after: GenericPlan) =>
  Math.abs(after.cost - before.cost) > before.cost * SAME;

function changed({ query, calls }: Statement, before: GenericPlan, after: GenericPlan): PlanNotice {
  const text = query.replace(/\s+/g, ' ').trim();
  const shown = text.length > SHOWN_CHARACTERS ? `${text.slice(0, SHOWN_CHARACTERS)} ...` : text;
  return notice(
    'PLAN_CHANGE',
    `A statement that ran ${calls} times would cost ${Math.round(after.cost)} instead of ${Math.round(before.cost)} (${after.scans.join(', ')} instead of ${before.scans.join(', ')}): ${shown}`,
    after.cost > before.cost ? 'Make sure that nobody waits for it.' : null,
  );
}
