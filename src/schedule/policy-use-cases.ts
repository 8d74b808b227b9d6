import { createHash } from 'node:crypto';
import { batched } from '../batched.ts';
import type { PolicyInput } from '../domain/plan-inputs.ts';
import { type PolicyDraft, type Tick, timetableOf } from '../domain/policy.ts';
import type { Principal } from '../domain/principal.ts';
import { badInput, DeclutterError, notFound } from '../errors.ts';
import { findDatabase } from '../store/databases.ts';
import { findPlans, type PlanView } from '../store/plans.ts';
import {
  countPolicies,
  erasePolicy,
  findPolicy,
  listPolicies,
  type PolicyView,
  requirePolicy,
  writePolicy,
} from '../store/policies.ts';
import {
  dropTurn,
  findTurn,
  lastTurns,
  openTurn,
  type PolicyTurnView,
  type TakenTurn,
  thinTurns,
  type TurnRequest,
} from '../store/policy-turns.ts';
import { findRunByPlan, findRuns, type RunView } from '../store/runs.ts';
import { type CarryOutDeps, carryOut } from './carry-out.ts';
import { type PlannedInput, policyFrom } from './policy-input.ts';
import { nextTick } from './timetable.ts';

export interface PolicyDeps extends CarryOutDeps {
  /** Answers as soon as the run has ended or needs somebody, or after that time. */
  readonly wait: (runId: string, timeoutMs: number) => Promise<RunView>;
}

/** What runPolicy gives back: the plan, and its run when the policy may start it. */
export interface PolicyRunView {
  readonly plan: PlanView;
  readonly run: RunView | null;
}

const MAX_POLICIES = 1_000;
const MAX_KEY = 255;
const MAX_WAIT_MS = 25_000;
/** A plan counts for at most 25 s or so, some tables for longer. */
const PATIENCE_MS = 120_000;
const LOOK_MS = 250;

/** Saved intentions. */
export function makePolicies(deps: PolicyDeps) {
  const { store } = deps;
  const last = batched((names: readonly string[]) => lastTurns(store, names));
  const runs = batched((ids: readonly string[]) => findRuns(store, ids));
  return {
    save: (input: PolicyInput, dryRun: boolean, by: Principal) => save(deps, input, dryRun, by),
    remove: async (name: string): Promise<boolean> => {
      if (!(await erasePolicy(store, name))) throw notFound(`The policy "${name}"`);
      return true;
    },
    run: (name: string, key: string, waitMs: number, by: Principal) => run(deps, name, key, waitMs, by),
    find: (name: string): Promise<PolicyView | null> => findPolicy(store, name),
    list: (): Promise<PolicyView[]> => listPolicies(store),
    lastResult: (name: string): Promise<PolicyTurnView | null> => last(name, null),
    findRun: (id: string): Promise<RunView | null> => runs(id, null),
  };
}

/** With dryRun it says what would be saved. */
async function save(
  { store, clock }: PolicyDeps,
  input: PolicyInput,
  dryRun: boolean,
  by: Principal,
): Promise<PolicyView> {
  const now = clock.now();
  const draft = policyFrom(input, now);
  const { database } = draft.input as unknown as PlannedInput;
  if ((await findDatabase(store, database)) === null) throw notFound(`The database "${database}"`);
  const known = await findPolicy(store, draft.name);
  if (known === null && (await countPolicies(store)) >= MAX_POLICIES) {
    throw new DeclutterError(
      'PRECONDITION_FAILED',
      `There are ${MAX_POLICIES} policies already. Delete one (deletePolicy) before you save another.`,
    );
  }
  const next = tickAfterSaving(draft, known, now);
  const saved = { by: by.subject, at: now };
  return dryRun ? draftView(draft, next, known, saved) : writePolicy(store, draft, next, saved);
}

