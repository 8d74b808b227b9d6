import type { PlanEffect, PlanNotice } from '../domain/plan.ts';
import type { DependentRows, EffectKind } from '../domain/words.ts';
import type { Relation } from '../target/catalog.ts';
import { ident, join, type Sql, sql } from '../target/sql.ts';
import { estimateRows } from './budget.ts';
import { type Need, tableNeeds } from './check-rights.ts';
import { keyChanges, missingDefault } from './key-changes.ts';
import { unindexedKeys } from './missing-indexes.ts';
import { nameOf, notice, type PlanContext } from './plan-context.ts';
import {
  type Edge,
  followedBy,
  type Reached,
  readReached,
  references,
  rowsOf,
} from '../target/reached-tables.ts';
import { type Doomed, doomedRows, PLACE } from './doomed-rows.ts';
import { firing, triggerEffects } from './trigger-effects.ts';
import { undeclaredReferences } from './undeclared-references.ts';

export interface Effects {
  readonly effects: PlanEffect[];
  readonly blockers: PlanNotice[];
  readonly warnings: PlanNotice[];
  /** Rows of each table that go, by OID; those of the subject with what references it from within. */
  readonly deleted: ReadonlyMap<number, number>;
  /** Seconds that PostgreSQL's own look-ups take where no index serves them. */
  readonly lookUpSeconds: number;
}

export interface EffectOptions {
  readonly filter: (alias: Sql) => Sql;
  readonly dependents: DependentRows;
  readonly mayRead: boolean;
  readonly rows: number;
  readonly batches: number;
}

export interface Look {
  readonly context: PlanContext;
  readonly reached: Reached;
  readonly doomed: Doomed;
  readonly options: EffectOptions;
  readonly result: { effects: PlanEffect[]; blockers: PlanNotice[]; warnings: PlanNotice[] };
  /** Rows that go, by the OID of their table. */
  readonly deleted: Map<number, number>;
}

/** Every table that foreign keys lead to from the chosen rows. */
export function reachDependents(
  { session }: PlanContext,
  subject: Relation,
  dependents: DependentRows,
): Promise<Reached> {
  return session.transaction(() => readReached(session, subject, followedBy(dependents)));
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
  options: EffectOptions,
): Promise<Effects> {
  const result = { effects: [], blockers: [], warnings: [] };
  const deleted = new Map([[reached.subject.oid, options.rows]]);
  const look: Look = {
    context,
    reached,
    doomed: doomedRows(reached, options.filter),
    options,
    result,
    deleted,
  };
  if (options.rows === 0 || !options.mayRead) {
    addTriggers(look, triggerEffects(reached.subject, 'DELETE', options.rows, options.batches));
    return { ...result, deleted, lookUpSeconds: 0 };
  }
  if (reached.isCut) look.result.blockers.push(TOO_MANY_TABLES);
  await readDeletions(look);
  await readColumnChanges(look, 'SET_NULL');
  await readColumnChanges(look, 'SET_DEFAULT');
  await refuseDependents(look);
  await readUndeclared(look);
  const unindexed = await unindexedKeys(
    context.session,
    reached.edges,
    ({ parent }) => deleted.get(parent.oid) ?? 0,
  );
  look.result.warnings.push(...unindexed.warnings);
  return { ...result, deleted, lookUpSeconds: unindexed.seconds };
}

const TOO_MANY_TABLES = notice(
  'TOO_MANY_TABLES',
  'Foreign keys lead from the chosen rows to more tables than a plan follows: what would happen there is not known.',
);

const CHILD = ident('child');
const PARENT = ident('parent');

const addTriggers = ({ result }: Look, effects: readonly PlanEffect[]) => result.effects.push(...effects);

/** Rows of other tables that would be deleted; each is counted once, however many keys lead to it. */
async function readDeletions(look: Look): Promise<void> {
  const { reached, doomed, deleted, options } = look;
  const { subject } = reached;
  const ways = byChild(reached.edges.filter(({ key }) => reached.deletes(key)));
  const own = ways.get(subject);
  if (own !== undefined) {
    const all = await countRows(look, sql`SELECT FROM ${doomed.rows(subject, CHILD)}`);
    deleted.set(subject.oid, Math.max(all, options.rows));
    addEffect(look, subject, deletionBy(own), Math.max(0, all - (await chosenRows(look))), own);
  }
  addTriggers(look, triggerEffects(subject, 'DELETE', deleted.get(subject.oid) ?? 0, options.batches));
  for (const [child, edges] of ways) {
    if (child.oid === subject.oid) continue;
    const rows = await countRows(look, sql`SELECT FROM ${doomed.rows(child, CHILD)}`);
    deleted.set(child.oid, rows);
    addEffect(look, child, deletionBy(edges), rows, edges);
    if (rows > 0) addTriggers(look, triggerEffects(child, 'DELETE', rows, options.batches));
  }
}

const deletionBy = (edges: readonly Edge[]): EffectKind =>
  edges.every(({ key }) => key.onDelete === 'CASCADE') ? 'DELETE_CASCADE' : 'DELETE_INCLUDED';

