import { randomUUID } from 'node:crypto';
import type { PolicyDraft } from '../domain/policy.ts';
import type { PolicyOutcome } from '../domain/words.ts';
import { type PolicyTurn, Prisma } from './client/client.ts';
import type { Store } from './open-store.ts';

/** One time that a policy is carried out. Whoever holds it may plan and write down what came of it, until somebody takes it over. */
export interface PolicyTurnView {
  readonly id: string;
  readonly policyName: string;
  /** null: somebody asked for it */
  readonly tickAt: Date | null;
  readonly requestedBy: string;
  readonly createdAt: Date;
  readonly outcome: PolicyOutcome;
  readonly detail: string | null;
  readonly attempt: number;
  readonly planId: string | null;
  readonly runId: string | null;
}

/** A turn that the caller holds, and the policy as it was then. */
export interface TakenTurn {
  readonly turn: PolicyTurnView;
  readonly policy: PolicyDraft;
}

/** Whoever does not renew a turn within this has lost it. */
export const TURN_MS = 60_000;

/** Who asked, and with which key: the same gives the same turn. */
export interface TurnRequest {
  readonly policyName: string;
  readonly key: string;
  readonly requestedBy: string;
}

/** null: somebody else holds it, or it has been settled. */
export async function openTurn({ prisma }: Store, request: TurnRequest): Promise<PolicyTurnView | null> {
  const { policyName, key, requestedBy } = request;
  const rows = await prisma.$queryRaw<PolicyTurn[]>`
    INSERT INTO policy_turn AS t (id, "policyName", key, "requestedBy", outcome, "leaseUntil")
    VALUES (${randomUUID()}::uuid, ${policyName}, ${key}, ${requestedBy}, 'PLANNING', ${until(TURN_MS)})
    ON CONFLICT ("policyName", key) DO UPDATE SET attempt = t.attempt + 1, "leaseUntil" = excluded."leaseUntil"
     WHERE t.outcome = 'PLANNING' AND t."leaseUntil" <= now()
    RETURNING ${COLUMNS}`;
  return first(rows);
}

export async function findTurn(
  { prisma }: Store,
  policyName: string,
  key: string,
): Promise<PolicyTurnView | null> {
  const row = await prisma.policyTurn.findUnique({ where: { policyName_key: { policyName, key } } });
  return row && turnOf(row);
}

/** What last came of each policy, in the order of the names; null: nothing yet. */
export async function lastTurns(
  { prisma }: Store,
  names: readonly string[],
): Promise<(PolicyTurnView | null)[]> {
  const rows = await prisma.$queryRaw<PolicyTurn[]>`
    SELECT t.* FROM unnest(${[...names]}::text[]) n(name), LATERAL (
      SELECT ${COLUMNS} FROM policy_turn WHERE "policyName" = n.name AND outcome <> 'PLANNING'
       ORDER BY "createdAt" DESC, policy_turn.id DESC LIMIT 1) t`;
  const turns = new Map(rows.map((row) => [row.policyName, turnOf(row)]));
  return names.map((name) => turns.get(name) ?? null);
}

/** Takes up a turn that nobody holds: one that is new, whose process was lost, or whose plan somebody has decided on meanwhile; null when there is none. */
export async function takeTurn({ prisma }: Store): Promise<TakenTurn | null> {
  const [row] = await prisma.$queryRaw<(PolicyTurn & { readonly policy: PolicyDraft })[]>`
    UPDATE policy_turn SET outcome = 'PLANNING', attempt = attempt + 1, "leaseUntil" = ${until(TURN_MS)}
      FROM policy y
     WHERE y.name = "policyName" AND policy_turn.id = (
      SELECT t.id FROM policy_turn t JOIN policy y ON y.name = t."policyName" LEFT JOIN plan p ON p.id = t."planId"
       WHERE t.outcome IN ('PLANNING', 'WAITING') AND (t."leaseUntil" IS NULL OR t."leaseUntil" <= now())
         AND CASE t.outcome WHEN 'PLANNING' THEN t."tickAt" IS NOT NULL
                            ELSE (y.enabled OR p.state <> 'APPROVED') AND p.state <> 'NEEDS_APPROVAL' OR p."expiresAt" <= now() END
       ORDER BY t."createdAt", t.id LIMIT 1 FOR NO KEY UPDATE OF t SKIP LOCKED)
    RETURNING ${COLUMNS}, to_jsonb(y) AS policy`;
  if (row === undefined) return null;
  const { policy, ...turn } = row;
  return { turn: turnOf(turn), policy };
}

/** @returns false when somebody else has taken it over */
export async function renewTurn({ prisma }: Store, turn: PolicyTurnView): Promise<boolean> {
  const renewed = await prisma.$executeRaw`
    UPDATE policy_turn SET "leaseUntil" = ${until(TURN_MS)} WHERE ${held(turn)}`;
  return renewed === 1;
}

