import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { PlanPurgeInput } from '../../src/domain/plan-inputs.ts';
import type { PlanView } from '../../src/store/plans.ts';
import { availableVersions } from '../support/postgres.ts';
import { makePlanning, OPERATOR, type Planning } from './planning.ts';

const SCHEMA = `
  CREATE TABLE customers (id bigint PRIMARY KEY, name text);
  CREATE TABLE "Old orders" (id bigint PRIMARY KEY, customer_id bigint REFERENCES customers, at timestamptz NOT NULL, note text);
  CREATE TABLE lines (id bigint PRIMARY KEY, order_id int8 REFERENCES "Old orders" ON DELETE CASCADE);
  CREATE TABLE line_notes (id bigint PRIMARY KEY, line_id bigint REFERENCES lines ON DELETE CASCADE, order_id bigint REFERENCES "Old orders" ON DELETE CASCADE);
  CREATE TABLE coupons (id bigint PRIMARY KEY, order_id bigint REFERENCES "Old orders" ON DELETE SET NULL, line_id bigint REFERENCES lines ON DELETE SET NULL);
  CREATE TABLE labels (id bigint PRIMARY KEY, order_id bigint DEFAULT 50 REFERENCES "Old orders" ON DELETE SET DEFAULT);
  CREATE TABLE events (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, at timestamptz NOT NULL, kind text, payload jsonb);
  INSERT INTO customers SELECT i, 'c' || i FROM generate_series(1, 100) i;
  INSERT INTO "Old orders" SELECT i, i % 100 + 1, now() - i * interval '1 day' + interval '12 hours', 'n' FROM generate_series(1, 1000) i;
  INSERT INTO lines SELECT i, (i % 1000) + 1 FROM generate_series(1, 3000) i;
  INSERT INTO line_notes SELECT i, i, i % 1000 + 1 FROM generate_series(1, 3000) i;
  INSERT INTO coupons SELECT i, i % 1000 + 1, i FROM generate_series(1, 2000) i;
  INSERT INTO labels SELECT i, i FROM generate_series(1, 1000) i;
  INSERT INTO events (at, kind, payload) SELECT now() - i * interval '1 hour' + interval '30 minutes', 'k' || i % 7, jsonb_build_object('i', i) FROM generate_series(1, 20000) i;
  CREATE INDEX events_at ON events (at);
  ANALYZE;`;

const purge = (table: string, change: Partial<PlanPurgeInput> = {}): PlanPurgeInput => ({
  database: 'shop',
  schema: 'public',
  table,
  where: { column: 'at', op: 'OLDER_THAN', age: 'P500D' },
  dependents: 'REFUSE',
  ...change,
});

const codes = (plan: PlanView) => plan.forecast.blockers.map(({ code }) => code);

