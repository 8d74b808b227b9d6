import type { PlanEffect, PlanNotice } from '../domain/plan.ts';
import type { DependentRows, EffectKind } from '../domain/words.ts';
import type { ForeignKey, Relation, Trigger } from '../target/catalog.ts';
import { ident, join, type Sql, sql, toText } from '../target/sql.ts';
import { estimateRows } from './budget.ts';
import { type Need, tableNeeds } from './check-rights.ts';
import { nameOf, notice, type PlanContext } from './plan-context.ts';
import {
  type Doomed,
  doomedRows,
  type Edge,
  type Reached,
  readReached,
  references,
  rowsOf,
} from './reached-tables.ts';

export interface Effects {
  readonly effects: PlanEffect[];
  readonly blockers: PlanNotice[];
  readonly warnings: PlanNotice[];
}

interface Look {
  readonly context: PlanContext;
  readonly reached: Reached;
  readonly doomed: Doomed;
  readonly result: Effects;
}

/** Every table that foreign keys lead to from the chosen rows. */
export function reachDependents(
  { session }: PlanContext,
  subject: Relation,
  dependents: DependentRows,
): Promise<Reached> {
  const included = dependents === 'INCLUDE';
  const deletes = ({ onDelete }: ForeignKey) =>
    onDelete === 'CASCADE' || (included && (onDelete === 'NO_ACTION' || onDelete === 'RESTRICT'));
  return session.transaction(() => readReached(session, subject, deletes));
}

/** The rights to look there. */
export async function dependentNeeds(context: PlanContext, { subject, edges }: Reached): Promise<Need[]> {
  const needs: Need[] = [];
  for (const child of byChild(edges).keys()) {
    const why = 'its rows may reference the chosen ones';
    if (child.oid !== subject.oid) needs.push(...(await tableNeeds(context, child, ['SELECT'], why)));
  }
  return needs;
}

/** What else would happen if the chosen rows went, in every table that foreign keys and triggers lead to. */
export async function readEffects(
  context: PlanContext,
  reached: Reached,
  options: {
    readonly filter: (alias: Sql) => Sql;
    readonly dependents: DependentRows;
    readonly mayRead: boolean;
    readonly rows: number;
    readonly batches: number;
  },
): Promise<Effects> {
  const result: Effects = { effects: [], blockers: [], warnings: [] };
  const look: Look = { context, reached, doomed: doomedRows(reached, options.filter), result };
  result.effects.push(...triggerEffects(reached.subject, 'DELETE', options.rows, options.batches));
  if (options.rows === 0 || !options.mayRead) return result;
  await readDeletions(look);
  await readColumnChanges(look, 'SET_NULL');
  await readColumnChanges(look, 'SET_DEFAULT');
  await refuseDependents(look, options.dependents === 'INCLUDE');
  warnOfMissingIndexes(look);
  return result;
}

const CHILD = ident('child');

/** Rows of other tables that would be deleted; each is counted once, however many keys lead to it. */
async function readDeletions(look: Look): Promise<void> {
  const { reached, doomed } = look;
  for (const [child, edges] of byChild(reached.edges.filter(({ key }) => reached.deletes(key)))) {
    if (child.oid === reached.subject.oid) continue; // counted with the plan's own rows, or below
    const rows = await countRows(
      look,
      sql`SELECT ${rowsFrom(child)} WHERE ${doomed.condition(child, CHILD)}`,
    );
    const effect = edges.every(({ key }) => key.onDelete === 'CASCADE')
      ? 'DELETE_CASCADE'
      : 'DELETE_INCLUDED';
    addEffect(look, child, effect, rows, edges);
    if (rows > 0) look.result.effects.push(...triggerEffects(child, 'DELETE', rows, rows));
  }
  await readOwnTree(look);
}

