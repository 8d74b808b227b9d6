import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { ANALYSES } from '../../src/analysis/analysis-registry.ts';
import { makeAnalysisUseCases } from '../../src/analysis/analysis-use-cases.ts';
import { systemClock } from '../../src/clock.ts';
import { makeLog } from '../../src/log.ts';
import { Session } from '../../src/target/session.ts';
import { inTurn } from '../analysis/support.ts';
import { testEngine, type TestEngine } from '../support/engine.ts';
import { makePlanning, OPERATOR, type Planning } from './planning.ts';

describe('what a plan predicts', () => {
  let planning: Planning;
  let engine: TestEngine;
  beforeAll(async () => {
    planning = await makePlanning();
    engine = await testEngine(planning.target);
    await inTurn(
      planning.target,
      `CREATE TABLE item (id int PRIMARY KEY, note text) WITH (autovacuum_enabled = off);
       INSERT INTO item SELECT g, md5(g::text) FROM generate_series(1, 60000) g; CREATE INDEX item_note ON item (note)`,
      'VACUUM ANALYZE item',
      'DELETE FROM item WHERE id % 3 > 0',
    );
  });
  afterAll(async () => {
    await engine.close();
    await planning.close();
  });

  const analyze = () =>
    makeAnalysisUseCases({
      store: planning.store,
      connect: (_, settings) => Session.open(planning.target.address, settings),
      replicas: async () => [],
      analyses: ANALYSES.filter(({ kind }) => kind === 'INDEX_BLOAT'),
      clock: systemClock,
      log: makeLog('silent'),
    }).takeSnapshot(planning.databaseId);

  it('of a VACUUM is what becomes reusable', async () => {
    const plan = await planning.plans.reorganization(
      { database: 'shop', schema: 'public', table: 'item', method: 'VACUUM' },
      OPERATOR,
    );
    const { impact } = plan.forecast;
    const [heap] = await planning.target.run("SELECT pg_relation_size('item')::float8 AS bytes");
    expect(impact.bytesReusable! / Number(heap!['bytes'])).toBeCloseTo(2 / 3, 1);
    const run = await engine.work(await engine.queue({ name: 'item' }, plan.spec.operation));
    expect(run).toMatchObject({ state: 'SUCCEEDED', result: { bytesReclaimed: 0 } });
    expect(run.result.bytesReusable! / impact.bytesReusable!).toBeCloseTo(1, 1);
  });

  it('of a rebuilt index is what comes back, as far as a snapshot knows', async () => {
    const input = { database: 'shop', schema: 'public', table: 'item', indexes: ['item_note'] };
    const blind = await planning.plans.reindex(input, OPERATOR);
    expect(blind.forecast.impact.bytesReclaimed).toBeNull();
    await analyze();
    const plan = await planning.plans.reindex(input, OPERATOR);
    const run = await engine.work(await engine.queue({ name: 'item' }, plan.spec.operation));
    expect(run.result.bytesReclaimed).toBeGreaterThan(1_000_000);
    const share = plan.forecast.impact.bytesReclaimed! / run.result.bytesReclaimed!;
    expect(share).toBeGreaterThan(0.9);
    expect(share).toBeLessThan(1.1);
    expect(run.result.bytesReusable).toBe(0);
  });
});
