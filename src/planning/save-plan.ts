import { randomUUID } from 'node:crypto';
import { governedAs, needsApproval } from '../domain/limits.ts';
import { planHash } from '../domain/plan-hash.ts';
import type {
  HeldBeside,
  Limits,
  OperationSpec,
  PlanEffect,
  PlanImpact,
  PlanLock,
  PlanNotice,
  PlanSpec,
  PlanStep,
  RelationIdentity,
} from '../domain/plan.ts';
import type { Principal } from '../domain/principal.ts';
import type { Throttle } from '../domain/run.ts';
import { insertPlan, type PlanView, requirePlan, type SchemaFacts } from '../store/plans.ts';
import type { Relation } from '../target/catalog.ts';
import { describeSchema, readFingerprint } from '../target/fingerprint.ts';
import type { PlanContext } from './plan-context.ts';

/** A plan as its kind drew it up; saving adds what is the same for all kinds. */
export interface Draft {
  readonly operation: OperationSpec;
  /** Every table that the run touches; the first is the subject. */
  readonly relations: readonly Relation[];
  readonly subject: { readonly schema: string; readonly name: string };
  readonly limits: Limits;
  readonly throttle: Throttle;
  readonly holds: readonly string[];
  /** INCLUDE: rows of other tables that go along; null when they could not be counted. */
  readonly included?: number | null;
  /** INCLUDE: holds on rows of other tables that the plan does not reach. */
  readonly heldBeside?: readonly HeldBeside[];
  readonly cutoff: Date | null;
  readonly impact: PlanImpact;
  readonly effects: readonly PlanEffect[];
  readonly locks: readonly PlanLock[];
  readonly blockers: readonly PlanNotice[];
  readonly warnings: readonly PlanNotice[];
  readonly steps: readonly Omit<PlanStep, 'position'>[];
  readonly sample: readonly string[];
}

export const NO_LIMITS: Limits = { maxRows: null, maxShare: null, maxDurationMs: null };

/** What was counted is soon no longer so. */
const LIFETIME_MS = 24 * 3_600_000;

export async function savePlan(
  context: PlanContext,
  draft: Draft,
  request: { readonly reason: string | null; readonly by: Principal },
): Promise<PlanView> {
  const { deps, database, now } = context;
  const spec = await specOf(context, draft);
  const approval = needsApproval(governedAs(draft.operation), database.environment, draft.impact);
  const id = randomUUID();
  await insertPlan(deps.store, {
    id,
    state: draft.blockers.length > 0 ? 'BLOCKED' : approval ? 'NEEDS_APPROVAL' : 'READY',
    hash: planHash(spec),
    databaseId: database.id,
    schema: draft.subject.schema,
    table: draft.subject.name,
    reason: request.reason,
    requestedBy: request.by.subject,
    createdAt: now,
    expiresAt: new Date(now.getTime() + LIFETIME_MS),
    cutoff: draft.cutoff,
    needsApproval: approval,
    spec,
    forecast: {
      impact: draft.impact,
      effects: draft.effects,
      locks: draft.locks,
      blockers: draft.blockers,
      warnings: draft.warnings,
      steps: draft.steps.map((step, i) => ({ position: i + 1, ...step })),
      sample: draft.sample,
      schemaFacts: await schemaFacts(context, draft.relations),
    },
  });
  return requirePlan(deps.store, id, now);
}

async function specOf({ session, identity }: PlanContext, draft: Draft): Promise<PlanSpec> {
  const relations: RelationIdentity[] = [];
  for (const { oid, schema, name } of draft.relations) {
    relations.push({ oid, schema, name, fingerprint: await readFingerprint(session, oid) });
  }
  return {
    version: 1,
    kind: draft.operation.kind,
    identity,
    relations,
    operation: draft.operation,
    limits: draft.limits,
    throttle: draft.throttle,
    holds: draft.holds,
    rows: draft.impact.rows,
    rowsAreExact: draft.impact.rowsAreExact,
    ...(draft.included === undefined ? {} : { included: draft.included }),
    ...(draft.heldBeside === undefined || draft.heldBeside.length === 0
      ? {}
      : { heldBeside: draft.heldBeside }),
  };
}

async function schemaFacts({ session }: PlanContext, relations: readonly Relation[]): Promise<SchemaFacts> {
  const facts: Record<string, readonly string[]> = {};
  for (const { oid } of relations) facts[oid] = await describeSchema(session, oid);
  return facts;
}
