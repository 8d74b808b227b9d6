import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { KeepNewestInput, PlanPurgeInput } from '../../src/domain/plan-inputs.ts';
import { testEngine } from '../support/engine.ts';
import { makePlanning, OPERATOR, type Planning } from './planning.ts';

/** Ties, NULLs, quoted names, a domain, and a group that is NULL. */
const SCHEMA = `
  CREATE DOMAIN moment AS timestamp;
  CREATE TABLE "Log" (id int PRIMARY KEY, "At" moment, kind text, sub int);
  INSERT INTO "Log" SELECT i, CASE WHEN i % 50 > 0 THEN timestamp '2020-01-01 00:00:00.000001' + (i / 3) * interval '1 minute' END,
                           CASE WHEN i % 7 > 0 THEN 'k' || i % 7 END, i % 2 FROM generate_series(1, 900) i;
  CREATE TABLE big (id int PRIMARY KEY, at int, kind text); INSERT INTO big SELECT i, i, i % 9 FROM generate_series(1, 30000) i; ANALYZE;`;

/** Ranks of the window functions of PostgreSQL: those that have at least count above them go. */
const ranked = (count: number, per: string) =>
  `SELECT id FROM (SELECT id, "At", rank() OVER (${per} ORDER BY "At" DESC NULLS LAST) AS place FROM "Log" WHERE "At" IS NOT NULL) x WHERE place > ${count}`;

describe('keepNewest', () => {
  let planning: Planning;
  beforeAll(async () => {
    // Counting where an index is missing takes all the time that there is.
    planning = await makePlanning({ sql: SCHEMA, budgetMs: 3_000 });
  });
  afterAll(() => planning.close());

  const plan = (keep: KeepNewestInput, change: Partial<PlanPurgeInput> = {}) =>
    planning.plans.purge(
      {
        database: 'shop',
        schema: 'public',
        table: 'Log',
        where: { column: 'id', op: 'GT', value: '0' },
        keepNewest: keep,
        dependents: 'REFUSE',
        limits: { maxShare: 1 },
        ...change,
      },
      OPERATOR,
    );

  it.each([
    [1, []],
    [100, []],
    [880, []],
    [2_000, []],
    [3, ['kind']],
    [40, ['kind', 'sub']],
  ] as [number, string[]][])('leaves the newest %i alone, of each %j', async (count, per) => {
    const partition = per.length === 0 ? '' : `PARTITION BY ${per.join(', ')}`;
    const gone = await planning.target.run(ranked(count, partition));
    const { forecast, spec, state } = await plan({ by: 'At', count, per });
    expect([state, forecast.impact.rows]).toEqual(['READY', gone.length]);
    const database = planning.target;
    const engine = await testEngine(database);
    const copy = `copy_${count}_${per.length}`;
    await database.run(
      `CREATE TABLE ${copy} (LIKE "Log" INCLUDING ALL); INSERT INTO ${copy} SELECT * FROM "Log"`,
    );
    const run = await engine.work(await engine.queue({ name: copy }, spec.operation));
    expect([run.state, run.result.rowsDeleted]).toEqual(['SUCCEEDED', gone.length]);
    const left = await database.run(
      `SELECT count(*)::int AS n FROM ${copy} WHERE id IN (${ranked(count, partition)})`,
    );
    expect(left).toEqual([{ n: 0 }]);
    await engine.close();
  });

  it('asks for an index where each row would be compared with many, and for columns that can tell', async () => {
    const codes = async (keep: KeepNewestInput) =>
      (await plan(keep, { table: 'big' })).forecast.blockers.map(({ code }) => code);
    expect(await codes({ by: 'at', count: 5, per: ['kind'] })).toEqual(['KEEP_NEWEST_INDEX']);
    await planning.target.run('CREATE INDEX ON big (kind, at)');
    expect(await codes({ by: 'at', count: 5, per: ['kind'] })).toEqual([]);
    for (const keep of [
      { by: 'nope', count: 1 },
      { by: 'at', count: 0 },
      { by: 'at', count: 1, per: ['nope'] },
    ])
      await expect(plan(keep, { table: 'big' })).rejects.toMatchObject({ code: 'BAD_USER_INPUT' });
  });
});
