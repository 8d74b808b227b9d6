import type { PolicyDraft, PolicySubject, PolicyWindow, Tick } from '../domain/policy.ts';
import type { MissedTicks, PlanKind } from '../domain/words.ts';
import { notFound } from '../errors.ts';
import { type Policy, Prisma } from './client/client.ts';
import type { Store } from './open-store.ts';

export interface PolicyView extends PolicyDraft {
  readonly nextTickAt: Date | null;
  /** null: not on a schedule, or not enabled */
  readonly nextRunAt: Date | null;
  readonly lastRunId: string | null;
  readonly savedBy: string;
  readonly savedAt: Date;
}

/** Makes it, or puts it in the place of the one with that name. */
export async function writePolicy(
  { prisma }: Store,
  draft: PolicyDraft,
  next: Tick | null,
  saved: { readonly by: string; readonly at: Date },
): Promise<PolicyView> {
  const { name, ...rest } = draft;
  const data = {
    ...rest,
    input: draft.input as Prisma.InputJsonObject,
    window: draft.window === null ? Prisma.DbNull : { ...draft.window },
    autoStartMaxRows: draft.autoStartMaxRows === null ? null : BigInt(draft.autoStartMaxRows),
    nextTickAt: next?.at ?? null,
    nextRunAt: next?.runsAt ?? null,
    savedBy: saved.by,
    savedAt: saved.at,
  };
  return policyOf(await prisma.policy.upsert({ where: { name }, create: { name, ...data }, update: data }));
}

/** @returns false when there is none of that name */
export async function erasePolicy({ prisma }: Store, name: string): Promise<boolean> {
  const { count } = await prisma.policy.deleteMany({ where: { name } });
  return count === 1;
}

export async function findPolicy({ prisma }: Store, name: string): Promise<PolicyView | null> {
  const row = await prisma.policy.findUnique({ where: { name } });
  return row && policyOf(row);
}

/** @throws NOT_FOUND */
export async function requirePolicy(store: Store, name: string): Promise<PolicyView> {
  const policy = await findPolicy(store, name);
  if (policy === null) throw notFound(`The policy "${name}"`);
  return policy;
}

/** By name. */
export async function listPolicies({ prisma }: Store): Promise<PolicyView[]> {
  const rows = await prisma.policy.findMany({ orderBy: { name: 'asc' } });
  return rows.map(policyOf);
}

export const countPolicies = ({ prisma }: Store): Promise<number> => prisma.policy.count();

const policyOf = (row: Policy): PolicyView => ({
  ...row,
  kind: row.kind as PlanKind,
  input: row.input as PolicySubject,
  window: row.window as unknown as PolicyWindow | null,
  missed: row.missed as MissedTicks,
  autoStartMaxRows: row.autoStartMaxRows === null ? null : Number(row.autoStartMaxRows),
});
