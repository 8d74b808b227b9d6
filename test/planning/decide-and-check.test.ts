import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import type { RowFilter, RowFilterInput } from '../../src/domain/filter.ts';
import type { PlanPurgeInput } from '../../src/planning/plan-inputs.ts';
import { findPlan, type PlanView } from '../../src/store/plans.ts';
import { readRelation } from '../../src/target/catalog.ts';
import { compileFilter } from '../../src/target/row-filter.ts';
import { sql } from '../../src/target/sql.ts';
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

describe('holds', () => {
  const place = (change: object = {}) =>
    planning.protection.placeHold(
      { database: 'shop', schema: 'public', table: 'events', reason: 'case 4711', ...change },
      APPROVER,
    );

  it('block what they protect, and nothing else, until they are released', async () => {
    const some = await place({ where: { column: 'id', op: 'EQ', value: '4500' } });
    const codes = async (value: string) =>
      (await purge({ where: { column: 'id', op: 'GT', value } })).forecast.blockers.map(({ code }) => code);
    expect([await codes('4000'), await codes('4500')]).toEqual([['HOLD'], []]);
    const plan = await purge({ where: { column: 'id', op: 'GT', value: '4500' } });
    expect(plan.spec.holds).toEqual([some.id]);
    await planning.checkFresh(plan);
    const all = await place();
    expect(await codes('5999')).toEqual(['HOLD']);
    expect(
      (await planning.protection.releaseHold(all.id, 'case closed', APPROVER)).releasedAt,
    ).not.toBeNull();
    expect(await codes('5999')).toEqual([]);
    await expect(planning.protection.releaseHold(all.id, 'again', APPROVER)).rejects.toMatchObject({
      code: 'CONFLICT',
    });
    await expect(planning.protection.releaseHold('x', 'x', APPROVER)).rejects.toMatchObject({
      code: 'NOT_FOUND',
    });
    expect((await planning.protection.holds()).map(({ id }) => id)).toEqual(
      expect.arrayContaining([some.id, all.id]),
    );
    await planning.protection.releaseHold(some.id, 'case closed', APPROVER);
  });

  it('leave out of the plan what comes under them later, and rows for which that cannot be told', async () => {
    await planning.target.run(`UPDATE events SET kind = NULL WHERE id = 5001`);
    const case8 = await place({ where: { column: 'kind', op: 'EQ', value: 'held' } });
    const case9 = await place({ where: { column: 'id', op: 'LT', value: '10' }, reason: 'case 9' });
    const where = { column: 'id', op: 'GT', value: '5000' } as const;
    const plan = await purge({ where });
    expect(plan.spec.operation).toMatchObject({
      filter: {
        all: [
          where,
          ...[case8, case9].sort((a, b) => (a.id < b.id ? -1 : 1)).map((hold) => ({ not: hold.where })),
        ],
      },
    });
    expect(plan.forecast.impact.rows).toBe(999);
    expect(plan.forecast.warnings.map(({ code }) => code)).toEqual(['HOLD_EXCLUDED', 'HOLD_EXCLUDED']);
    expect(plan.forecast.steps.map(({ sql }) => sql).join()).toContain('NOT ("kind"');
    await planning.checkFresh(plan);
    await planning.target.run(`UPDATE events SET kind = 'held' WHERE id = 5500`);
    const filter = (await findPlan(planning.store, plan.id))!.spec.operation as unknown as {
      filter: RowFilter;
    };
    const session = await planning.target.session();
    const relation = (await readRelation(session, 'public', 'events'))!;
    const [left] = await session.query<{ n: number }>(
      sql`SELECT count(*)::int4 AS n FROM events WHERE ${compileFilter(filter.filter, relation)} AND (kind = 'held' OR kind IS NULL)`,
    );
    await session.close();
    expect(left).toEqual({ n: 0 });
    await expect(planning.checkFresh(plan)).rejects.toThrow(
      /chosen rows of public\.events have come under a hold \(case 4711\)/,
    );
    expect(await planning.plans.find(plan.id)).toMatchObject({ state: 'STALE' });
    for (const hold of [case8, case9]) await planning.protection.releaseHold(hold.id, 'closed', APPROVER);
  });

  it('may leave out of a filter that is as deep as filters can be, and block when the table no longer fits them', async () => {
    const deep = (left: number): RowFilterInput =>
      left === 1 ? { column: 'id', op: 'GT', value: '5000' } : { all: [deep(left - 1)] };
    const hold = await place({ where: { not: deep(7) } });
    const plan = await purge({ where: deep(8) });
    expect([plan.forecast.blockers, plan.forecast.impact.rows]).toEqual([[], 1000]);
    const gone = await place({ where: { column: 'kind', op: 'EQ', value: 'held' } });
    await planning.target.run('ALTER TABLE events DROP COLUMN kind');
    expect((await purge()).forecast.blockers.map(({ code }) => code)).toEqual(['HOLD', 'HOLD']);
    for (const { id } of [hold, gone]) await planning.protection.releaseHold(id, 'closed', APPROVER);
  });

  it.each([
    [{ table: 'evnets' }, 'NOT_FOUND'],
    [{ where: { column: 'nope', op: 'IS_NULL' } }, 'BAD_USER_INPUT'],
    [{ where: {} }, 'BAD_USER_INPUT'],
    [{ reason: '  ' }, 'BAD_USER_INPUT'],
    [{ database: 'absent' }, 'NOT_FOUND'],
  ])('protect something that is there: %j', async (change, code) => {
    await expect(place(change)).rejects.toMatchObject({ code });
  });
});

describe('the maintenance stop', () => {
  it('is off until somebody sets it, and tells who and why', async () => {
    expect(await planning.protection.maintenanceStop()).toEqual({
      on: false,
      reason: null,
      since: null,
      by: null,
    });
    const stop = await planning.protection.setMaintenanceStop(true, 'release day', APPROVER);
    expect(stop).toMatchObject({ on: true, reason: 'release day', by: 'abel' });
    expect(await planning.protection.maintenanceStop()).toEqual(stop);
    expect((await planning.protection.setMaintenanceStop(false, 'released', APPROVER)).on).toBe(false);
    await expect(planning.protection.setMaintenanceStop(true, '', APPROVER)).rejects.toMatchObject({
      code: 'BAD_USER_INPUT',
    });
  });
});
