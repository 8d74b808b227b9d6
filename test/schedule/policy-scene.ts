import { systemClock } from '../../src/clock.ts';
import type { Principal } from '../../src/domain/principal.ts';
import { makeStartRun } from '../../src/engine/start-run.ts';
import { makeLog } from '../../src/log.ts';
import type { CarryOutDeps, TurnResult } from '../../src/schedule/carry-out.ts';
import type { PolicyInput } from '../../src/domain/plan-inputs.ts';
import { type PolicyRoundsDeps, startPolicyRounds } from '../../src/schedule/policy-rounds.ts';
import type { MakePlan } from '../../src/schedule/policy-plans.ts';
import { makePolicies } from '../../src/schedule/policy-use-cases.ts';
import type { Rounds } from '../../src/schedule/rounds.ts';
import { readMaintenanceStop } from '../../src/store/maintenance-stop.ts';
import { findPlan, type PlanView } from '../../src/store/plans.ts';
import type { PolicyTurnView } from '../../src/store/policy-turns.ts';
import { requireRun } from '../../src/store/runs.ts';
import { type Planning, principal } from '../planning/planning.ts';

export const ADA: Principal = principal('ada', { roles: ['ADMIN'] });

/** A policy that purges all rows of a small table, unless the test says otherwise. */
export const policyInput = (change: Partial<PolicyInput> = {}): PolicyInput => ({
  name: 'nightly',
  enabled: true,
  schedule: '0 * * * *',
  timeZone: 'UTC',
  missed: 'SKIP',
  jitterSeconds: 0,
  purge: {
    database: 'shop',
    schema: 'public',
    table: 'event',
    where: { column: 'id', op: 'GT', value: '0' },
    limits: { maxShare: 1 },
    ...{ dependents: 'REFUSE' },
  },
  ...change,
});

/** Policies of a real database; runs are started, and nobody works on them. Time is the test's own. */
export function policyScene(planning: Planning, start = new Date('2026-06-01T10:30:00Z')) {
  const { store, plans } = planning;
  const time = { now: start };
  const clock = { ...systemClock, now: () => time.now };
  const plan: MakePlan = (field, input, by) => plans[field](input as never, by);
  const startRun = makeStartRun<PlanView>({
    store,
    clock: systemClock,
    queue: { nudge: async () => undefined },
    findPlan: (id) => findPlan(store, id),
    checkFresh: planning.checkFresh,
    maintenanceStop: () => readMaintenanceStop(store),
  });
  const deps: CarryOutDeps = { store, clock: systemClock, plan, start: startRun };
  const told: { turn: PolicyTurnView; result: TurnResult }[] = [];
  const rounds: Rounds[] = [];
  return {
    time,
    told,
    deps,
    policies: makePolicies({ ...deps, clock, wait: (runId) => requireRun(store, runId) }),
    startRounds: (change: Partial<PolicyRoundsDeps> = {}) => {
      const tell = async (turn: PolicyTurnView, result: TurnResult) => void told.push({ turn, result });
      const log = makeLog('silent');
      rounds.push(startPolicyRounds({ ...deps, log, lookMs: 20, tell, now: () => time.now, ...change }));
    },
    stopRounds: async () => {
      await Promise.all(rounds.splice(0).map((round) => round.stop()));
    },
    /** As if a worker had carried it out. */
    endRun: async (id: string) => {
      await store.prisma.run.update({ where: { id }, data: { state: 'SUCCEEDED', endedAt: new Date() } });
      await store.prisma.runTable.deleteMany({ where: { runId: id } });
    },
  };
}
