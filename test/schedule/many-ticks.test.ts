import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { systemClock } from '../../src/clock.ts';
import { makeLog } from '../../src/log.ts';
import type { MakePlan } from '../../src/schedule/policy-plans.ts';
import { startPolicyRounds } from '../../src/schedule/policy-rounds.ts';
import { makePolicies } from '../../src/schedule/policy-use-cases.ts';
import { openStore, type Store } from '../../src/store/open-store.ts';
import type { PlanView } from '../../src/store/plans.ts';
import type { RunView } from '../../src/store/runs.ts';
import { eventually } from '../support/eventually.ts';
import { testStore } from '../support/postgres.ts';
import { registerRow } from '../support/registered.ts';
import { ADA, policyInput } from './policy-scene.ts';

const STEP = 10 * 60_000;
/** `npm run test:ticks` makes 10 000 of them. */
const TICKS = Number(process.env['DECLUTTER_TEST_TICKS'] ?? 1_000);
const OFTEN = 45;
const FROM = Date.parse('2026-10-24T23:00:00Z');
/** A night at least, in which the clocks of Berlin and London go back. */
const UNTIL = FROM + Math.ceil(TICKS / OFTEN) * STEP;

/** At 02:30 by the clock of the zone, as a calendar has it. */
const FIXED: Readonly<Record<string, readonly string[]>> = {
  'Europe/Berlin': ['2026-10-25T00:30', '2026-10-26T01:30'],
  'Europe/London': ['2026-10-25T02:30', '2026-10-26T02:30'],
  'America/New_York': ['2026-10-25T06:30', '2026-10-26T06:30'],
  'Asia/Tokyo': ['2026-10-25T17:30'],
  'Asia/Kolkata': ['2026-10-25T21:00'],
};
const ZONES = Object.keys(FIXED);

/** Most come every ten minutes of real time, and one at 02:30 in each zone. */
const SCHEDULES = [
  ...Array.from({ length: OFTEN }, (_, i) => ({
    schedule: '*/10 * * * *',
    timeZone: ZONES[i % ZONES.length]!,
  })),
  ...ZONES.map((timeZone) => ({ schedule: '30 2 * * *', timeZone })),
];

const EVERY_STEP = Array.from({ length: (UNTIL - FROM) / STEP }, (_, i) => FROM + (i + 1) * STEP);
const expected = SCHEDULES.map(({ schedule, timeZone }) =>
  schedule.startsWith('30')
    ? FIXED[timeZone]!.map((at) => `${at}:00.000Z`).filter((at) => Date.parse(at) <= UNTIL)
    : EVERY_STEP.map((at) => new Date(at).toISOString()),
);

describe('50 schedules and three schedulers', () => {
  let control: Awaited<ReturnType<typeof testStore>>;
  let stores: Store[];
  let now = new Date(FROM);
  /** plans that were started, each with how often */
  const started = new Map<string, number>();

  beforeAll(async () => {
    control = await testStore();
    stores = [control.store, await openStore(control.url), await openStore(control.url)];
    await registerRow(control.store, 'shop');
  });
  afterAll(async () => {
    await Promise.all(stores.slice(1).map((store) => store.close()));
    await control.close();
  });

  const plan: MakePlan = async () => ({ id: randomUUID(), hash: 'h', state: 'READY' }) as PlanView;
  const start = async (id: string) => {
    started.set(id, (started.get(id) ?? 0) + 1);
    return { id } as RunView;
  };

  const isQuiet = async () => {
    const [row] = await control.store.prisma.$queryRaw<{ left: number }[]>`
      SELECT (SELECT count(*)::int FROM policy WHERE "nextRunAt" <= ${now})
           + (SELECT count(*)::int FROM policy_turn WHERE outcome = 'PLANNING') AS left`;
    return row!.left === 0;
  };

  it(
    'make exactly one run of each tick, also where clocks go back',
    async () => {
      const deps = { clock: systemClock, plan, start, log: makeLog('silent'), tell: async () => undefined };
      const policies = makePolicies({
        ...deps,
        store: control.store,
        clock: { ...systemClock, now: () => now },
        wait: () => Promise.reject(new TypeError('nobody waits')),
      });
      for (const [i, times] of SCHEDULES.entries())
        await policies.save(policyInput({ name: `p${i}`, ...times }), false, ADA);
      const schedulers = stores.map((store) =>
        startPolicyRounds({ ...deps, store, lookMs: 20, now: () => now }),
      );
      for (const at of EVERY_STEP) {
        now = new Date(at);
        await eventually(`the ticks of ${now.toISOString()}`, isQuiet);
      }
      await Promise.all(schedulers.map((scheduler) => scheduler.stop()));

      expect(expected.flat().length).toBeGreaterThan(TICKS);
      const turns = await control.store.prisma.policyTurn.findMany({ orderBy: { tickAt: 'asc' } });
      const ticks = SCHEDULES.map((_, i) =>
        turns.filter(({ policyName }) => policyName === `p${i}`).map(({ tickAt }) => tickAt!.toISOString()),
      );
      expect(ticks).toEqual(expected);
      const once = turns.filter((turn) => turn.outcome === 'STARTED' && started.get(turn.planId!) === 1);
      expect([once.length, started.size]).toEqual([turns.length, turns.length]);
    },
    60_000 + TICKS * 30,
  );
});
