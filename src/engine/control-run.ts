import { hasEnded, type ThrottleInput } from '../domain/run.ts';
import { changedThrottle, wantsLargeBatches } from '../domain/throttle.ts';
import type { Principal } from '../domain/principal.ts';
import { checkedReason } from '../domain/reason.ts';
import type { RunState } from '../domain/words.ts';
import { DeclutterError } from '../errors.ts';
import type { PlanSpec } from '../domain/plan.ts';
import type { Store } from '../store/open-store.ts';
import type { Queue } from '../store/queue.ts';
import { appendEvent } from '../store/run-events.ts';
import { requeueFailed, requireRun, type RunView, transition } from '../store/runs.ts';
import { setThrottle, tellWorker, throttleOf } from '../store/run-throttle.ts';

export interface ControlDeps {
  readonly store: Store;
  readonly queue: Pick<Queue, 'nudge'>;
  readonly loadPlan: (planId: string) => Promise<{ spec: PlanSpec; hash: string }>;
}

/** What people ask of a run. Each is a compare-and-set by the table in domain/run.ts; asking twice changes nothing. */
export const makeRunControl = (deps: ControlDeps) => ({
  pause: async (id: string, reason: string | null | undefined, by: Principal) =>
    pause(deps.store, id, `Paused by ${by.subject}${because(reason)}`),
  cancel: async (id: string, reason: string | null | undefined, by: Principal) =>
    cancel(deps, id, `Cancelled by ${by.subject}${because(reason)}`),
  resume: (id: string, by: Principal) => resume(deps, id, by),
  retry: (id: string, by: Principal) => retry(deps, id, by),
  updateThrottle: (id: string, input: ThrottleInput, by: Principal) => updateThrottle(deps, id, input, by),
});

const because = (reason: string | null | undefined) => {
  const checked = checkedReason(reason);
  return checked ? `: ${checked}` : '.';
};

async function pause(store: Store, id: string, why: string): Promise<RunView> {
  const change = { code: 'PAUSED_BY_REQUEST', reason: `${why} Resume it to go on.` } as const;
  const pausing = {
    ...change,
    to: 'PAUSING',
    keepsLease: true,
    event: { kind: 'PAUSING', message: why },
  } as const;
  const paused = { ...change, to: 'PAUSED', event: { kind: 'PAUSED', message: why } } as const;
  return changed(
    store,
    id,
    ['PAUSING', 'PAUSED'],
    async () =>
      (await transition(store, id, { ...pausing, from: ['RUNNING'] })) ||
      transition(store, id, { ...paused, from: ['QUEUED', 'INTERRUPTED'] }),
  );
}

async function resume({ store, queue }: ControlDeps, id: string, by: Principal): Promise<RunView> {
  const event = { kind: 'QUEUED', message: `Resumed by ${by.subject}.` };
  const run = await changed(store, id, ['QUEUED', 'RUNNING'], () =>
    transition(store, id, { from: ['PAUSED'], to: 'QUEUED', code: null, reason: null, event }),
  );
  await queue.nudge(id);
  return run;
}

async function cancel({ store, queue }: ControlDeps, id: string, why: string): Promise<RunView> {
  const run = await changed(store, id, ['CANCELLING', 'CANCELLED'], () =>
    transition(store, id, {
      from: ['QUEUED', 'RUNNING', 'PAUSING', 'PAUSED', 'INTERRUPTED'],
      to: 'CANCELLING',
      code: 'CANCELLED_BY_REQUEST',
      reason: `${why} The worker stops after its batch.`,
      keepsLease: true,
      event: { kind: 'CANCELLING', message: why },
    }),
  );
  if (run.startedAt === null) return cancelUnbegun(store, id, why);
  await queue.nudge(id);
  return run;
}

async function retry({ store, queue, loadPlan }: ControlDeps, id: string, by: Principal): Promise<RunView> {
  const run = await requireRun(store, id);
  if (run.state !== 'FAILED') throw conflict(run, 'Only a failed run can be retried.');
  const { spec } = await loadPlan(run.planId);
  const event = { kind: 'QUEUED', message: `Retried by ${by.subject}.` };
  const retried = await changed(store, id, [], () => requeueFailed(store, id, spec, event));
  await queue.nudge(id);
  return retried;
}

async function updateThrottle(
  { store, loadPlan }: ControlDeps,
  id: string,
  input: ThrottleInput,
  by: Principal,
): Promise<RunView> {
  const run = await requireRun(store, id);
  if (hasEnded(run.state)) throw conflict(run, 'A run that has ended has no throttle.');
  const { operation } = (await loadPlan(run.planId)).spec;
  const destination = 'destination' in operation ? operation.destination : null;
  const throttle = changedThrottle(input, await throttleOf(store, id), wantsLargeBatches(destination));
  await setThrottle(store, id, throttle);
  const message = `Throttle changed by ${by.subject}.`;
  await appendEvent(store, id, { kind: 'THROTTLE', message, data: { ...throttle } });
  return requireRun(store, id);
}

async function cancelUnbegun(store: Store, id: string, why: string): Promise<RunView> {
  await transition(store, id, {
    from: ['CANCELLING'],
    to: 'CANCELLED',
    code: 'CANCELLED_BY_REQUEST',
    reason: `${why} It had not begun; nothing has changed.`,
    event: { kind: 'CANCELLED', message: 'It had not begun.' },
  });
  return requireRun(store, id);
}

async function changed(
  store: Store,
  id: string,
  already: readonly RunState[],
  work: () => Promise<boolean>,
): Promise<RunView> {
  const before = await requireRun(store, id);
  if (already.includes(before.state)) return before;
  const done = await work();
  await tellWorker(store, id);
  const after = await requireRun(store, id);
  if (!done && !already.includes(after.state)) throw conflict(after, 'That is not possible now.');
  return after;
}

const conflict = (run: RunView, message: string) =>
  new DeclutterError('CONFLICT', `${message} The run is ${run.state}.`, { runId: run.id, state: run.state });