/** The subject's own rows that go because they reference chosen ones. */
async function readOwnTree(look: Look): Promise<void> {
  const { reached, doomed } = look;
  const { subject } = reached;
  const edges = reached.edges.filter(({ key, child }) => child.oid === subject.oid && reached.deletes(key));
  if (edges.length === 0) return;
  const all = await countRows(
    look,
    sql`SELECT ${rowsFrom(subject)} WHERE ${doomed.condition(subject, CHILD)}`,
  );
  const rows = Math.max(0, all - (await chosenRows(look)));
  addEffect(
    look,
    subject,
    edges.every(({ key }) => key.onDelete === 'CASCADE') ? 'DELETE_CASCADE' : 'DELETE_INCLUDED',
    rows,
    edges,
  );
}

const chosenRows = ({ context, reached, doomed }: Look): Promise<number> =>
  context.budget
    .count(
      context.session,
      sql`${doomed.prefix} SELECT pg_catalog.count(*)::pg_catalog.text AS count FROM ${rowsOf(reached.subject, CHILD)} WHERE ${doomed.chosen(CHILD)}`,
    )
    .then((count) => count ?? 0);

/** Rows that would stay, but lose their reference. */
async function readColumnChanges(look: Look, onDelete: 'SET_NULL' | 'SET_DEFAULT'): Promise<void> {
  const edges = look.reached.edges.filter(({ key }) => key.onDelete === onDelete);
  for (const [child, keys] of byChild(edges)) {
    const rows = await countRows(
      look,
      sql`SELECT ${rowsFrom(child)} WHERE (${referencing(look, keys)}) ${survivors(look, child)}`,
    );
    addEffect(look, child, onDelete, rows, keys);
    if (rows > 0) look.result.effects.push(...triggerEffects(child, 'UPDATE', rows, rows));
  }
}

/** Under REFUSE a plan is for rows that nothing references; INCLUDE is planned in full, but not run by this version. */
async function refuseDependents(look: Look, included: boolean): Promise<void> {
  const { reached, result } = look;
  if (included) {
    result.blockers.push(
      notice(
        'DEPENDENTS_INCLUDE_UNAVAILABLE',
        'This version does not treat dependent rows along with the chosen ones.',
        'Plan the referencing tables first, the deepest one at the start; then this one with dependents: REFUSE.',
      ),
    );
    return;
  }
  for (const [child, edges] of byChild(
    reached.edges.filter(({ parent }) => parent.oid === reached.subject.oid),
  )) {
    const rows = await countRows(look, sql`SELECT ${rowsFrom(child)} WHERE ${referencing(look, edges)}`);
    if (rows === 0) continue;
    const keys = edges.map(({ key }) => `${key.name} (${key.onDelete.replace('_', ' ')})`).join(', ');
    result.blockers.push(
      notice(
        'DEPENDENTS',
        `${rows} rows of ${nameOf(child)} reference the chosen rows, by ${keys}.`,
        `Plan those rows of ${nameOf(child)} first, or leave out the rows that they reference.`,
      ),
    );
  }
}

/** Rows of the child that reference rows which would be deleted, by any of the keys. A row that references itself does not count. */
const referencing = ({ doomed }: Look, edges: readonly Edge[]): Sql =>
  join(
    edges.map((edge) => {
      const parent = ident('parent');
      const self = edge.child.oid === edge.parent.oid ? sql`AND ${parent}.ctid <> ${CHILD}.ctid` : sql``;
      return sql`EXISTS (SELECT FROM ${rowsOf(edge.parent, parent)} WHERE ${references(edge, parent, CHILD)} AND ${doomed.condition(edge.parent, parent)} ${self})`;
    }),
    ' OR ',
  );

/** A row that would be deleted anyway is counted there. */
function survivors({ reached, doomed }: Look, child: Relation): Sql {
  const isReached =
    child.oid === reached.subject.oid ||
    reached.edges.some((edge) => edge.child.oid === child.oid && reached.deletes(edge.key));
  return isReached ? sql`AND NOT ${doomed.condition(child, CHILD)}` : sql``;
}

const rowsFrom = (child: Relation): Sql => sql`FROM ${rowsOf(child, CHILD)}`;