const chosenRows = ({ context, reached, doomed, options }: Look): Promise<number> =>
  context.budget
    .count(
      context.session,
      sql`SELECT pg_catalog.count(*)::pg_catalog.text AS count FROM ${rowsOf(reached.subject, CHILD)} WHERE ${doomed.chosen(CHILD)}`,
    )
    .then((count) => count ?? options.rows);

/** Rows that would stay, but lose their reference. */
async function readColumnChanges(look: Look, onDelete: 'SET_NULL' | 'SET_DEFAULT'): Promise<void> {
  const edges = look.reached.edges.filter(({ key }) => key.onDelete === onDelete);
  for (const [child, keys] of byChild(edges)) {
    const rows = await countRows(look, changedRows(look, child, keys));
    addEffect(look, child, onDelete, rows, keys);
    if (rows === 0) continue;
    for (const edge of keys) {
      const changed = edge.key.setColumns;
      if (firing(child, 'UPDATE', changed).length === 0) continue;
      // Each key changes the row by an UPDATE of its own.
      const firings = keys.length === 1 ? rows : await countRows(look, changedRows(look, child, [edge]));
      addTriggers(look, triggerEffects(child, 'UPDATE', firings, look.options.batches, changed));
    }
    const problems = await keyChanges(look.context, child, keys, (selection) => countRows(look, selection), {
      changed: (edge) => changedRows(look, child, [edge]),
    });
    look.result.blockers.push(...problems);
    if (onDelete === 'SET_NULL') continue;
    for (const edge of keys)
      look.result.blockers.push(...(await missingDefault(look.context, edge, look.doomed)));
  }
}

const changedRows = (look: Look, child: Relation, keys: readonly Edge[]): Sql =>
  sql`SELECT ${CHILD}.* FROM ${rowsOf(child, CHILD)} WHERE (${referencing(look, keys)}) ${survivors(look, child)}`;

/** Under REFUSE a plan is for rows that nothing references. */
async function refuseDependents(look: Look): Promise<void> {
  const { reached, result } = look;
  if (look.options.dependents === 'INCLUDE') return;
  for (const [child, edges] of byChild(
    reached.edges.filter(({ parent }) => parent.oid === reached.subject.oid),
  )) {
    const rows = await countRows(
      look,
      sql`SELECT FROM ${rowsOf(child, CHILD)} WHERE ${referencing(look, edges)}`,
    );
    if (rows === 0) continue;
    const keys = edges
      .map(
        ({ key }) => `${key.name} (${key.onDelete.replace('_', ' ')}${key.deferrable ? ', deferrable' : ''})`,
      )
      .join(', ');
    result.blockers.push(
      notice(
        'DEPENDENTS',
        `${rows} rows of ${nameOf(child)} reference the chosen rows, by ${keys}.`,
        `Plan those rows of ${nameOf(child)} first, or leave out the rows that they reference.`,
      ),
    );
  }
}

/** Rows that point at deleted ones by name and type alone: nothing stops the delete, and they would point at nothing. */
async function readUndeclared(look: Look): Promise<void> {
  const { references: found, warnings } = await undeclaredReferences(look.context, look.reached);
  look.result.warnings.push(...warnings);
  for (const reference of found) {
    const { parent, child, column, key, condition } = reference;
    const rows = await countRows(
      look,
      sql`SELECT FROM ${rowsOf(child, CHILD)} WHERE EXISTS (
            SELECT FROM ${look.doomed.rows(parent, PARENT)} WHERE ${condition(PARENT, CHILD)}) ${survivors(look, child)}`,
    );
    if (rows === 0) continue;
    look.result.effects.push({
      schema: child.schema,
      table: child.name,
      effect: 'UNDECLARED_REFERENCE',
      rows,
      detail: `${rows} rows of ${nameOf(child)} seem to reference the rows of ${nameOf(parent)} that go, by ${column} = ${key}; no foreign key says so, and they would be left pointing at nothing.`,
    });
  }
}

/** Rows of the child that reference rows which would be deleted, by any of the keys. A row that references itself does not count. */
const referencing = ({ doomed }: Look, edges: readonly Edge[]): Sql =>
  join(
    edges.map((edge) => {
      const self = edge.child.oid === edge.parent.oid ? sql`AND ${PARENT}.${PLACE} <> ${CHILD}.ctid` : sql``;
      return sql`EXISTS (SELECT FROM ${doomed.rows(edge.parent, PARENT)} WHERE ${references(edge, PARENT, CHILD)} ${self})`;
    }),
    ' OR ',
  );

/** A row that would be deleted anyway is counted there. */
function survivors({ reached, doomed }: Look, child: Relation): Sql {
  const isReached = reached.tables.some(({ oid }) => oid === child.oid);
  return isReached ? sql`AND ${doomed.condition(child, CHILD)} IS NOT TRUE` : sql``;
}

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

function byChild(edges: readonly Edge[]): Map<Relation, Edge[]> {
  const groups = new Map<number, [Relation, Edge[]]>();
  for (const edge of edges) {
    const group = groups.get(edge.child.oid);
    if (group === undefined) groups.set(edge.child.oid, [edge.child, [edge]]);
    else group[1].push(edge);
  }
  return new Map(groups.values());
}
