import { randomUUID } from 'node:crypto';
import type { Tick, Timetable } from '../domain/policy.ts';
import type { MissedTicks } from '../domain/words.ts';
import type { PolicyTurn } from './client/client.ts';
import type { Store } from './open-store.ts';
import { COLUMNS, type PolicyTurnView, turnOf } from './policy-turns.ts';

interface DueRow extends Timetable {
  readonly name: string;
  readonly missed: MissedTicks;
  readonly nextTickAt: Date;
  readonly nextRunAt: Date;
  readonly version: string;
  readonly now: Date;
}

/** A policy whose tick is due, by the control store's clock. */
export interface DueTick {
  readonly name: string;
  readonly timetable: Timetable;
  readonly missed: MissedTicks;
  readonly tick: Tick;
  readonly now: Date;
}

export type TickChoice =
  /** The tick gets a turn now, or is written down as missed, with why; then the next one is waited for. */
  | { readonly tickAt: Date; readonly missed: string | null; readonly next: Tick | null }
  /** The tick waits, until its window opens. */
  | { readonly waitsUntil: Date };

/** So many policies are looked at together; the others come the next time. */
const AT_ONCE = 200;

/**
 * Gives every tick that is due its turn, for whoever takes that up; those that were missed are given back. A policy moves to its next tick
 * and the turn is written in one statement, only as long as the policy is what the choice was made for, and a tick has one turn by a
 * unique key: however many look, and whatever their clocks say.
 * @param now another time than the control store's
 */
export async function openTicks(
  store: Store,
  choose: (due: DueTick) => TickChoice,
  now: Date | null = null,
): Promise<PolicyTurnView[]> {
  const due = await dueTicks(store, now);
  if (due.length === 0) return [];
  return move(
    store,
    due.map((row) => moveOf(row, choose(dueOf(row)))),
  );
}

const dueTicks = ({ prisma }: Store, now: Date | null): Promise<DueRow[]> => {
  const at = now?.toISOString() ?? null;
  return prisma.$queryRaw<DueRow[]>`
    SELECT name, schedule, "timeZone", "window", "jitterSeconds", missed, "nextTickAt", "nextRunAt", xmin::text AS version,
           coalesce(${at}::timestamptz, now()) AS now
      FROM policy WHERE enabled AND "nextRunAt" <= coalesce(${at}::timestamptz, now())
     ORDER BY "nextRunAt", name LIMIT ${AT_ONCE}`;
};

/** What becomes of a policy; without a key there is no turn yet. */
interface Move {
  readonly name: string;
  readonly version: string;
  readonly id: string;
  readonly key: string | null;
  readonly tickAt: Date | null;
  readonly missed: string | null;
  readonly nextTickAt: Date | null;
  readonly nextRunAt: Date | null;
}

function moveOf({ name, version, nextTickAt }: DueRow, choice: TickChoice): Move {
  const policy = { name, version, id: randomUUID() };
  if ('waitsUntil' in choice)
    return { ...policy, key: null, tickAt: null, missed: null, nextTickAt, nextRunAt: choice.waitsUntil };
  const { tickAt, missed, next } = choice;
  const then = { nextTickAt: next?.at ?? null, nextRunAt: next?.runsAt ?? null };
  return { ...policy, key: tickAt.toISOString(), tickAt, missed, ...then };
}

/**
 * Rows are locked in the order of their names; one that another process moves at this moment is left to that. Turns that nobody asks for
 * any more go at the same time. @returns turns of ticks that were missed
 */
async function move({ prisma }: Store, moves: readonly Move[]): Promise<PolicyTurnView[]> {
  const rows = await prisma.$queryRaw<PolicyTurn[]>`
    WITH given AS (
      SELECT * FROM jsonb_to_recordset(${JSON.stringify(moves)}::jsonb) AS m(name text, version text, id uuid, key text, "tickAt" timestamptz,
                                                                          missed text, "nextTickAt" timestamptz, "nextRunAt" timestamptz)),
    mine AS (
      SELECT m.* FROM policy p JOIN given m ON m.name = p.name AND m.version = p.xmin::text
       ORDER BY p.name FOR NO KEY UPDATE OF p SKIP LOCKED),
    moved AS (
      UPDATE policy p SET "nextTickAt" = m."nextTickAt", "nextRunAt" = m."nextRunAt" FROM mine m WHERE p.name = m.name
      RETURNING m.*, p."savedBy"),
    thinned AS (
      DELETE FROM policy_turn t USING mine m WHERE t."policyName" = m.name AND t."createdAt" < now() - interval '90 days')
    INSERT INTO policy_turn (id, "policyName", key, "tickAt", "requestedBy", outcome, detail, attempt)
    SELECT id, name, key, "tickAt", "savedBy", CASE WHEN missed IS NULL THEN 'PLANNING' ELSE 'MISSED' END, missed, 0
      FROM moved WHERE key IS NOT NULL
    ON CONFLICT ("policyName", key) DO NOTHING
    RETURNING ${COLUMNS}`;
  return rows.map(turnOf).filter(({ outcome }) => outcome === 'MISSED');
}

function dueOf(row: DueRow): DueTick {
  const { name, missed, now, schedule, timeZone, window, jitterSeconds } = row;
  const tick = { at: row.nextTickAt, runsAt: row.nextRunAt };
  return { name, missed, now, tick, timetable: { schedule, timeZone, window, jitterSeconds } };
}
