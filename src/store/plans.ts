import type { PlanForecast, PlanSpec } from '../domain/plan.ts';
import type { ApprovalDecision, PlanKind, PlanState } from '../domain/words.ts';
import { DeclutterError, notFound } from '../errors.ts';
import type { Prisma } from './client/client.ts';
import type { Store } from './open-store.ts';
import { type Page, pageOf, type PageRequest, pageSize, pageStart } from './page.ts';

export interface ApprovalView {
  readonly by: string;
  readonly at: Date;
  readonly decision: ApprovalDecision;
  readonly comment: string | null;
}

/** What schemas looked like when the plan was made, so that a refused start can name the change; by table OID. */
export type SchemaFacts = Readonly<Record<string, readonly string[]>>;

export interface StoredForecast extends PlanForecast {
  readonly schemaFacts: SchemaFacts;
}

export interface NewPlan {
  readonly id: string;
  readonly state: PlanState;
  readonly hash: string;
  readonly databaseId: string;
  readonly schema: string | null;
  readonly table: string | null;
  readonly reason: string | null;
  readonly requestedBy: string;
  readonly createdAt: Date;
  readonly expiresAt: Date;
  readonly cutoff: Date | null;
  readonly needsApproval: boolean;
  readonly spec: PlanSpec;
  readonly forecast: StoredForecast;
}

export interface PlanView extends NewPlan {
  readonly kind: PlanKind;
  readonly approvals: readonly ApprovalView[];
}

const APPROVALS = { approvals: { orderBy: { at: 'asc' } } } as const satisfies Prisma.PlanInclude;
type Row = Prisma.PlanGetPayload<{ include: typeof APPROVALS }>;

export async function insertPlan({ prisma }: Store, plan: NewPlan): Promise<void> {
  await prisma.plan.create({
    data: { ...plan, kind: plan.spec.kind, spec: jsonOf(plan.spec), forecast: jsonOf(plan.forecast) },
  });
}

/** A plan that nobody started in time is EXPIRED, whether or not somebody has written that down. */
export async function findPlan(store: Store, id: string, now = new Date()): Promise<PlanView | null> {
  const [plan] = await findPlans(store, [id], now);
  return plan ?? null;
}

/** In the order of the ids; null for one that does not exist. */
export async function findPlans(
  { prisma }: Store,
  ids: readonly string[],
  now: Date,
): Promise<(PlanView | null)[]> {
  const rows = await prisma.plan.findMany({
    where: { id: { in: ids.filter((id) => UUID.test(id)) } },
    include: APPROVALS,
  });
  const plans = new Map(rows.map((row) => [row.id, viewOf(row, now)]));
  return ids.map((id) => plans.get(id.toLowerCase()) ?? null);
}

/** @throws NOT_FOUND */
export async function requirePlan(store: Store, id: string, now: Date): Promise<PlanView> {
  const plan = await findPlan(store, id, now);
  if (plan === null) throw notFound('The plan');
  return plan;
}

/** Newest first. */
export async function listPlans(
  { prisma }: Store,
  query: PageRequest & { readonly database?: string | null; readonly states?: readonly PlanState[] | null },
  now: Date,
): Promise<Page<PlanView>> {
  const start = pageStart(query, ['moment', 'id']);
  const at = start === null ? null : new Date(start[0] ?? '');
  const rows = await prisma.plan.findMany({
    where: {
      AND: [
        query.database == null ? {} : { database: { name: query.database } },
        query.states == null ? {} : { OR: query.states.map((state) => inState(state, now)) },
        start === null || at === null
          ? {}
          : { OR: [{ createdAt: { lt: at } }, { createdAt: at, id: { lt: start[1] ?? '' } }] },
      ],
    },
    include: APPROVALS,
    orderBy: [{ createdAt: 'desc' }, { id: 'desc' }],
    take: pageSize(query) + 1,
  });
  return pageOf(
    rows.map((row) => viewOf(row, now)),
    query,
    (plan) => [plan.createdAt.toISOString(), plan.id],
  );
}

/** Compare-and-set. @returns false when the plan is in none of the states any more */
export async function markPlan(
  { prisma }: Store,
  id: string,
  from: readonly PlanState[],
  to: PlanState,
): Promise<boolean> {
  const { count } = await prisma.plan.updateMany({
    where: { id, state: { in: [...from] } },
    data: { state: to },
  });
  return count === 1;
}

/** A plan that was ready needs somebody's yes after all. */
export async function askForApproval({ prisma }: Store, id: string): Promise<void> {
  await prisma.plan.updateMany({
    where: { id, state: 'READY' },
    data: { state: 'NEEDS_APPROVAL', needsApproval: true },
  });
}

/** Writes down somebody's decision, if the plan still waits for one. @throws CONFLICT */
export async function decidePlan(
  { prisma }: Store,
  plan: Pick<PlanView, 'id' | 'hash'>,
  decision: {
    readonly by: string;
    readonly at: Date;
    readonly decision: ApprovalDecision;
    readonly comment: string | null;
  },
  from: readonly PlanState[],
): Promise<void> {
  await prisma.$transaction(async (tx) => {
    const where = { id: plan.id, hash: plan.hash, state: { in: [...from] } };
    const { count } = await tx.plan.updateMany({ where, data: { state: decision.decision } });
    if (count !== 1)
      throw new DeclutterError(
        'CONFLICT',
        'Somebody else has decided on the plan meanwhile. Look at it again.',
      );
    await tx.approval.create({ data: { planId: plan.id, hash: plan.hash, ...decision } });
  });
}

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

const EXPIRING: readonly PlanState[] = ['READY', 'NEEDS_APPROVAL', 'APPROVED'];

function inState(state: PlanState, now: Date): Prisma.PlanWhereInput {
  if (state === 'EXPIRED')
    return { OR: [{ state }, { state: { in: [...EXPIRING] }, expiresAt: { lte: now } }] };
  return EXPIRING.includes(state) ? { state, expiresAt: { gt: now } } : { state };
}

function viewOf(row: Row, now: Date): PlanView {
  return {
    ...row,
    kind: row.kind as PlanKind,
    state: EXPIRING.includes(row.state) && row.expiresAt <= now ? 'EXPIRED' : row.state,
    spec: row.spec as unknown as PlanSpec,
    forecast: row.forecast as unknown as StoredForecast,
  };
}

const jsonOf = (value: object) => JSON.parse(JSON.stringify(value)) as Prisma.InputJsonObject;