/** Nobody looks at it before that time; the same outcome as it has, or WAITING for an approval. */
export async function postponeTurn(
  { prisma }: Store,
  turn: PolicyTurnView,
  outcome: 'PLANNING' | 'WAITING',
  detail: string,
  afterMs: number,
): Promise<void> {
  await prisma.$executeRaw`
    UPDATE policy_turn SET outcome = ${outcome}, detail = ${detail}, "leaseUntil" = ${until(afterMs)} WHERE ${held(turn)}`;
}

/** The plan of the turn, once and for all. @returns false when somebody else has taken the turn over: that plan is never started */
export async function recordPlan({ prisma }: Store, turn: PolicyTurnView, planId: string): Promise<boolean> {
  const recorded = await prisma.$executeRaw`
    UPDATE policy_turn SET "planId" = ${planId}::uuid WHERE ${held(turn)} AND "planId" IS NULL`;
  return recorded === 1;
}

/** What came of it. @returns false when somebody else has taken it over */
export async function settleTurn(
  { prisma }: Store,
  turn: PolicyTurnView,
  result: { readonly outcome: PolicyOutcome; readonly detail: string | null; readonly runId: string | null },
): Promise<boolean> {
  const rows = await prisma.$queryRaw<unknown[]>`
    WITH settled AS (
      UPDATE policy_turn SET outcome = ${result.outcome}, detail = ${result.detail}, "leaseUntil" = NULL,
             "runId" = ${result.runId}::uuid
       WHERE ${held(turn)} RETURNING "policyName", "runId"),
    last AS (UPDATE policy SET "lastRunId" = s."runId" FROM settled s WHERE name = s."policyName" AND s."runId" IS NOT NULL)
    SELECT 1 FROM settled`;
  return rows.length === 1;
}

/** As if it had not been asked for: the key can be used again. */
export async function dropTurn({ prisma }: Store, turn: PolicyTurnView): Promise<void> {
  await prisma.$executeRaw`
    DELETE FROM policy_turn WHERE id = ${turn.id}::uuid AND attempt = ${turn.attempt} AND outcome IN ('PLANNING', 'OVERLAPPED')`;
}

/** What an earlier turn of the policy has begun and not ended, in words; null: nothing. */
export async function unfinishedTurn({ prisma }: Store, turn: PolicyTurnView): Promise<string | null> {
  const rows = await prisma.$queryRaw<{ detail: string }[]>`
    SELECT 'The run ' || r.id || ' of this policy is ' || r.state || '.' AS detail
      FROM policy y JOIN run r ON r.id = y."lastRunId"
     WHERE y.name = ${turn.policyName} AND r.state NOT IN ('SUCCEEDED', 'FAILED', 'CANCELLED')
     UNION ALL
    SELECT CASE t.outcome WHEN 'PLANNING' THEN 'An earlier turn of this policy is being planned.'
                          ELSE 'The plan ' || p.id || ' of this policy waits for approval.' END
      FROM policy_turn t LEFT JOIN plan p ON p.id = t."planId"
     WHERE t."policyName" = ${turn.policyName} AND t.outcome IN ('PLANNING', 'WAITING')
       AND (t."createdAt", t.id) < (SELECT m."createdAt", m.id FROM policy_turn m WHERE m.id = ${turn.id}::uuid)
       AND CASE t.outcome WHEN 'PLANNING' THEN t."leaseUntil" > now()
                          ELSE p.state IN ('NEEDS_APPROVAL', 'APPROVED') AND p."expiresAt" > now() END
     LIMIT 1`;
  return rows[0]?.detail ?? null;
}

/** Turns of this policy that are so old that nobody asks for them; those of its ticks go by themselves. */
export async function thinTurns({ prisma }: Store, policyName: string): Promise<void> {
  await prisma.$executeRaw`
    DELETE FROM policy_turn WHERE "policyName" = ${policyName} AND "createdAt" < now() - interval '90 days'`;
}

export const COLUMNS = Prisma.sql`id::text AS id, "policyName", "tickAt", "requestedBy", "createdAt", outcome, detail, attempt,
  "planId"::text AS "planId", "runId"::text AS "runId"`;

export const until = (ms: number) => Prisma.sql`now() + ${ms}::float8 * interval '1 millisecond'`;

const held = ({ id, attempt }: PolicyTurnView) =>
  Prisma.sql`id = ${id}::uuid AND attempt = ${attempt} AND outcome = 'PLANNING'`;

const first = ([row]: readonly PolicyTurn[]) => (row === undefined ? null : turnOf(row));

export const turnOf = (row: PolicyTurn): PolicyTurnView => ({
  ...row,
  outcome: row.outcome as PolicyOutcome,
});