const draftView = (
  draft: PolicyDraft,
  next: Tick | null,
  known: PolicyView | null,
  saved: { readonly by: string; readonly at: Date },
): PolicyView => ({
  ...draft,
  nextTickAt: next?.at ?? null,
  nextRunAt: next?.runsAt ?? null,
  lastRunId: known?.lastRunId ?? null,
  savedBy: saved.by,
  savedAt: saved.at,
});

/** The tick that is awaited already, when its times are the same: saving a policy again takes no tick away and adds none. */
function tickAfterSaving(draft: PolicyDraft, known: PolicyView | null, now: Date): Tick | null {
  const timetable = timetableOf(draft);
  if (timetable === null || !draft.enabled) return null;
  const isAsBefore = known !== null && JSON.stringify(timetableOf(known)) === JSON.stringify(timetable);
  if (isAsBefore && known.nextTickAt !== null && known.nextRunAt !== null)
    return { at: known.nextTickAt, runsAt: known.nextRunAt };
  return nextTick(draft.name, timetable, now);
}

async function run(
  deps: PolicyDeps,
  name: string,
  idempotencyKey: string,
  waitMs: number,
  by: Principal,
): Promise<PolicyRunView> {
  if (idempotencyKey.trim() === '' || idempotencyKey.length > MAX_KEY)
    throw badInput(`idempotencyKey must have 1 to ${MAX_KEY} characters.`);
  if (!(waitMs >= 0 && waitMs <= MAX_WAIT_MS)) throw badInput(`waitMs must be from 0 to ${MAX_WAIT_MS}.`);
  const policy = await requirePolicy(deps.store, name);
  if (!policy.enabled) {
    throw new DeclutterError(
      'PRECONDITION_FAILED',
      `The policy "${name}" is not enabled. Somebody with the role ADMIN can enable it (savePolicy).`,
    );
  }
  const key = createHash('sha256').update(`${by.subject}\n${idempotencyKey}`).digest('hex');
  const result = await resultOf(deps, policy, { policyName: name, key, requestedBy: by.subject }, by);
  await thinTurns(deps.store, name);
  if (result.run === null || waitMs === 0) return result;
  return { plan: result.plan, run: await deps.wait(result.run.id, waitMs) };
}

/** The turn of that key: made now, or what has come of it, once whoever holds it knows. */
async function resultOf(
  deps: PolicyDeps,
  policy: PolicyView,
  request: TurnRequest,
  by: Principal,
): Promise<PolicyRunView> {
  const until = deps.clock.monotonicMs() + PATIENCE_MS;
  while (deps.clock.monotonicMs() < until) {
    const mine = await openTurn(deps.store, request);
    const result = mine && (await carryOutNow(deps, { turn: mine, policy }, by));
    if (result) return result;
    const turn = await findTurn(deps.store, request.policyName, request.key);
    if (turn?.planId != null && turn.outcome !== 'PLANNING') return asItIs(deps, turn.planId);
    await deps.clock.sleep(LOOK_MS);
  }
  throw new DeclutterError(
    'CONFLICT',
    'The policy is still being planned for the same idempotencyKey. Ask again with it.',
  );
}

/** null: somebody else has taken the turn over. What fails is as if it had not been asked for. */
async function carryOutNow(deps: PolicyDeps, taken: TakenTurn, by: Principal): Promise<PolicyRunView | null> {
  try {
    const result = await carryOut(deps, taken, by);
    if (result === null) return null;
    if (result.plan !== null) return { plan: result.plan, run: result.run };
    throw new DeclutterError('CONFLICT', `${result.detail ?? ''} Wait for it, or cancel it.`);
  } catch (error) {
    await dropTurn(deps.store, taken.turn);
    throw error;
  }
}

async function asItIs({ store, clock }: PolicyDeps, planId: string): Promise<PolicyRunView> {
  const [plan] = await findPlans(store, [planId], clock.now());
  if (plan == null) throw notFound('The plan');
  return { plan, run: await findRunByPlan(store, planId) };
}
