import { randomUUID } from 'node:crypto';
import type { Tick, Timetable } from '../domain/policy.ts';
import type { MissedTicks } from '../domain/words.ts';
import type { PolicyTurn, Prisma } from './client/client.ts';
import type { Store } from './open-store.ts';
import { COLUMNS, type PolicyTurnView, TURN_MS, turnOf, until } from './policy-turns.ts';

interface DueRow extends Timetable {
  readonly name: string;
  readonly missed: MissedTicks;
  readonly savedBy: string;
  readonly nextTickAt: Date;
  readonly nextRunAt: Date;
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
  /** The tick is treated now, or written down as missed, with why; then the next one is waited for. */
  | { readonly tickAt: Date; readonly missed: string | null; readonly next: Tick | null }
  /** The tick waits, until its window opens. */
  | { readonly waitsUntil: Date };

/** As for the audit chain: a busy machine is no reason to give up. */
const PATIENCE = { maxWait: 10_000, timeout: 10_000 };

/**
 * Takes the turn of one tick that is due for this process alone; null when none is due. The policy moves to its next tick and the turn is
 * written in one transaction, and a tick has one turn by a unique key: however many look, and whatever their clocks say. WAITS: there may
 * be another.
 * @param now another time than the control store's
 */
export async function takeTick(
  { prisma }: Store,
  choose: (due: DueTick) => TickChoice,
  now: Date | null = null,
): Promise<PolicyTurnView | 'WAITS' | null> {
  const at = now?.toISOString() ?? null;
  return prisma.$transaction(async (tx) => {
    const [row] = await tx.$queryRaw<DueRow[]>`
      SELECT name, schedule, "timeZone", "window", "jitterSeconds", missed, "savedBy", "nextTickAt", "nextRunAt",
             coalesce(${at}::timestamptz, now()) AS now
        FROM policy WHERE enabled AND "nextRunAt" <= coalesce(${at}::timestamptz, now())
       ORDER BY "nextRunAt", name LIMIT 1 FOR NO KEY UPDATE SKIP LOCKED`;
    if (row === undefined) return null;
    const choice = choose(dueOf(row));
    if ('waitsUntil' in choice) {
      await tx.$executeRaw`UPDATE policy SET "nextRunAt" = ${choice.waitsUntil} WHERE name = ${row.name}`;
      return 'WAITS';
    }
    return (await writeTurn(tx, row, choice)) ?? 'WAITS';
  }, PATIENCE);
}

async function writeTurn(
  tx: Prisma.TransactionClient,
  { name, savedBy }: DueRow,
  { tickAt, missed, next }: Exclude<TickChoice, { readonly waitsUntil: Date }>,
): Promise<PolicyTurnView | null> {
  const [row] = await tx.$queryRaw<PolicyTurn[]>`
    WITH moved AS (
      UPDATE policy SET "nextTickAt" = ${next?.at ?? null}::timestamptz, "nextRunAt" = ${next?.runsAt ?? null}::timestamptz
       WHERE name = ${name})
    INSERT INTO policy_turn (id, "policyName", key, "tickAt", "requestedBy", outcome, detail, "leaseUntil")
    VALUES (${randomUUID()}::uuid, ${name}, ${tickAt.toISOString()}, ${tickAt}::timestamptz, ${savedBy},
            ${missed === null ? 'PLANNING' : 'MISSED'}, ${missed}, ${missed === null ? until(TURN_MS) : null})
    ON CONFLICT ("policyName", key) DO NOTHING
    RETURNING ${COLUMNS}`;
  return row === undefined ? null : turnOf(row);
}

function dueOf(row: DueRow): DueTick {
  const { name, missed, now, schedule, timeZone, window, jitterSeconds } = row;
  const tick = { at: row.nextTickAt, runsAt: row.nextRunAt };
  return { name, missed, now, tick, timetable: { schedule, timeZone, window, jitterSeconds } };
}