async function countRows({ context, doomed, result }: Look, selection: Sql): Promise<number> {
  const exact = await context.budget.count(
    context.session,
    sql`${doomed.prefix} SELECT pg_catalog.count(*)::pg_catalog.text AS count FROM (${selection}) AS counted`,
  );
  if (exact !== null) return exact;
  if (!result.warnings.some(({ code }) => code === 'EFFECTS_ESTIMATED')) {
    result.warnings.push(
      notice(
        'EFFECTS_ESTIMATED',
        'The time for counting was up: effects are partly estimates.',
        'A run stops by itself at a row that is referenced.',
      ),
    );
  }
  return estimateRows(context.session, sql`${doomed.prefix} ${selection}`);
}

function addEffect(
  { result }: Look,
  child: Relation,
  effect: EffectKind,
  rows: number,
  edges: readonly Edge[],
): void {
  if (rows === 0) return;
  const keys = edges.map(({ key }) => key.name).join(', ');
  const words: Partial<Record<EffectKind, string>> = {
    DELETE_CASCADE: 'would be deleted by ON DELETE CASCADE',
    DELETE_INCLUDED: 'would be deleted first, since they reference the chosen rows',
    SET_NULL: 'would have their reference set to NULL',
    SET_DEFAULT: 'would have their reference set to its default',
  };
  result.effects.push({
    schema: child.schema,
    table: child.name,
    effect,
    rows,
    detail: `${rows} rows of ${nameOf(child)} ${words[effect] ?? effect} (${keys}).`,
  });
}

/** Each firing counts: a row trigger fires for each row, a statement trigger for each statement. */
export function triggerEffects(
  relation: Relation,
  event: 'DELETE' | 'UPDATE' | 'INSERT',
  rows: number,
  statements: number,
): PlanEffect[] {
  return firing(relation, event).map((trigger) => ({
    schema: relation.schema,
    table: relation.name,
    effect: 'TRIGGER',
    rows: trigger.level === 'ROW' ? rows : statements,
    detail: `${trigger.timing.replace('_', ' ')} ${event} trigger ${trigger.name} (each ${trigger.level.toLowerCase()}) calls ${trigger.function}.`,
  }));
}

export const firing = ({ triggers }: Relation, event: Trigger['events'][number]): Trigger[] =>
  triggers.filter((trigger) => trigger.enabled && trigger.events.includes(event));

/** A look-up of referencing rows without an index reads the whole table, once for each deleted row. */
const SMALL_PAGES = 100;

function warnOfMissingIndexes({ reached, result }: Look): void {
  for (const { key, child } of reached.edges) {
    if (
      child.kind === 'PARTITIONED' ||
      child.pages <= SMALL_PAGES ||
      child.indexes.some((index) => serves(index, key))
    )
      continue;
    const columns = key.columns.map((column) => toText(ident(column))).join(', ');
    result.warnings.push(
      notice(
        'MISSING_FOREIGN_KEY_INDEX',
        `No index of ${nameOf(child)} serves the foreign key ${key.name}: PostgreSQL reads the whole table for each deleted row.`,
        `CREATE INDEX CONCURRENTLY ON ${toText(ident(child.schema, child.name))} (${columns});`,
      ),
    );
  }
}

function serves(index: Relation['indexes'][number], key: ForeignKey): boolean {
  const leading = index.columns.slice(0, key.columns.length);
  const whole =
    index.predicate === null ||
    key.columns.some(
      (column) => index.predicate === `(${toText(ident(column)).replaceAll('"', '')} IS NOT NULL)`,
    );
  return (
    index.isValid &&
    whole &&
    ['btree', 'hash'].includes(index.method) &&
    key.columns.every((column) => leading.includes(column))
  );
}

function byChild(edges: readonly Edge[]): Map<Relation, Edge[]> {
  const groups = new Map<number, [Relation, Edge[]]>();
  for (const edge of edges) {
    const group = groups.get(edge.child.oid);
    if (group === undefined) groups.set(edge.child.oid, [edge.child, [edge]]);
    else group[1].push(edge);
  }
  return new Map(groups.values());
}