describe.each(availableVersions())('the plan of a purge on PostgreSQL %i', (version) => {
  let planning: Planning;
  beforeAll(async () => {
    planning = await makePlanning({ version, sql: SCHEMA });
  });
  afterAll(() => planning.close());

  it('counts exactly, shows rows as they are, and changes nothing', async () => {
    const before = await planning.target.run(
      `SELECT pg_current_xact_id_if_assigned() AS none, (SELECT xmin::text || count(*) OVER () FROM events LIMIT 1) AS rows`,
    );
    const plan = await planning.plans.purge(purge('events'), OPERATOR);
    expect(plan).toMatchObject({
      kind: 'PURGE',
      state: 'READY',
      schema: 'public',
      table: 'events',
      requestedBy: 'olga',
    });
    const { impact, steps, sample, locks } = plan.forecast;
    expect(impact).toMatchObject({ rows: 8000, rowsAreExact: true, share: 0.4 });
    expect(impact.bytes).toBeGreaterThan(8000 * 40);
    expect(plan.cutoff!.getTime()).toBe(plan.createdAt.getTime() - 500 * 86_400_000);
    expect(sample).toHaveLength(100);
    expect(JSON.parse(sample[0]!)).toMatchObject({
      id: expect.any(Number),
      payload: { i: expect.any(Number) },
    });
    expect(steps.map(({ sql }) => sql).join()).toContain('DELETE FROM ONLY "public"."events" WHERE ctid >=');
    expect(locks[0]).toMatchObject({
      relation: 'public.events',
      mode: expect.stringContaining('ROW EXCLUSIVE'),
    });
    const after = await planning.target.run(
      `SELECT pg_current_xact_id_if_assigned() AS none, (SELECT xmin::text || count(*) OVER () FROM events LIMIT 1) AS rows`,
    );
    expect(after).toEqual(before);
    expect(
      await planning.target.run(`SELECT count(*)::int AS n FROM pg_namespace WHERE nspname = 'declutter'`),
    ).toEqual([{ n: 0 }]);
  });

  it('takes the index for a small share, and the heap for a large one', async () => {
    const small = await planning.plans.purge(
      purge('events', { where: { column: 'at', op: 'OLDER_THAN', age: 'P830D' } }),
      OPERATOR,
    );
    const large = await planning.plans.purge(purge('events'), OPERATOR);
    const unindexed = await planning.plans.purge(
      purge('events', { where: { column: 'id', op: 'EQ', value: '5' } }),
      OPERATOR,
    );
    const noIndex = await planning.plans.purge(
      purge('events', {
        where: {
          all: [
            { column: 'kind', op: 'EQ', value: 'k1' },
            { column: 'kind', op: 'EQ', value: 'k2' },
          ],
        },
      }),
      OPERATOR,
    );
    const picks = [small, large, unindexed, noIndex].map(
      ({ spec }) => (spec.operation as { pick: string }).pick,
    );
    expect(picks).toEqual(['INDEX', 'HEAP_RANGES', 'INDEX', 'HEAP_RANGES']);
    expect(JSON.stringify(small.forecast.steps)).toContain('events_at');
  });

  it('tells the effects on all levels, each row once, and refuses what rows reference', async () => {
    const plan = await planning.plans.purge(purge('Old orders'), OPERATOR);
    expect(plan.forecast.impact.rows).toBe(500);
    const truth = await planning.target.run(`
      WITH o AS (SELECT id FROM "Old orders" WHERE at < now() - interval '500 days'), l AS (SELECT id FROM lines WHERE order_id IN (SELECT id FROM o))
      SELECT (SELECT count(*)::int FROM l) AS lines,
             (SELECT count(*)::int FROM line_notes WHERE line_id IN (SELECT id FROM l) OR order_id IN (SELECT id FROM o)) AS line_notes,
             (SELECT count(*)::int FROM coupons WHERE line_id IN (SELECT id FROM l) OR order_id IN (SELECT id FROM o)) AS coupons,
             (SELECT count(*)::int FROM labels WHERE order_id IN (SELECT id FROM o)) AS labels`);
    const found = Object.fromEntries(
      plan.forecast.effects.map(({ table, effect, rows }) => [`${table} ${effect}`, rows]),
    );
    const { lines, line_notes: notes, coupons, labels } = truth[0] as Record<string, number>;
    expect(found).toEqual({
      'lines DELETE_CASCADE': lines,
      'line_notes DELETE_CASCADE': notes,
      'coupons SET_NULL': coupons,
      'labels SET_DEFAULT': labels,
    });
    expect(plan.state).toBe('BLOCKED');
    expect(codes(plan)).toEqual(['DEPENDENTS', 'DEPENDENTS', 'DEPENDENTS', 'DEPENDENTS']);
  });

  it('refuses rows that a plain foreign key protects', async () => {
    const where = { column: 'id', op: 'LE', value: '10' } as const;
    const plan = await planning.plans.purge(purge('customers', { where }), OPERATOR);
    expect(codes(plan)).toEqual(['DEPENDENTS']);
    expect(plan.forecast.blockers[0]!.message).toMatch(/^100 rows of public.Old orders .*NO ACTION/);
    const included = await planning.plans.purge(
      purge('customers', { where, dependents: 'INCLUDE' }),
      OPERATOR,
    );
    expect(codes(included)).toEqual([]);
    expect(included.forecast.effects).toContainEqual(
      expect.objectContaining({ table: 'Old orders', effect: 'DELETE_INCLUDED', rows: 100 }),
    );
  });

  it('finds nothing by what looks like SQL, and no table by another case', async () => {
    const plan = await planning.plans.purge(
      purge('events', { where: { column: 'kind', op: 'EQ', value: "' or 1=1 --" } }),
      OPERATOR,
    );
    expect([plan.forecast.impact.rows, plan.forecast.warnings.map(({ code }) => code)]).toEqual([
      0,
      ['NOTHING_TO_DO'],
    ]);
    for (const table of ['x"; DROP TABLE events; --', 'Events']) {
      await expect(planning.plans.purge(purge(table), OPERATOR)).rejects.toMatchObject({ code: 'NOT_FOUND' });
    }
    for (const table of ['', '  ', 'x'.repeat(64), 'a\0b']) {
      await expect(planning.plans.purge(purge(table), OPERATOR)).rejects.toMatchObject({
        code: 'BAD_USER_INPUT',
      });
    }
  });
});

