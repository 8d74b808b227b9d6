import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import type { PlanPurgeInput } from '../../src/domain/plan-inputs.ts';
import { findPlan, type PlanView } from '../../src/store/plans.ts';
import { APPROVER, makePlanning, OPERATOR, type Planning, principal } from './planning.ts';

let planning: Planning;

beforeAll(async () => {
  planning = await makePlanning({ environment: 'PRODUCTION' });
});

afterAll(() => planning.close());

beforeEach(() =>
  planning.target
    .run(`DROP TABLE IF EXISTS events CASCADE; CREATE TABLE events (id int PRIMARY KEY, at timestamptz, kind text);
    INSERT INTO events SELECT i, now() - i * interval '1 day', 'k' FROM generate_series(1, 6000) i`),
);

const input = (change: Partial<PlanPurgeInput> = {}): PlanPurgeInput => ({
  database: 'shop',
  schema: 'public',
  table: 'events',
  where: { column: 'id', op: 'GT', value: '4000' },
  dependents: 'REFUSE',
  ...change,
});

const purge = (change: Partial<PlanPurgeInput> = {}) => planning.plans.purge(input(change), OPERATOR);

const archive = () => planning.plans.archive({ ...input(), destination: { kind: 'TABLE' } }, OPERATOR);

describe('deciding on a plan', () => {
  it("is somebody else's yes to its hash", async () => {
    const plan = await purge();
    expect(plan.state).toBe('NEEDS_APPROVAL');
    const approved = await planning.plans.approve(plan.id, plan.hash, 'looked at the sample', APPROVER);
    expect(approved).toMatchObject({
      state: 'APPROVED',
      approvals: [{ by: 'abel', decision: 'APPROVED', comment: 'looked at the sample' }],
    });
    await expect(planning.plans.approve(plan.id, plan.hash, null, APPROVER)).rejects.toMatchObject({
      code: 'CONFLICT',
    });
  });

  it.each([
    ['the requester', principal('olga', { roles: ['ADMIN'] }), 'SELF_APPROVAL_FORBIDDEN'],
    ['a machine', principal('ci', { roles: ['APPROVER'], isMachine: true, mayApprove: false }), 'FORBIDDEN'],
    ['somebody without the role', principal('vera', { roles: ['VIEWER'] }), 'FORBIDDEN'],
    ['another operator', principal('otto'), 'FORBIDDEN'],
  ])('is not for %s', async (_who, by, code) => {
    const plan = await purge();
    await expect(planning.plans.approve(plan.id, plan.hash, null, by)).rejects.toMatchObject({ code });
    expect(await planning.plans.find(plan.id)).toMatchObject({ state: 'NEEDS_APPROVAL', approvals: [] });
  });

  it('does not carry over to another hash, and there is none of a plan that is blocked, rejected or unknown', async () => {
    const [plan, other] = [await purge(), await purge({ limits: { maxRows: 2500 } })];
    expect(other.hash).not.toBe(plan.hash);
    await expect(planning.plans.approve(plan.id, other.hash, null, APPROVER)).rejects.toMatchObject({
      code: 'PRECONDITION_FAILED',
    });
    const blocked = await purge({ limits: { maxRows: 1 } });
    await expect(planning.plans.approve(blocked.id, blocked.hash, null, APPROVER)).rejects.toMatchObject({
      code: 'CONFLICT',
      details: { state: 'BLOCKED' },
    });
    expect((await planning.plans.reject(plan.id, 'not now', APPROVER)).state).toBe('REJECTED');
    await expect(planning.plans.approve(plan.id, plan.hash, null, APPROVER)).rejects.toMatchObject({
      code: 'CONFLICT',
    });
    for (const id of ['00000000-0000-4000-8000-000000000000', 'no-id']) {
      await expect(planning.plans.approve(id, plan.hash, null, APPROVER)).rejects.toMatchObject({
        code: 'NOT_FOUND',
      });
    }
  });

  it('may be the own no: whoever made a plan takes it back, and nobody else without the role', async () => {
    const plan = await purge();
    await expect(planning.plans.reject(plan.id, null, principal('otto'))).rejects.toMatchObject({
      code: 'FORBIDDEN',
    });
    expect(await planning.plans.reject(plan.id, 'wrong table', OPERATOR)).toMatchObject({
      state: 'REJECTED',
      approvals: [{ by: 'olga', decision: 'REJECTED', comment: 'wrong table' }],
    });
  });

  it('is made once when two decide at once', async () => {
    const plan = await purge();
    const decisions = await Promise.allSettled([
      planning.plans.approve(plan.id, plan.hash, null, APPROVER),
      planning.plans.reject(plan.id, null, principal('anna', { roles: ['APPROVER'] })),
      planning.plans.approve(plan.id, plan.hash, null, principal('anna', { roles: ['APPROVER'] })),
    ]);
    const after = (await planning.plans.find(plan.id))!;
    expect(decisions.filter(({ status }) => status === 'fulfilled').length).toBe(after.approvals.length);
    expect(after.approvals.at(-1)!.decision).toBe(after.state);
  });

  it('comes too late once the plan has expired', async () => {
    const plan = await purge();
    await planning.store.prisma.plan.update({ where: { id: plan.id }, data: { expiresAt: new Date() } });
    expect((await planning.plans.find(plan.id))!.state).toBe('EXPIRED');
    await expect(planning.plans.approve(plan.id, plan.hash, null, APPROVER)).rejects.toMatchObject({
      code: 'CONFLICT',
    });
    expect((await planning.plans.list({ states: ['EXPIRED'] })).edges.map(({ node }) => node.id)).toContain(
      plan.id,
    );
    expect(
      (await planning.plans.list({ states: ['NEEDS_APPROVAL'], first: 100 })).edges.map(
        ({ node }) => node.id,
      ),
    ).not.toContain(plan.id);
  });
});

