import { filterColumns, type RowFilter } from '../domain/filter.ts';
import type { Pick } from '../domain/plan.ts';
import { readRelationByOid, type Relation } from '../target/catalog.ts';
import { lastRangesFirst, type Partition, readPartitions } from '../target/partitions.ts';
import { compileFilter } from '../target/row-filter.ts';
import { ident, join, type Sql, sql } from '../target/sql.ts';
import { estimateRows, isRuledOut } from './budget.ts';
import { choosePick } from './choose-pick.ts';
import type { PlanContext } from './plan-context.ts';
import { firing } from './trigger-effects.ts';

/** A partition with rows that go, and what is to become of it. */
export interface ChosenPartition {
  readonly partition: Partition;
  readonly relation: Relation;
  readonly rows: number;
  readonly way: 'WHOLE' | 'ROWS';
  readonly implied: boolean;
  readonly pick: Pick;
  /** ROWS: why not as a whole, where all of its rows match */
  readonly obstacle: string | null;
  /** WHOLE: how that is known. ROWS: how they are found */
  readonly why: string;
}

interface Matching {
  readonly partition: Partition;
  readonly rows: number;
}

interface Look {
  readonly context: PlanContext;
  readonly root: Relation;
  readonly filter: RowFilter;
  readonly condition: Sql;
}

/** The leaves with rows that go, and those on another server that may have some, by name. */
export async function choosePartitions(
  look: Look,
): Promise<{ chosen: ChosenPartition[]; foreign: Partition[] }> {
  const { session } = look.context;
  const all = await session.transaction(() => readPartitions(session, look.root.oid));
  const matching = await matchingRows(look, all);
  const chosen: ChosenPartition[] = [];
  const frontiers = new Map<number, number>();
  for (const found of matching) {
    const { partition } = found;
    if (partition.kind === 'FOREIGN') continue;
    const relation = await session.transaction(() => readRelationByOid(session, partition.oid));
    if (relation !== null) chosen.push(await decide(look, { all, frontiers }, { ...found, relation }));
  }
  const foreign = matching.flatMap(({ partition }) => (partition.kind === 'FOREIGN' ? [partition] : []));
  return { chosen, foreign };
}

/** Counted within the budget; past it, those whose bounds do not keep the filter out. */
async function matchingRows(look: Look, all: readonly Partition[]): Promise<Matching[]> {
  const { context, root, condition } = look;
  const counted = all.some(({ kind }) => kind === 'FOREIGN')
    ? null // to ask another server may take any time
    : await context.budget.query<{ oid: number; rows: string }>(
        context.session,
        sql`SELECT tableoid::pg_catalog.int8::pg_catalog.float8 AS oid, pg_catalog.count(*)::pg_catalog.text AS rows
              FROM ${ident(root.schema, root.name)} WHERE ${condition} GROUP BY tableoid`,
      );
  if (counted !== null) {
    const rows = new Map(counted.map((one) => [one.oid, Number(one.rows)]));
    return all.flatMap((partition) => {
      const found = rows.get(partition.oid) ?? 0;
      return found === 0 ? [] : [{ partition, rows: found }];
    });
  }
  const found: Matching[] = [];
  for (const partition of all) {
    const statement = sql`SELECT FROM ONLY ${tableOf(partition)} WHERE ${condition}`;
    if (await isRuledOut(context.session, statement)) continue;
    const rows = partition.kind === 'FOREIGN' ? 0 : await estimateRows(context.session, statement);
    found.push({ partition, rows });
  }
  return found;
}

const tableOf = ({ schema, name }: Partition): Sql => ident(schema, name);

interface Siblings {
  readonly all: readonly Partition[];
  /** By parent: where among its ranges, the last one first, the first one stands that keeps rows. */
  readonly frontiers: Map<number, number>;
}

