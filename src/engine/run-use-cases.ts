import { listEvents } from '../store/run-events.ts';
import { findRun, findRunByPlan, listRuns } from '../store/runs.ts';
import { type ControlDeps, makeRunControl } from './control-run.ts';
import { type QueryTimeDeps, queryTimes } from './query-times.ts';
import { makeStartRun, type StartablePlan, type StartDeps } from './start-run.ts';
import { waitForRun, watchRun } from './watch-run.ts';

/** What the API offers about runs. */
export function makeRunUseCases<Plan extends StartablePlan>(
  deps: StartDeps<Plan> & ControlDeps & QueryTimeDeps,
) {
  const { store } = deps;
  return {
    ...makeRunControl(deps),
    start: makeStartRun(deps),
    find: (id: string) => findRun(store, id),
    findByPlan: (planId: string) => findRunByPlan(store, planId),
    list: (filter: Parameters<typeof listRuns>[1]) => listRuns(store, filter),
    wait: (id: string, timeoutMs: number) => waitForRun(deps, id, timeoutMs),
    events: (id: string, page: Parameters<typeof listEvents>[2]) => listEvents(store, id, page),
    queryTimes: (run: Parameters<typeof queryTimes>[1]) => queryTimes(deps, run),
    watch: (id: string, after: number | null, signal?: AbortSignal) => watchRun(deps, id, after, signal),
  };
}
