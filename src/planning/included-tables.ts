import type { HeldBeside, Limits, PlanLock, PlanNotice, PlanStep } from '../domain/plan.ts';
import type { Relation } from '../target/catalog.ts';
import { keyBeside, type Reached, rowsOf } from '../target/reached-tables.ts';
import { ident, sql, toText } from '../target/sql.ts';
import { isArchiveTable } from './archive-tables.ts';
import { type Need, tableNeeds } from './check-rights.ts';
import { checkPublications, checkRows, refuseRelation } from './check-subject.ts';
import { nameOf, notice, type PlanContext } from './plan-context.ts';
import type { Doomed } from './doomed-rows.ts';
import { heldIncluded } from './held-included.ts';
import type { Effects } from './read-effects.ts';

/** Every table that a run with dependents changes: the subject, those whose rows go, and those whose references PostgreSQL sets. */
export function touchedTables({ tables, edges }: Reached): Relation[] {
  const touched = new Map(tables.map((table) => [table.oid, table]));
  for (const { key, child } of edges)
    if (key.onDelete === 'SET_NULL' || key.onDelete === 'SET_DEFAULT') touched.set(child.oid, child);
  return [...touched.values()];
}

/** The rights to delete what references the chosen rows, and to lock it first. */
export async function includedNeeds(context: PlanContext, { subject, tables }: Reached): Promise<Need[]> {
  const needs: Need[] = [];
  for (const table of tables) {
    const why =
      table === subject ? 'its rows are locked first' : 'its rows go with those that they reference';
    const rights = ['SELECT', 'DELETE', 'UPDATE'] as const;
    needs.push(...(await tableNeeds(context, table, table === subject ? ['UPDATE'] : rights, why)));
  }
  return needs;
}

/** What stands in the way of taking rows of the other tables along; doomed: those that go, null: not known, any hold blocks. */
export async function checkIncluded(
  context: PlanContext,
  reached: Reached,
  doomed: Doomed | null,
): Promise<{ blockers: PlanNotice[]; warnings: PlanNotice[]; heldBeside: readonly HeldBeside[] }> {
  const blockers: PlanNotice[] = [];
  const warnings: PlanNotice[] = [];
  const others = touchedTables(reached).filter((table) => table !== reached.subject);
  for (const table of others) {
    // The rows of a partitioned table are treated by way of it.
    const unsafe = refuseRelation(table.kind === 'PARTITIONED' ? { ...table, kind: 'TABLE' } : table);
    blockers.push(
      ...unsafe,
      ...(await checkRows(context, table)),
      ...(await keysBeside(context, table, reached)),
    );
    if (await isArchiveTable(context, table))
      blockers.push(notice('UNSAFE_TABLE', `${nameOf(table)} keeps the rows of an archive.`));
    const publications = await checkPublications(context, table);
    blockers.push(...publications.blockers);
    warnings.push(...publications.warnings);
  }
  // Rows of the subject that go because they reference others are not of its filter, which leaves held rows out.
  const returns = reached.edges.some(({ child }) => child.oid === reached.subject.oid);
  const tables = [...others, ...(returns ? [reached.subject] : [])];
  const held = await heldIncluded(context, { reached, doomed }, tables);
  return {
    blockers: [...blockers, ...held.blockers],
    warnings: [...warnings, ...held.warnings],
    heldBeside: held.beside,
  };
}

/** A key that leads to one partition alone does not show at the partitioned table; a run would stop at it. */
async function keysBeside(
  { session }: PlanContext,
  table: Relation,
  { edges }: Reached,
): Promise<PlanNotice[]> {
  if (table.kind !== 'PARTITIONED') return [];
  const known = edges.map(({ key }) => key.oid);
  const key = await session.transaction(() => keyBeside(session, table, known));
  if (key === null) return [];
  return [
    notice(
      'PARTITION_REFERENCED',
      `${key.child} references ${key.partition}, a partition of ${nameOf(table)}, by ${key.name}: what goes with rows of a single partition is not followed.`,
      `Let the key reference ${nameOf(table)}, or drop it.`,
    ),
  ];
}

/** Row security that hides referencing rows: no count of them would be true. */
export async function hiddenRows(context: PlanContext, { subject, edges }: Reached): Promise<PlanNotice[]> {
  const children = new Map(edges.map(({ child }) => [child.oid, child]));
  const notices: PlanNotice[] = [];
  for (const child of children.values())
    if (child.oid !== subject.oid && child.rowSecurity)
      notices.push(...(await checkRows(context, child)).filter(({ code }) => code === 'ROW_SECURITY'));
  return notices;
}

/** Rows that go only because they reference others; null where they could not be counted. */
export function includedRows({ effects, warnings }: Effects): number | null {
  if (warnings.some(({ code }) => code === 'EFFECTS_ESTIMATED')) return null;
  return effects
    .filter(({ effect }) => effect === 'DELETE_CASCADE' || effect === 'DELETE_INCLUDED')
    .reduce((sum, { rows }) => sum + rows, 0);
}

/** maxRows is for all rows that go. */
export function includedLimit(included: number | null, rows: number, { maxRows }: Limits): PlanNotice[] {
  if (maxRows === null || included === null || rows > maxRows || rows + included <= maxRows) return [];
  return [
    notice(
      'ROW_LIMIT',
      `${rows} rows match and ${included} reference them; limits.maxRows allows ${maxRows} together.`,
      'Narrow the filter, or raise the limit.',
    ),
  ];
}

type Step = Omit<PlanStep, 'position'>;

/** The deepest tables first; they go in the transactions, and the statements, of the rows that they reference. */
export function includedSteps(
  { subject, tables, edges, deletes }: Reached,
  steps: readonly Step[],
  archived: boolean,
): Step[] {
  const row = ident('going');
  const places = sql`${row}.ctid = ANY ('{"(0,1)"}'::pg_catalog.tid[])`;
  const others = tables.filter((table) => table !== subject).reverse();
  const included = others.map((table): Step => {
    const ways = edges.filter(({ key, child }) => child.oid === table.oid && deletes(key));
    const by = [...new Set(ways.map(({ key }) => `${key.referencedTable} by ${key.name}`))].join(', ');
    return {
      description: `Lock${archived ? ', archive' : ''} and delete the rows of ${nameOf(table)} that reference rows of ${by}, in the same transaction as those`,
      sql: toText(sql`DELETE FROM ${rowsOf(table, row)} WHERE ${places}`),
    };
  });
  const at = steps.findIndex((step) => step.sql.includes('DELETE FROM'));
  return [...steps.slice(0, at), ...included, ...steps.slice(at)];
}

/** Each table is locked as the subject is. */
export function includedLocks(reached: Reached, [lock]: readonly PlanLock[]): PlanLock[] {
  const others = touchedTables(reached).filter((table) => table !== reached.subject);
  return lock === undefined ? [] : others.map((table) => ({ ...lock, relation: nameOf(table) }));
}