async function decide(
  look: Look,
  siblings: Siblings,
  found: Matching & { readonly relation: Relation },
): Promise<ChosenPartition> {
  const { partition, relation, rows } = found;
  const implied = await isImplied(look, found);
  const wholly = implied || (await hasNoOther(look, partition));
  const obstacle = wholly ? await whyNotWhole(look, siblings, found, implied) : null;
  if (wholly && obstacle === null) {
    const why = implied ? 'by its bounds all rows match' : 'all rows match, as counted';
    return { partition, relation, rows, way: 'WHOLE', implied, pick: 'HEAP_RANGES', obstacle, why };
  }
  const share = rows / Math.max(rows, relation.estimatedRows, 1);
  const condition = compileFilter(look.filter, relation);
  const picked = await choosePick(look.context, relation, condition, { rows, share });
  return { partition, relation, rows, way: 'ROWS', implied: false, obstacle, ...picked };
}

/** By its bounds and columns that are never NULL no row can be in it that the filter does not choose: PostgreSQL itself is asked. */
function isImplied(look: Look, { partition, relation }: { partition: Partition; relation: Relation }) {
  const unknown = filterColumns(look.filter)
    .filter((name) => relation.columns.some((column) => column.name === name))
    .map((name) => sql`${ident(name)} IS NULL`);
  const others = join([sql`NOT (${compileFilter(look.filter, relation)})`, ...unknown], ' OR ');
  return isRuledOut(look.context.session, sql`SELECT FROM ONLY ${tableOf(partition)} WHERE ${others}`);
}

/** Stops at the first that stays; when the time is up there may be one. */
async function hasNoOther({ context, condition }: Look, partition: Partition): Promise<boolean> {
  const rows = await context.budget.query<{ found: boolean }>(
    context.session,
    sql`SELECT EXISTS (SELECT FROM ONLY ${tableOf(partition)} WHERE (${condition}) IS NOT TRUE) AS found`,
  );
  return rows?.[0]?.found === false;
}

/** What keeps a partition of which all rows match from being taken away as a whole; null: nothing. */
async function whyNotWhole(
  look: Look,
  siblings: Siblings,
  { partition, relation }: Matching & { readonly relation: Relation },
  implied: boolean,
): Promise<string | null> {
  const { strategy, isDefault, isOwned, publications, dependents } = partition;
  if (isDefault) return 'it is the default partition: without it rows that fit nowhere else would be refused';
  if (strategy === 'HASH') return 'it is a partition by hash: without it new rows would be refused';
  if (!isOwned) return 'our role does not own it and the table above it, and cannot detach it';
  if (relation.inbound.some(({ enforced }) => enforced))
    return 'rows of other tables may reference it, which PostgreSQL would have to look for under a lock';
  if (firing(relation, 'DELETE').length > 0) return 'a trigger wants to see every row that is deleted';
  if (publications.length > 0)
    return `its deletes are replicated (${publications.join(', ')}), and a DROP would not be`;
  if (dependents.length > 0) return `other objects depend on it: ${dependents.slice(0, 3).join(', ')}`;
  if (implied || (await isLeftBehind(look, siblings, partition))) return null;
  return 'rows that do not match may come to it later, and would be refused';
}

/** New rows have moved on to a later range: one behind it holds rows that stay. */
async function isLeftBehind(
  look: Look,
  { all, frontiers }: Siblings,
  partition: Partition,
): Promise<boolean> {
  const { session } = look.context;
  const ranges = await session.transaction(() =>
    lastRangesFirst(
      session,
      all.filter(({ parent, kind }) => parent.oid === partition.parent.oid && kind === 'TABLE'),
    ),
  );
  const at = ranges.findIndex(({ oid }) => oid === partition.oid);
  let frontier = frontiers.get(partition.parent.oid);
  if (frontier === undefined) {
    frontier = await firstThatKeeps(look, ranges);
    frontiers.set(partition.parent.oid, frontier);
  }
  return at > frontier;
}

async function firstThatKeeps(look: Look, ranges: readonly Partition[]): Promise<number> {
  for (const [i, range] of ranges.entries()) if (!(await hasNoOther(look, range))) return i;
  return ranges.length;
}

/** For a few names in a sentence. */
export const inWords = (chosen: readonly ChosenPartition[], most = 10): string => {
  const names = chosen.slice(0, most).map(({ partition }) => `${partition.schema}.${partition.name}`);
  const more = chosen.length - names.length;
  return more > 0 ? `${names.join(', ')} and ${more} more` : names.join(', ');
};
