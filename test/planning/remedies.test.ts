import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { obsoleteRows } from '../../src/analysis/kinds/obsolete-rows.ts';
import type { PlanArchiveInput } from '../../src/domain/plan-inputs.ts';
import { ask, inTurn } from '../analysis/support.ts';
import { testEngine } from '../support/engine.ts';
import { makePlanning, OPERATOR, type Planning } from './planning.ts';

let planning: Planning;
beforeAll(async () => {
  planning = await makePlanning({
    environment: 'PRODUCTION',
    sql: `CREATE TABLE sessions AS SELECT g id, now() - (g - 1400) * interval '1 hour' AS expires_at, md5(g::text) t FROM generate_series(1, 20000) g;
      CREATE MATERIALIZED VIEW kept AS SELECT * FROM sessions`,
  });
  await inTurn(planning.target, 'VACUUM ANALYZE');
});
afterAll(() => planning.close());

describe('the remedy of a finding', () => {
  it('leads to a plan that can run, also when nearly the whole table is old', async () => {
    const { faults } = await ask(obsoleteRows, planning.target);
    const remedy = faults[0]!.remedy!;
    const input = remedy.variables['input'] as Omit<PlanArchiveInput, 'dependents'>;
    const plan = await planning.plans.archive({ ...input, dependents: 'REFUSE' }, OPERATOR);
    expect(plan.forecast.impact.share).toBeGreaterThan(0.85);
    expect(plan.spec.limits.maxShare).toBeGreaterThan(plan.forecast.impact.share);
    expect(plan.spec.limits.maxShare).toBeLessThan(plan.forecast.impact.share + 0.08);
    expect([plan.state, plan.forecast.blockers]).toEqual(['NEEDS_APPROVAL', []]);
  });

  it('can be a VACUUM of a materialised view', async () => {
    const plan = await planning.plans.reorganization(
      { database: 'shop', schema: 'public', table: 'kept', method: 'VACUUM' },
      OPERATOR,
    );
    expect([plan.state, plan.forecast.blockers]).toEqual(['READY', []]);
    const engine = await testEngine(planning.target);
    const before = await vacuums();
    const run = await engine.work(await engine.queue({ name: 'kept' }, plan.spec.operation));
    expect([run.state, await vacuums()]).toEqual(['SUCCEEDED', before + 1]);
    await engine.close();
  });
});

async function vacuums(): Promise<number> {
  const [row] = await planning.target.run(
    "SELECT vacuum_count::int AS count FROM pg_stat_all_tables WHERE relname = 'kept'",
  );
  return row!['count'] as number;
}
