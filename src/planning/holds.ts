import { isDeepStrictEqual } from 'node:util';
import type { RowFilter } from '../domain/filter.ts';
import type { PlanNotice } from '../domain/plan.ts';
import { DeclutterError } from '../errors.ts';
import { type HoldView, holdsOn } from '../store/holds.ts';
import type { Relation } from '../target/catalog.ts';
import { checkFilterValues, compileFilter } from '../target/row-filter.ts';
import type { Session } from '../target/session.ts';
import { ownRows } from '../target/reached-tables.ts';
import { sql } from '../target/sql.ts';
import type { Budget } from './budget.ts';
import { nameOf, notice, type PlanContext } from './plan-context.ts';

export interface HeldRows {
  /** All holds in force on the table, those too that hold other rows. */
  readonly ids: readonly string[];
  readonly blockers: readonly PlanNotice[];
  readonly warnings: readonly PlanNotice[];
  /** What the holds leave of the chosen rows: a row that comes under a hold later is out of the filter then. */
  readonly filter: RowFilter;
}

interface Look {
  readonly session: Session;
  readonly budget: Budget;
}

/** Whether a hold protects any of the chosen rows. When that cannot be told, it does. */
export async function heldRows(
  context: PlanContext,
  relation: Relation,
  filter: RowFilter,
): Promise<HeldRows> {
  const holds = await holdsOn(context.deps.store, context.database.id, [relation]);
  const blockers: PlanNotice[] = [];
  const others: HoldView[] = [];
  for (const hold of holds) {
    const held = await rowsHeld(context, relation, filter, hold.where);
    if (held === null) others.push(hold);
    else blockers.push(blocked(held, relation, hold));
  }
  return {
    ids: holds.map(({ id }) => id),
    blockers,
    warnings: others.map((hold) => excluded(relation, hold)),
    filter: withoutHeld(
      filter,
      others.flatMap(({ where }) => where ?? []),
    ),
  };
}

/** For rows that are compared with each other: held rows are left out; they do not go, and no other goes for them. */
export async function heldDuplicates(
  context: PlanContext,
  relation: Relation,
  where: RowFilter | null,
): Promise<Omit<HeldRows, 'filter'> & { readonly filter: RowFilter | null }> {
  const holds = await holdsOn(context.deps.store, context.database.id, [relation]);
  const blockers: PlanNotice[] = [];
  const others: HoldView[] = [];
  for (const hold of holds) {
    if (hold.where === null) blockers.push(blocked('ALL', relation, hold));
    else if (await fits(context.session, relation, hold.where)) others.push(hold);
    else blockers.push(blocked('UNFIT', relation, hold));
  }
  const free = others.flatMap((hold) => (hold.where === null ? [] : [{ not: hold.where }]));
  const parts = where === null ? free : [where, ...free];
  return {
    ids: holds.map(({ id }) => id),
    blockers,
    warnings: others.map((hold) => excluded(relation, hold)),
    filter: parts.length === 0 ? null : { all: parts },
  };
}

export const blocked = (held: keyof typeof HELD, relation: Relation, { id, reason }: HoldView): PlanNotice =>
  notice(
    'HOLD',
    `A hold protects ${HELD[held]} of ${nameOf(relation)}: ${reason}`,
    `An administrator can release it (releaseHold ${id}).`,
  );

const excluded = (relation: Relation, { reason }: HoldView): PlanNotice =>
  notice(
    'HOLD_EXCLUDED',
    `A hold protects other rows of ${nameOf(relation)}: ${reason}. Rows that come under it later stay; so do those for which it cannot be told, since a column that it asks for is NULL.`,
    'The filter of the plan, as its steps show it, leaves them out.',
  );

/** NOT of what is unknown (NULL) is unknown too: such a row is left out, and stays. */
const withoutHeld = (filter: RowFilter, held: readonly RowFilter[]): RowFilter =>
  held.length === 0 ? filter : { all: [filter, ...held.map((where) => ({ not: where }))] };

/** The filter as it would be without this hold. */
const asIfFree = (filter: RowFilter, held: RowFilter): RowFilter =>
  'all' in filter
    ? { all: filter.all.filter((part, i) => i === 0 || !isDeepStrictEqual(part, { not: held })) }
    : filter;

/**
 * The first of the holds that protects rows which the plan would have chosen without it, or null. What cannot be told in
 * time matters only where the plan's filter does not leave the held rows out by itself.
 */
export async function holdInTheWay(
  look: Look,
  relation: Relation,
  filter: RowFilter,
  holds: readonly HoldView[],
): Promise<HoldView | null> {
  for (const hold of holds) {
    const chosen = hold.where === null ? filter : asIfFree(filter, hold.where);
    const held = await rowsHeld(look, relation, chosen, hold.where);
    const isLeftOut = held === 'UNTOLD' && !isDeepStrictEqual(chosen, filter);
    if (held !== null && !isLeftOut) return hold;
  }
  return null;
}

const HELD = {
  ALL: 'all rows',
  SOME: 'chosen rows',
  ALONG: 'rows that would go along',
  CHANGED: 'rows that may go along or change',
  UNTOLD: 'rows that could not be told apart in time',
  UNFIT: 'rows that its filter no longer tells apart',
} as const;

/** Which of the chosen rows are held; null: none. */
async function rowsHeld(
  look: Look,
  relation: Relation,
  filter: RowFilter,
  held: RowFilter | null,
): Promise<keyof typeof HELD | null> {
  if (held === null) return 'ALL';
  if (!(await fits(look.session, relation, held))) return 'UNFIT';
  const rows = await look.budget.query<{ any: boolean }>(
    look.session,
    sql`SELECT EXISTS (SELECT FROM ${ownRows(relation)} WHERE ${compileFilter(filter, relation)} AND ${compileFilter(held, relation)}) AS any`,
  );
  if (rows === null) return 'UNTOLD';
  return rows[0]?.any === true ? 'SOME' : null;
}

/** A table may have changed since the hold was placed. */
export async function fits(session: Session, relation: Relation, held: RowFilter): Promise<boolean> {
  try {
    await checkFilterValues(session, held, relation);
    return true;
  } catch (error) {
    if (error instanceof DeclutterError && error.code === 'BAD_USER_INPUT') return false;
    throw error;
  }
}
