import { hasEnded, type ThrottleInput } from '../domain/run.ts';
import { throttleFrom } from '../domain/throttle.ts';
import type { Principal } from '../domain/principal.ts';
import type { RunState } from '../domain/words.ts';
import { DeclutterError } from '../errors.ts';
import type { PlanSpec } from '../domain/plan.ts';
import type { Store } from '../store/open-store.ts';
import type { Queue } from '../store/queue.ts';
import { appendEvent } from '../store/run-events.ts';
import { relockTables, requireRun, type RunView, setThrottle, transition, throttleOf } from '../store/runs.ts';

export interface ControlDeps {
  readonly store: Store;
  readonly queue: Pick<Queue, 'nudge'>;
  readonly loadPlan: (planId: string) => Promise<{ spec: PlanSpec; hash: string }>;
}

/** What people ask of a run. Each is a compare-and-set by the table in domain/run.ts; asking twice changes nothing. */
export function makeRunControl({ store, queue, loadPlan }: ControlDeps) {
  return {
    async pause(id: string, reason: string | null | undefined, by: Principal): Promise<RunView> {
      const why = `Paused by ${by.subject}${reason ? `: ${reason}` : '.'}`;
      const paused = { code: 'PAUSED_BY_REQUEST', reason: `${why} Resume it to go on.`, event: { kind: 'PAUSED', message: why } } as const;
      return change(store, id, ['PAUSING', 'PAUSED'], async () => {
        return (
          (await transition(store, id, { ...paused, from: ['RUNNING'], to: 'PAUSING', keepsLease: true, event: { kind: 'PAUSING', message: why } })) ||
          (await transition(store, id, { ...paused, from: ['QUEUED'], to: 'PAUSED' })) ||
          (await transition(store, id, { ...paused, from: ['INTERRUPTED'], to: 'PAUSED' }))
        );
      });
    },

    async resume(id: string, by: Principal): Promise<RunView> {
      const event = { kind: 'QUEUED', message: `Resumed by ${by.subject}.` };
      const run = await change(store, id, ['QUEUED', 'RUNNING'], () =>
        transition(store, id, { from: ['PAUSED'], to: 'QUEUED', code: null, reason: null, event }),
      );
      await queue.nudge(id);
      return run;
    },

    async cancel(id: string, reason: string | null | undefined, by: Principal): Promise<RunView> {
      const why = `Cancelled by ${by.subject}${reason ? `: ${reason}` : '.'}`;
      const states: RunState[] = ['QUEUED', 'RUNNING', 'PAUSING', 'PAUSED', 'INTERRUPTED'];
      const run = await change(store, id, ['CANCELLING', 'CANCELLED'], () =>
        transition(store, id, {
          from: states,
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
    },

    async retry(id: string, by: Principal): Promise<RunView> {
      const run = await requireRun(store, id);
      if (run.state !== 'FAILED') throw conflict(run, 'Only a failed run can be retried.');
      const { spec } = await loadPlan(run.planId);
      await relockTables(store, id, spec);
      const event = { kind: 'QUEUED', message: `Retried by ${by.subject}.` };
      const retried = await change(store, id, [], () =>
        transition(store, id, { from: ['FAILED'], to: 'QUEUED', code: null, reason: null, event }),
      );
      await queue.nudge(id);
      return retried;
    },

    async updateThrottle(id: string, input: ThrottleInput, by: Principal): Promise<RunView> {
      const run = await requireRun(store, id);
      if (hasEnded(run.state)) throw conflict(run, 'A run that has ended has no throttle.');
      const throttle = throttleFrom(input, await throttleOf(store, id));
      await setThrottle(store, id, throttle);
      await appendEvent(store, id, { kind: 'THROTTLE', message: `Throttle changed by ${by.subject}.`, data: { ...throttle } });
      return requireRun(store, id);
    },
  };
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

async function change(store: Store, id: string, already: readonly RunState[], work: () => Promise<boolean>): Promise<RunView> {
  const before = await requireRun(store, id);
  if (already.includes(before.state)) return before;
  const changed = await work();
  const after = await requireRun(store, id);
  if (!changed && !already.includes(after.state)) throw conflict(after, 'That is not possible now.');
  return after;
}

const conflict = (run: RunView, message: string) =>
  new DeclutterError('CONFLICT', `${message} The run is ${run.state}.`, { runId: run.id, state: run.state });
