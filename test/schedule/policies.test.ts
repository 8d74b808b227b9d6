import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { carryOut } from '../../src/schedule/carry-out.ts';
import { chooseTick } from '../../src/schedule/choose-tick.ts';
import { openTicks } from '../../src/store/policy-ticks.ts';
import { takeTurn } from '../../src/store/policy-turns.ts';
import { APPROVER, makePlanning, OPERATOR, type Planning } from '../planning/planning.ts';
import { eventually } from '../support/eventually.ts';
import { ADA, policyInput, policyScene } from './policy-scene.ts';

describe('policies', () => {
  let planning: Planning;
  let scene: ReturnType<typeof policyScene>;

  beforeEach(async () => {
    planning = await makePlanning();
    await planning.target.run(
      'CREATE TABLE event AS SELECT g AS id FROM generate_series(1, 100) g; ANALYZE event',
    );
    await planning.target.run('ALTER TABLE event ADD PRIMARY KEY (id)');
    scene = policyScene(planning);
  });
  afterEach(async () => {
    await scene.stopRounds();
    await planning.close();
  });

  const at = (time: string) => void (scene.time.now = new Date(`2026-06-${time}Z`));
  const runs = () => planning.store.prisma.run.count();
  const outcomes = () => scene.told.map(({ result }) => result.outcome);
  const turns = () => planning.store.prisma.policyTurn.findMany({ orderBy: { createdAt: 'asc' } });
  const toldOf = (count: number) => eventually(`${count} results`, () => scene.told.length >= count);

  it('make their plan at the tick and start it by themselves below their limits', async () => {
    const saved = await scene.policies.save(policyInput({ autoStartMaxRows: 100 }), false, ADA);
    expect(saved).toMatchObject({
      kind: 'PURGE',
      nextRunAt: new Date('2026-06-01T11:00:00Z'),
      savedBy: 'ada',
    });
    scene.startRounds();
    at('01T11:00:02');
    await toldOf(1);
    const [told] = scene.told;
    expect(told!.result).toMatchObject({
      outcome: 'STARTED',
      plan: {
        state: 'STARTED',
        kind: 'PURGE',
        requestedBy: 'ada',
        reason: 'Policy nightly, due 2026-06-01T11:00:00.000Z',
        spec: { rows: 100 },
      },
      run: { startedBy: 'ada', state: 'QUEUED' },
    });
    expect(await scene.policies.find('nightly')).toMatchObject({
      lastRunId: told!.result.run!.id,
      nextRunAt: new Date('2026-06-01T12:00:00Z'),
    });
    expect(await scene.policies.lastResult('nightly')).toMatchObject({
      outcome: 'STARTED',
      tickAt: new Date('2026-06-01T11:00:00Z'),
      planId: told!.result.plan!.id,
    });
  });

  it('wait for approval above their limits, say so, and start by themselves once somebody else has approved', async () => {
    await scene.policies.save(policyInput({ autoStartMaxRows: 99 }), false, ADA);
    scene.startRounds();
    at('01T11:00:00');
    await toldOf(1);
    const { plan, detail } = scene.told[0]!.result;
    expect([outcomes(), plan!.state, await runs()]).toEqual([['WAITING'], 'NEEDS_APPROVAL', 0]);
    expect(detail).toContain(plan!.id);
    at('01T12:00:00');
    await toldOf(2);
    expect(scene.told[1]!.result).toMatchObject({ outcome: 'OVERLAPPED', plan: null });
    await expect(planning.plans.approve(plan!.id, plan!.hash, null, ADA)).rejects.toMatchObject({
      code: 'SELF_APPROVAL_FORBIDDEN',
    });
    await planning.plans.approve(plan!.id, plan!.hash, null, APPROVER);
    await toldOf(3);
    expect(scene.told[2]!.result).toMatchObject({ outcome: 'STARTED', plan: { id: plan!.id } });
    expect(await runs()).toBe(1);
  });

  it('start nothing that somebody has rejected, and go on with the next tick', async () => {
    await scene.policies.save(policyInput({ autoStartMaxRows: 0 }), false, ADA);
    scene.startRounds();
    at('01T11:00:00');
    await toldOf(1);
    await planning.plans.reject(scene.told[0]!.result.plan!.id, null, APPROVER);
    await toldOf(2);
    at('01T12:00:00');
    await toldOf(3);
    expect([outcomes(), await runs()]).toEqual([['WAITING', 'REJECTED', 'WAITING'], 0]);
  });

  it('never overlap: a tick that comes while their run is at work starts nothing', async () => {
    await scene.policies.save(policyInput(), false, ADA);
    scene.startRounds();
    at('01T11:00:00');
    await toldOf(1);
    at('01T12:00:00');
    await toldOf(2);
    expect(scene.told[1]!.result).toMatchObject({
      outcome: 'OVERLAPPED',
      detail: expect.stringContaining(scene.told[0]!.result.run!.id),
    });
    await scene.endRun(scene.told[0]!.result.run!.id);
    at('01T13:00:00');
    await toldOf(3);
    expect([outcomes(), await runs()]).toEqual([['STARTED', 'OVERLAPPED', 'STARTED'], 2]);
  });

  it('leave out what nobody was there for, or make one run for all of it', async () => {
    await scene.policies.save(policyInput(), false, ADA);
    await scene.policies.save(policyInput({ name: 'diligent', missed: 'ONCE' }), false, ADA);
    at('01T17:30:00');
    scene.startRounds();
    await toldOf(2);
    const results = new Map(scene.told.map(({ turn, result }) => [turn.policyName, result]));
    expect(results.get('nightly')).toMatchObject({
      outcome: 'MISSED',
      detail: expect.stringContaining('T11:00'),
    });
    expect(results.get('diligent')).toMatchObject({ outcome: 'STARTED' });
    expect((await scene.policies.list()).map(({ nextRunAt }) => nextRunAt)).toEqual([
      new Date('2026-06-01T18:00:00Z'),
      new Date('2026-06-01T18:00:00Z'),
    ]);
    expect(await runs()).toBe(1);
  });

  it('make up for missed ticks within their window only', async () => {
    const window = { from: '22:00', to: '06:00' };
    await scene.policies.save(policyInput({ schedule: '0 23 * * *', missed: 'ONCE', window }), false, ADA);
    at('02T08:00:00');
    scene.startRounds();
    const opening = Date.parse('2026-06-02T22:00:00Z');
    await eventually('the tick waits for its window', async () => {
      const { nextRunAt } = (await scene.policies.find('nightly'))!;
      return nextRunAt!.getTime() === opening;
    });
    expect(await turns()).toEqual([]);
    at('02T22:00:01');
    await toldOf(1);
    expect(scene.told[0]!.result).toMatchObject({
      outcome: 'STARTED',
      plan: { spec: { throttle: { window: { ...window, timeZone: 'UTC' } } } },
    });
  });

  it('say what failed, and go on with the next tick', async () => {
    await scene.policies.save(policyInput(), false, ADA);
    await planning.target.run('ALTER TABLE event RENAME TO occasion');
    scene.startRounds();
    at('01T11:00:00');
    await toldOf(1);
    expect(scene.told[0]!.result).toMatchObject({
      outcome: 'FAILED',
      detail: expect.stringMatching(/^NOT_FOUND: /),
    });
    await planning.target.run('ALTER TABLE occasion RENAME TO event');
    at('01T12:00:00');
    await toldOf(2);
    expect(outcomes()).toEqual(['FAILED', 'STARTED']);
  });

  it('make one run of a tick whose process was lost while it planned, and of one that comes back too late', async () => {
    await scene.policies.save(policyInput(), false, ADA);
    at('01T11:00:00');
    await openTicks(planning.store, chooseTick, scene.time.now);
    const lost = await takeTurn(planning.store);
    if (lost === null) throw new TypeError('no turn');
    await planning.store.prisma.policyTurn.update({
      where: { id: lost.turn.id },
      data: { leaseUntil: new Date(0) },
    });
    scene.startRounds();
    await toldOf(1);
    await scene.endRun(scene.told[0]!.result.run!.id);
    expect(await carryOut(scene.deps, lost, null)).toBeNull();
    expect([outcomes(), await runs(), (await turns()).length]).toEqual([['STARTED'], 1, 1]);
  });

  describe('by hand', () => {
    it('give the same plan and run for the same key, however many ask at once', async () => {
      await scene.policies.save(policyInput({ schedule: null }), false, ADA);
      const asked = await Promise.all(
        Array.from({ length: 5 }, () => scene.policies.run('nightly', 'build-7', 0, OPERATOR)),
      );
      expect(new Set(asked.map(({ run }) => run!.id)).size).toBe(1);
      expect(asked[0]!.run).toMatchObject({ startedBy: 'olga' });
      expect([await runs(), await planning.store.prisma.plan.count()]).toEqual([1, 1]);
      const again = await scene.policies.run('nightly', 'build-7', 1_000, OPERATOR);
      expect(again.run!.id).toBe(asked[0]!.run!.id);
    });

    it('refuse a second run while one is at work, and the key can be used again', async () => {
      await scene.policies.save(policyInput({ schedule: null }), false, ADA);
      const { run } = await scene.policies.run('nightly', 'one', 0, OPERATOR);
      const second = () => scene.policies.run('nightly', 'two', 0, OPERATOR);
      await expect(second()).rejects.toMatchObject({
        code: 'CONFLICT',
        message: expect.stringContaining(run!.id),
      });
      await scene.endRun(run!.id);
      expect((await second()).run!.id).not.toBe(run!.id);
    });

    it('give a plan without a run when it is blocked or waits for approval', async () => {
      await scene.policies.save(policyInput({ schedule: null, autoStartMaxRows: 1 }), false, ADA);
      expect(await scene.policies.run('nightly', 'one', 0, OPERATOR)).toMatchObject({
        plan: { state: 'NEEDS_APPROVAL' },
        run: null,
      });
      const blocked = policyInput({ name: 'blocked', schedule: null });
      blocked.purge!.limits = { maxRows: 1 };
      await scene.policies.save(blocked, false, ADA);
      expect(await scene.policies.run('blocked', 'one', 0, OPERATOR)).toMatchObject({
        plan: { state: 'BLOCKED' },
        run: null,
      });
    });

    it('are refused when they are not enabled or do not exist', async () => {
      await scene.policies.save(policyInput({ enabled: false }), false, ADA);
      expect(await scene.policies.find('nightly')).toMatchObject({ nextRunAt: null });
      await expect(scene.policies.run('nightly', 'k', 0, OPERATOR)).rejects.toMatchObject({
        code: 'PRECONDITION_FAILED',
      });
      await expect(scene.policies.run('another', 'k', 0, OPERATOR)).rejects.toMatchObject({
        code: 'NOT_FOUND',
      });
      expect(await scene.policies.remove('nightly')).toBe(true);
      await expect(scene.policies.remove('nightly')).rejects.toMatchObject({ code: 'NOT_FOUND' });
    });
  });

  it('are not carried out when they were disabled before a worker came to them', async () => {
    await scene.policies.save(policyInput(), false, ADA);
    at('01T11:00:00');
    await openTicks(planning.store, chooseTick, scene.time.now);
    await scene.policies.save(policyInput({ enabled: false }), false, ADA);
    scene.startRounds();
    await toldOf(1);
    expect(scene.told[0]!.result).toMatchObject({ outcome: 'MISSED', plan: null });
    expect(await runs()).toBe(0);
  });

  it('are checked and shown as they would be saved, and change nothing, in a dry run', async () => {
    const shown = await scene.policies.save(policyInput({ autoStartMaxRows: 7 }), true, ADA);
    expect(shown).toMatchObject({
      autoStartMaxRows: 7,
      savedBy: 'ada',
      nextRunAt: new Date('2026-06-01T11:00:00Z'),
    });
    await expect(scene.policies.save(policyInput({ schedule: 'sometimes' }), true, ADA)).rejects.toThrow(
      /schedule/,
    );
    expect(await scene.policies.list()).toEqual([]);
  });

  it('keep the tick that is awaited when they are saved again, unless their times have changed', async () => {
    await scene.policies.save(policyInput(), false, ADA);
    at('01T11:00:01');
    const again = await scene.policies.save(policyInput({ autoStartMaxRows: 5 }), false, ADA);
    expect(again.nextRunAt).toEqual(new Date('2026-06-01T11:00:00Z'));
    const moved = await scene.policies.save(policyInput({ schedule: '30 * * * *' }), false, ADA);
    expect(moved.nextRunAt).toEqual(new Date('2026-06-01T11:30:00Z'));
  });

  it.each([
    [{ name: 'a b' }, /name/],
    [{ purge: null }, /exactly one/],
    [{ reindex: policyInput().purge! }, /exactly one/],
    [{ autoStartMaxRows: -1 }, /autoStartMaxRows/],
    [{ schedule: null, timeZone: 'Mars/Olympus' }, /timeZone/],
    [{ purge: { ...policyInput().purge!, throttle: { dutyCycle: 7 } } }, /dutyCycle/],
    [{ purge: { ...policyInput().purge!, database: 'elsewhere' } }, /elsewhere/],
  ])('are refused when they make no sense: %j', async (change, message) => {
    await expect(scene.policies.save(policyInput(change), false, ADA)).rejects.toThrow(message);
    expect(await scene.policies.list()).toEqual([]);
  });

  it("are due by the control store's clock, whatever that of a worker says", async () => {
    await scene.policies.save(policyInput(), false, ADA);
    const due = (afterMs: number) =>
      planning.store.prisma.policy.update({
        where: { name: 'nightly' },
        data: { nextRunAt: new Date(Date.now() + afterMs) },
      });
    await due(60_000);
    await openTicks(planning.store, chooseTick);
    expect(await turns()).toEqual([]);
    await due(-1_000);
    await openTicks(planning.store, chooseTick);
    expect(await turns()).toMatchObject([{ policyName: 'nightly', outcome: 'PLANNING', attempt: 0 }]);
  });
});
