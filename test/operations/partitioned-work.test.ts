import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { PartitionSpec } from '../../src/domain/partition.ts';
import type { PlanView } from '../../src/store/plans.ts';
import { availableVersions } from '../support/postgres.ts';
import { BY, EVENTS, partitionedScene, type PartitionedScene } from '../support/partitioned.ts';

let scene: PartitionedScene;

afterEach(() => scene.close());

const input = <Change extends object>(value: string, change: Change) => ({
  database: scene.database.name,
  schema: 'public',
  table: 'event',
  where: { column: 'at', op: 'LT' as const, value },
  dependents: 'REFUSE' as const,
  limits: { maxShare: 1 },
  ...change,
});

const FILES = { kind: 'FILES' as const, store: 'local', format: 'COPY_ZSTD' as const };
const TABLE = { kind: 'TABLE' as const, schema: 'public', table: 'old_event' };

const waysOf = (plan: PlanView): Record<string, string> => {
  const { partitions = [] } = plan.spec.operation as { partitions?: readonly PartitionSpec[] };
  return Object.fromEntries(partitions.map(({ name, way }) => [name, way]));
};

const partitionsLeft = async () =>
  (
    await scene.database.run(
      `SELECT coalesce(string_agg(relid::regclass::text, ' ' ORDER BY relid::regclass::text), '') AS names FROM pg_partition_tree('event') WHERE isleaf`,
    )
  )[0]?.['names'];

const restored = async (runId: string) => {
  const blocked = await scene.plans.restore({ runId, into: 'SOURCE', onConflict: 'REFUSE' }, BY);
  for (const { code, hint } of blocked.forecast.blockers) {
    expect(code).toBe('PARTITION_MISSING');
    await scene.database.run(hint ?? '');
  }
  const plan = await scene.plans.restore({ runId, into: 'SOURCE', onConflict: 'REFUSE' }, BY);
  expect(await scene.run(plan)).toMatchObject({ state: 'SUCCEEDED', stateReason: null });
  return scene.all();
};

describe.each(availableVersions().filter((version) => [14, 15, 18].includes(version)))(
  'a table partitioned by date on PostgreSQL %d',
  (version) => {
    beforeEach(async () => {
      scene = await partitionedScene(version);
      await scene.database.run(EVENTS);
    });

    it.each([
      ['files', FILES],
      ['a table', TABLE],
    ])('moves whole months to %s, the rest by rows, and all of it back', async (_, destination) => {
      const before = await scene.all();
      const plan = await scene.plans.archive(input('2020-03-15', { destination }), BY);
      expect(waysOf(plan)).toEqual({ event_01: 'WHOLE', event_02: 'WHOLE', event_03: 'ROWS' });
      const matching = await scene.count(`SELECT count(*)::int AS n FROM event WHERE at < '2020-03-15 UTC'`);
      const run = await scene.run(plan);
      expect(run).toMatchObject({
        state: 'SUCCEEDED',
        result: { rowsArchived: matching, rowsDeleted: matching },
      });
      expect(run.result.bytesReclaimed).toBeGreaterThan(100_000);
      expect(await partitionsLeft()).toBe(
        'event_03 event_04 event_05 event_06 event_07 event_08 event_09 event_10 event_11 event_12',
      );
      expect(await scene.count(`SELECT count(*)::int AS n FROM event WHERE at < '2020-03-15 UTC'`)).toBe(0);
      expect(await restored(run.id)).toEqual(before);
    });

    it('drops whole months of a purge, the one with another order of columns too', async () => {
      const plan = await scene.plans.purge(
        input('2020-12-20', { where: { column: 'at', op: 'GE', value: '2020-11-01' } }),
        BY,
      );
      expect(waysOf(plan)).toEqual({ event_11: 'WHOLE', event_12: 'WHOLE' });
      const left = await scene.all(`event WHERE at < '2020-11-01 UTC'`);
      const run = await scene.run(plan);
      expect(run).toMatchObject({ state: 'SUCCEEDED', result: { rowsDeleted: plan.spec.rows } });
      expect(plan.spec.rows).toBeGreaterThan(1_900);
      expect(await scene.all()).toEqual(left);
      expect(await partitionsLeft()).not.toContain('event_11');
    });

    it('archives a month whose columns have another order as well as any', async () => {
      const before = await scene.all();
      const plan = await scene.plans.archive(
        input('2020-12-20', { where: { column: 'at', op: 'GE', value: '2020-12-01' }, destination: FILES }),
        BY,
      );
      expect(waysOf(plan)).toEqual({ event_12: 'WHOLE' });
      const run = await scene.run(plan);
      expect(run).toMatchObject({ state: 'SUCCEEDED', result: { rowsArchived: plan.spec.rows } });
      expect(await restored(run.id)).toEqual(before);
    });
  },
);
