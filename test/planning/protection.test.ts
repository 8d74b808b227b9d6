import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import type { RowFilter, RowFilterInput } from '../../src/domain/filter.ts';
import type { PlanPurgeInput } from '../../src/domain/plan-inputs.ts';
import { findPlan } from '../../src/store/plans.ts';
import { readRelation } from '../../src/target/catalog.ts';
import { compileFilter } from '../../src/target/row-filter.ts';
import { sql } from '../../src/target/sql.ts';
import { APPROVER, makePlanning, OPERATOR, type Planning } from './planning.ts';

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