describe('trees and circles of foreign keys', () => {
  it('are counted row by row, each row once', async () => {
    const planning = await makePlanning({
      sql: `CREATE TABLE nodes (id int PRIMARY KEY, parent int REFERENCES nodes ON DELETE CASCADE);
        INSERT INTO nodes SELECT i, nullif(i / 2, 0) FROM generate_series(1, 127) i; CREATE INDEX ON nodes (parent);
        CREATE TABLE leaves (id int PRIMARY KEY, node int REFERENCES nodes ON DELETE CASCADE);
        INSERT INTO leaves SELECT i, i FROM generate_series(1, 127) i;`,
    });
    const plan = await planning.plans.purge(
      purge('nodes', { where: { column: 'id', op: 'IN', values: ['2', '4'] } }),
      OPERATOR,
    );
    const effects = plan.forecast.effects.map(({ table, effect, rows }) => [table, effect, rows]);
    expect([plan.forecast.impact.rows, effects]).toEqual([
      2,
      [
        ['nodes', 'DELETE_CASCADE', 61],
        ['leaves', 'DELETE_CASCADE', 63],
      ],
    ]);
    expect(codes(plan)).toEqual(['DEPENDENTS', 'DEPENDENTS']);
    await planning.close();
  });

  it('let a row reference itself', async () => {
    const planning = await makePlanning({
      sql: 'CREATE TABLE n (id int PRIMARY KEY, parent int REFERENCES n); INSERT INTO n VALUES (1, 1), (2, 1), (3, 3)',
    });
    const own = await planning.plans.purge(
      purge('n', { where: { column: 'id', op: 'EQ', value: '3' } }),
      OPERATOR,
    );
    const other = await planning.plans.purge(
      purge('n', { where: { column: 'id', op: 'EQ', value: '1' } }),
      OPERATOR,
    );
    expect([codes(own), codes(other)]).toEqual([[], ['DEPENDENTS']]);
    await planning.close();
  });
});

describe('a plan that has no time to count', () => {
  it('estimates, and says so', async () => {
    const planning = await makePlanning({ budgetMs: 0, sql: SCHEMA });
    const { forecast, spec } = await planning.plans.purge(purge('events'), OPERATOR);
    expect(forecast.impact.rowsAreExact).toBe(false);
    // What could not be counted is held to by the run: half of the 20 000 rows.
    expect(spec.limits).toEqual({ maxRows: 10_000, maxShare: 0.5, maxDurationMs: null });
    expect(forecast.impact.rows).toBeGreaterThan(7000);
    expect(forecast.impact.rows).toBeLessThan(9000);
    expect(spec.rowsAreExact).toBe(false);
    expect(forecast.warnings.map(({ code }) => code)).toEqual(['ROWS_ESTIMATED']);
    const dependents = await planning.plans.purge(purge('Old orders'), OPERATOR);
    expect(dependents.forecast.warnings.map(({ code }) => code)).toEqual([
      'EFFECTS_ESTIMATED',
      'ROWS_ESTIMATED',
    ]);
    await planning.close();
  });
});
