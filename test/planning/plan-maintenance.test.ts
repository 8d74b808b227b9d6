import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { PlanView } from '../../src/store/plans.ts';
import { makePlanning, OPERATOR, type Planning } from './planning.ts';

let planning: Planning;
beforeAll(async () => {
  planning = await makePlanning({
    environment: 'PRODUCTION',
    sql: `CREATE EXTENSION btree_gist;
      CREATE TABLE t (id int PRIMARY KEY, during int4range, kind text, EXCLUDE USING gist (during WITH &&)) WITH (autovacuum_enabled = false);
      INSERT INTO t SELECT i, int4range(i * 10, i * 10 + 5), 'k' FROM generate_series(1, 5000) i; CREATE INDEX "Kind idx" ON t (kind);
      CREATE INDEX t_during_idx_ccnew ON t (kind); UPDATE pg_index SET indisvalid = false WHERE indexrelid = 't_during_idx_ccnew'::regclass;
      CREATE MATERIALIZED VIEW m AS SELECT * FROM t; CREATE UNIQUE INDEX m_id ON m (id); CREATE VIEW v AS SELECT * FROM t; CREATE TABLE bare (id int);
      CREATE TABLE dead (id int) WITH (autovacuum_enabled = false); INSERT INTO dead SELECT generate_series(1, 5000); DELETE FROM dead WHERE id > 2000;
      CREATE TABLE fresh (id int) WITH (autovacuum_enabled = false); INSERT INTO fresh SELECT generate_series(1, 5000);
      SELECT pg_stat_force_next_flush();`,
  });
  await planning.target.run('ANALYZE t; ANALYZE bare; ANALYZE dead; SELECT pg_stat_force_next_flush()');
  await planning.target.run('SELECT 1');
});
afterAll(() => planning.close());

const codes = (plan: PlanView) => plan.forecast.blockers.map(({ code }) => code);
const warnings = (plan: PlanView) => plan.forecast.warnings.map(({ code }) => code);
const reindex = (table: string, indexes?: string[]) =>
  planning.plans.reindex(
    { database: 'shop', schema: 'public', table, ...(indexes === undefined ? {} : { indexes }) },
    OPERATOR,
  );
const reorganize = (table: string, method: 'AUTO' | 'VACUUM' | 'ANALYZE' | 'VACUUM_FULL' = 'AUTO') =>
  planning.plans.reorganization({ database: 'shop', schema: 'public', table, method }, OPERATOR);

describe('the plan of a rebuild', () => {
  it('names each index once, and leaves out what cannot be rebuilt without a lock', async () => {
    const plan = await reindex('t');
    expect(plan).toMatchObject({ kind: 'REINDEX', state: 'READY', spec: { rows: 0 } });
    const { indexes } = plan.spec.operation as unknown as { indexes: { name: string }[] };
    expect(indexes.map(({ name }) => name)).toEqual(['Kind idx', 't_during_idx_ccnew', 't_pkey']);
    expect(plan.forecast.steps.slice(1).map(({ sql }) => sql)).toEqual([
      'REINDEX INDEX CONCURRENTLY "public"."Kind idx"',
      'REINDEX INDEX CONCURRENTLY "public"."t_during_idx_ccnew"',
      'REINDEX INDEX CONCURRENTLY "public"."t_pkey"',
    ]);
    expect(warnings(plan)).toEqual(['INDEX_SKIPPED', 'INDEX_LEFTOVER']);
    expect(plan.forecast.impact.diskNeededBytes).toBeGreaterThan(0);
    const one = await reindex('t', ['Kind idx', 'Kind idx']);
    expect((one.spec.operation as unknown as { indexes: unknown[] }).indexes).toHaveLength(1);
  });

  it('is for materialised views too, but not for views or names that are no index of the table', async () => {
    expect([codes(await reindex('m')), codes(await reindex('v')), warnings(await reindex('bare'))]).toEqual([
      [],
      ['NOT_A_TABLE'],
      ['NOTHING_TO_DO'],
    ]);
    await expect(reindex('t', ['m_id'])).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });

  it('is stale once an index was dropped', async () => {
    await planning.target.run('CREATE INDEX passing ON bare (id)');
    const plan = await reindex('bare');
    await planning.checkFresh(plan);
    await planning.target.run('DROP INDEX passing');
    await expect(planning.checkFresh(plan)).rejects.toThrow(/the index public\.passing was dropped/);
  });
});

describe('the plan of a reorganization', () => {
  it('chooses what helps, and says why', async () => {
    const [dead, fresh, nothing] = [
      await reorganize('dead'),
      await reorganize('fresh'),
      await reorganize('t'),
    ];
    expect([dead, fresh, nothing].map(({ spec }) => (spec.operation as { method: string }).method)).toEqual([
      'VACUUM',
      'ANALYZE',
      'ANALYZE',
    ]);
    expect(dead.forecast.warnings[0]).toMatchObject({
      code: 'METHOD_CHOSEN',
      message: expect.stringContaining('3000 rows are dead'),
    });
    expect(fresh.forecast.warnings[0]).toMatchObject({
      code: 'METHOD_CHOSEN',
      message: expect.stringContaining('never analysed'),
    });
    expect(nothing.forecast.warnings[0]).toMatchObject({ code: 'NOTHING_TO_DO' });
    expect(dead.forecast.steps.at(-1)!.sql).toBe(
      `SET vacuum_cost_delay = '2ms'; VACUUM (ANALYZE, INDEX_CLEANUP ON) "public"."dead"`,
    );
    expect(dead.state).toBe('READY');
  });

  it('does what is asked for, of whatever it can be done to', async () => {
    expect(codes(await reorganize('t', 'VACUUM'))).toEqual([]);
    expect(codes(await reorganize('t', 'VACUUM_FULL'))).toEqual([]);
    expect(codes(await reorganize('v', 'ANALYZE'))).toEqual(['NOT_A_TABLE']);
    expect(codes(await reorganize('m', 'VACUUM'))).toEqual([]);
  });
});