describe('the list of plans', () => {
  it('goes on from a cursor, newest first, and gives each plan once', async () => {
    for (let i = 0; i < 5; i++) await purge();
    const ids: string[] = [];
    let after: string | null = null;
    do {
      const page: Awaited<ReturnType<Planning['plans']['list']>> = await planning.plans.list({
        database: 'shop',
        first: 2,
        after,
      });
      ids.push(...page.edges.map(({ node }) => node.id));
      after = page.hasNextPage ? page.edges.at(-1)!.cursor : null;
    } while (after !== null);
    expect([ids.length, new Set(ids).size]).toEqual([await planning.store.prisma.plan.count(), ids.length]);
    await expect(planning.plans.list({ first: 0 })).rejects.toMatchObject({ code: 'BAD_USER_INPUT' });
    await expect(planning.plans.list({ after: 'x' })).rejects.toMatchObject({ code: 'BAD_USER_INPUT' });
    expect((await planning.plans.list({ database: 'absent' })).edges).toEqual([]);
  });
});

describe('the hash of a plan', () => {
  it('is the same for the same plan, and another for each change of what would be done', async () => {
    const same = await purge();
    expect((await purge()).hash).toBe(same.hash);
    const hashes = [
      same,
      await purge({ where: { column: 'id', op: 'GT', value: '4001' } }),
      await purge({ limits: { maxShare: 0.4 } }),
      await purge({ throttle: { dutyCycle: 0.5 } }),
      await archive(),
    ].map(({ hash }) => hash);
    await planning.target.run('ALTER TABLE events ADD note text');
    hashes.push((await purge()).hash);
    await planning.target.run('DELETE FROM events WHERE id = 6000');
    hashes.push((await purge()).hash);
    expect(new Set(hashes).size).toBe(hashes.length);
  });
});

describe('a plan that is to start', () => {
  const staleAfter = async (change: string | (() => Promise<unknown>), plan: PlanView): Promise<string> => {
    await planning.checkFresh(plan);
    await (typeof change === 'string' ? planning.target.run(change) : change());
    const error = await planning.checkFresh(plan).then(
      () => new Error('fresh'),
      (reason: unknown) => reason as Error & { code: string },
    );
    expect(error).toMatchObject({ code: 'PRECONDITION_FAILED' });
    expect((await findPlan(planning.store, plan.id))!.state).toBe('STALE');
    return error.message;
  };

  it.each([
    ['ALTER TABLE events ADD note text', /in public\.events, column note \(text\) was added/],
    ['ALTER TABLE events DROP COLUMN kind', /column kind \(text\) was removed/],
    [
      'CREATE TABLE child (id int REFERENCES events ON DELETE CASCADE)',
      /foreign key child_id_fkey \(on child\) was added/,
    ],
    ['DROP TABLE events', /public\.events was dropped/],
    [
      'ALTER TABLE events RENAME TO events_2; CREATE TABLE events (id int)',
      /public\.events is now public\.events_2/,
    ],
    [
      'INSERT INTO events SELECT i, now() FROM generate_series(7000, 9000) i',
      /4001 rows match now, and 2000 did/,
    ],
    ['DELETE FROM events WHERE id > 4500', /500 rows match now, and 2000 did/],
  ])('is refused as stale after %s', async (change, words) => {
    expect(await staleAfter(change, await purge())).toMatch(words);
    await planning.target.run('DROP TABLE IF EXISTS events_2, child CASCADE');
  });

  it('needs the approval that its database asks for by now', async () => {
    const become = (environment: 'STAGING' | 'PRODUCTION') =>
      planning.store.prisma.database.update({ where: { id: planning.databaseId }, data: { environment } });
    await become('STAGING');
    const plan = await purge();
    expect(plan.state).toBe('READY');
    await planning.checkFresh(plan);
    await become('PRODUCTION');
    await expect(planning.checkFresh(plan)).rejects.toMatchObject({ code: 'APPROVAL_REQUIRED' });
    expect(await planning.plans.find(plan.id)).toMatchObject({
      state: 'NEEDS_APPROVAL',
      needsApproval: true,
    });
    await planning.checkFresh(await planning.plans.approve(plan.id, plan.hash, null, APPROVER));
  });

  it('may have drifted a little, and its indexes and rights do not matter', async () => {
    const plan = await purge();
    await planning.target.run(
      `DELETE FROM events WHERE id > 5500; CREATE INDEX ON events (kind); ANALYZE events`,
    );
    await planning.checkFresh(plan);
    expect((await planning.plans.find(plan.id))!.state).toBe('NEEDS_APPROVAL');
  });

  it('is refused after a hold was placed, and when its archive table has become another', async () => {
    const plan = await archive();
    expect(await staleAfter('CREATE TABLE events_archive (id int)', plan)).toMatch(/has no column at/);
    await planning.target.run('DROP TABLE events_archive');
    const held = await purge();
    const place = () =>
      planning.protection.placeHold(
        { database: 'shop', schema: 'public', table: 'events', reason: 'case 7' },
        APPROVER,
      );
    expect(await staleAfter(place, held)).toMatch(/a hold was placed on public\.events \(case 7\)/);
    for (const hold of await planning.protection.holds('shop'))
      await planning.protection.releaseHold(hold.id, 'done', APPROVER);
  });
});
