import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { systemClock } from '../../src/clock.ts';
import { makeLog } from '../../src/log.ts';
import type { MakePlan } from '../../src/schedule/policy-plans.ts';
import { startPolicyRounds } from '../../src/schedule/policy-rounds.ts';
import { makePolicies } from '../../src/schedule/policy-use-cases.ts';
import { openStore, type Store } from '../../src/store/open-store.ts';
import { requirePlan } from '../../src/store/plans.ts';
import type { RunView } from '../../src/store/runs.ts';
import { eventually } from '../support/eventually.ts';
import { testStore } from '../support/postgres.ts';
import { registerRow } from '../support/registered.ts';
import { ADA, policyInput } from './policy-scene.ts';

const MINUTE = 60_000;
/** Two days: in Berlin and London one of them has 25 hours. */
const FROM = Date.parse('2026-10-24T12:00:00Z');
const UNTIL = FROM + 2 * 1_440 * MINUTE;

/** At 02:30 by the clock of the zone, as a calendar has it. */
const FIXED: Readonly<Record<string, readonly string[]>> = {
  'Europe/Berlin': ['2026-10-25T00:30', '2026-10-26T01:30'],
  'Europe/London': ['2026-10-25T02:30', '2026-10-26T02:30'],
  'America/New_York': ['2026-10-25T06:30', '2026-10-26T06:30'],
  'Asia/Tokyo': ['2026-10-24T17:30', '2026-10-25T17:30'],
  'Asia/Kolkata': ['2026-10-24T21:00', '2026-10-25T21:00'],
};
const ZONES = Object.keys(FIXED);

/** 45 that come every ten or twenty minutes of real time, and one at 02:30 in each zone. */
const SCHEDULES = [
  ...Array.from({ length: 45 }, (_, i) => ({ every: i < 25 ? 10 : 20, timeZone: ZONES[i % ZONES.length]! })),
  ...ZONES.map((timeZone) => ({ every: null, timeZone })),
];

function expected({ every, timeZone }: (typeof SCHEDULES)[number]): string[] {
  if (every === null) return FIXED[timeZone]!.map((at) => `${at}:00.000Z`);
  const count = (UNTIL - FROM) / (every * MINUTE);
  return Array.from({ length: count }, (_, i) => new Date(FROM + (i + 1) * every * MINUTE).toISOString());
}

describe('50 schedules and three schedulers', () => {
  let control: Awaited<ReturnType<typeof testStore>>;
  let stores: Store[];
  let databaseId: string;
  let now = new Date(FROM);
  /** ids of the plans that were started, each with how often */
  const started = new Map<string, number>();

  beforeAll(async () => {
    control = await testStore();
    stores = [control.store, await openStore(control.url), await openStore(control.url)];
    databaseId = await registerRow(control.store, 'shop');
  });
  afterAll(async () => {
    await Promise.all(stores.slice(1).map((store) => store.close()));
    await control.close();
  });

  /** A plan as planning leaves it, as far as the control store is concerned. */
  const plan: MakePlan = async (_field, _input, by) => {
    const id = randomUUID();
    await control.store.prisma.plan.create({
      data: {
        id,
        kind: 'PURGE',
        state: 'READY',
        hash: id,
        databaseId,
        requestedBy: by.subject,
        expiresAt: new Date(Date.now() + 60 * MINUTE),
        needsApproval: false,
        spec: {},
        forecast: {},
      },
    });
    return requirePlan(control.store, id, new Date());
  };
  const start = (planId: string): Promise<RunView> => {
    started.set(planId, (started.get(planId) ?? 0) + 1);
    return Promise.resolve({ id: planId } as RunView);
  };

  const isQuiet = async () => {
    const [row] = await control.store.prisma.$queryRaw<{ due: number; open: number }[]>`
      SELECT (SELECT count(*)::int FROM policy WHERE "nextRunAt" <= ${now}) AS due,
             (SELECT count(*)::int FROM policy_turn WHERE outcome = 'PLANNING') AS open`;
    return row!.due + row!.open === 0;
  };

  it('make exactly one run of each of 10 000 ticks, also where the clock goes back', async () => {
    const deps = { store: control.store, clock: { ...systemClock, now: () => now }, plan, start };
    const policies = makePolicies({ ...deps, wait: () => Promise.reject(new TypeError('nobody waits')) });
    for (const [i, { every, timeZone }] of SCHEDULES.entries()) {
      const schedule = every === null ? '30 2 * * *' : `*/${every} * * * *`;
      await policies.save(policyInput({ name: `p${i}`, schedule, timeZone }), ADA);
    }
    const schedulers = stores.map((store) =>
      startPolicyRounds({
        ...deps,
        store,
        clock: systemClock,
        log: makeLog('silent'),
        lookMs: 5,
        tell: () => Promise.resolve(),
        now: () => now,
      }),
    );
    for (let at = FROM; at <= UNTIL; at += 10 * MINUTE) {
      now = new Date(at);
      await eventually(`the ticks of ${now.toISOString()}`, isQuiet);
    }
    await Promise.all(schedulers.map((scheduler) => scheduler.stop()));

    const turns = await control.store.prisma.policyTurn.findMany({ orderBy: { tickAt: 'asc' } });
    const wanted = SCHEDULES.map(expected);
    expect(wanted.flat().length).toBeGreaterThan(10_000);
    for (const [i, ticks] of wanted.entries()) {
      const mine = turns.filter(({ policyName }) => policyName === `p${i}`);
      expect(mine.map(({ tickAt }) => tickAt!.toISOString())).toEqual(ticks);
      expect(mine.every(({ outcome, planId }) => outcome === 'STARTED' && started.get(planId!) === 1)).toBe(
        true,
      );
    }
    expect(started.size).toBe(wanted.flat().length);
  }, 240_000);
});
