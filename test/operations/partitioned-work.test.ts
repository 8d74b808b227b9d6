import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { PartitionSpec } from '../../src/domain/partition.ts';
import type { PlanView } from '../../src/store/plans.ts';
import { findArchiveByRun } from '../../src/store/archives.ts';
import { transition } from '../../src/store/runs.ts';
import type { Session } from '../../src/target/session.ts';
import { sql } from '../../src/target/sql.ts';
import { availableVersions } from '../support/postgres.ts';
import { endOf, spawnTurn } from '../support/spawn-worker.ts';
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

describe('partitions of every kind', () => {
  beforeEach(async () => {
    scene = await partitionedScene();
  });

  const purge = (where: object) => scene.plans.purge({ ...input('', {}), where }, BY);

  it('takes a list as a whole where its bounds say so, and never a hash or the default', async () => {
    await scene.database.run(`
      CREATE TABLE event (id int, region text NOT NULL) PARTITION BY LIST (region);
      CREATE TABLE event_eu PARTITION OF event FOR VALUES IN ('de', 'fr'); CREATE TABLE event_us PARTITION OF event FOR VALUES IN ('us');
      CREATE TABLE event_rest PARTITION OF event DEFAULT;
      INSERT INTO event SELECT i, (ARRAY['de', 'fr', 'us', 'jp'])[i % 4 + 1] FROM generate_series(1, 2000) i; ANALYZE event;`);
    const plan = await purge({ column: 'region', op: 'IN', values: ['de', 'fr', 'jp'] });
    expect(waysOf(plan)).toEqual({ event_eu: 'WHOLE', event_rest: 'ROWS' });
    expect(plan.forecast.warnings.find(({ code }) => code === 'PARTITION_BY_ROWS')?.message).toContain(
      'default',
    );
    expect(await scene.run(plan)).toMatchObject({ state: 'SUCCEEDED', result: { rowsDeleted: 1_500 } });
    expect(await scene.count('SELECT count(*)::int AS n FROM event')).toBe(500);
    expect(await partitionsLeft()).toBe('event_rest event_us');
  });

  it('deletes the rows of hash partitions one by one', async () => {
    await scene.database.run(`
      CREATE TABLE event (id int NOT NULL, at date) PARTITION BY HASH (id);
      CREATE TABLE event_0 PARTITION OF event FOR VALUES WITH (MODULUS 2, REMAINDER 0); CREATE TABLE event_1 PARTITION OF event FOR VALUES WITH (MODULUS 2, REMAINDER 1);
      INSERT INTO event SELECT i, '2020-01-01' FROM generate_series(1, 2000) i; ANALYZE event;`);
    const plan = await purge({ column: 'at', op: 'LT', value: '2021-01-01' });
    expect(waysOf(plan)).toEqual({ event_0: 'ROWS', event_1: 'ROWS' });
    expect(await scene.run(plan)).toMatchObject({ state: 'SUCCEEDED', result: { rowsDeleted: 2_000 } });
    expect(await partitionsLeft()).toBe('event_0 event_1');
  });

  it('takes leaves below other partitions, and by rows what other tables reference or triggers watch', async () => {
    await scene.database.run(`
      CREATE TABLE event (id int, at date, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
      CREATE TABLE event_old PARTITION OF event FOR VALUES FROM ('2019-01-01') TO ('2020-01-01') PARTITION BY RANGE (id);
      CREATE TABLE event_old_a PARTITION OF event_old FOR VALUES FROM (0) TO (500); CREATE TABLE event_old_b PARTITION OF event_old FOR VALUES FROM (500) TO (5000);
      CREATE TABLE event_new PARTITION OF event FOR VALUES FROM ('2020-01-01') TO ('2021-01-01');
      INSERT INTO event SELECT i, date '2019-01-01' + i % 700 FROM generate_series(1, 2000) i; ANALYZE event;
      CREATE FUNCTION seen() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN OLD; END';
      CREATE TRIGGER watch AFTER DELETE ON event_old_b FOR EACH ROW EXECUTE FUNCTION seen();`);
    const where = { column: 'at', op: 'LT' as const, value: '2020-01-01' };
    const plan = await purge(where);
    expect(waysOf(plan)).toEqual({ event_old_a: 'WHOLE', event_old_b: 'ROWS' });
    expect(plan.forecast.effects).toMatchObject([{ table: 'event_old_b', effect: 'TRIGGER' }]);
    await scene.database.run(
      'CREATE TABLE note (id int, event int, at date, FOREIGN KEY (event, at) REFERENCES event)',
    );
    expect(waysOf(await purge(where))).toEqual({ event_old_a: 'ROWS', event_old_b: 'ROWS' });
    await scene.database.run('DROP TABLE note');
    expect(await scene.run(await purge(where))).toMatchObject({ state: 'SUCCEEDED' });
    expect(await partitionsLeft()).toBe('event_new event_old_b');
    expect(await scene.count(`SELECT count(*)::int AS n FROM event WHERE at < '2020-01-01'`)).toBe(0);
  });
});

describe('while others use the table', () => {
  let other: Session;
  beforeEach(async () => {
    scene = await partitionedScene();
    await scene.database.run(EVENTS);
    other = await scene.database.session({ readOnly: false, applicationName: 'report' });
  });

  const CHANGE = { code: null, reason: null, event: { kind: 'TEST', message: '' } };
  const lost = (runId: string) =>
    transition(scene.engine.deps.store, runId, {
      ...CHANGE,
      from: ['RUNNING'],
      to: 'INTERRUPTED',
      code: 'WORKER_LOST',
    });

  const old = { column: 'kind', op: 'IN' as const, values: ['k0', 'k1', 'k2'] };
  const january = { all: [old, { column: 'id', op: 'LT' as const, value: '900' }] };

  it('keeps a row that came before the lock, and goes on row by row', async () => {
    const plan = await scene.plans.archive(input('', { where: january, destination: FILES }), BY);
    // Every row of January matches, by counting: the filter says nothing of the partition's key.
    await scene.database.run('DELETE FROM event_01 WHERE id >= 900');
    const counted = await scene.plans.archive(input('', { where: january, destination: FILES }), BY);
    expect(waysOf(plan)).toEqual({ event_01: 'ROWS' });
    expect(waysOf(counted)).toEqual({ event_01: 'WHOLE' });
    await other.script(`BEGIN; INSERT INTO event (at, kind) VALUES ('2020-01-05 UTC', 'stays')`);
    const work = scene.run(counted);
    await sleep(700);
    await other.script('COMMIT');
    const run = await work;
    expect(run).toMatchObject({ state: 'SUCCEEDED', result: { rowsArchived: counted.spec.rows } });
    expect(await scene.count(`SELECT count(*)::int AS n FROM event WHERE kind = 'stays'`)).toBe(1);
    expect(await partitionsLeft()).toContain('event_01');
  });

  it('pauses with who holds the lock, and nobody has to wait behind it', async () => {
    const plan = await scene.plans.archive(input('2020-03-01', { destination: FILES }), BY);
    await other.script('BEGIN; SELECT FROM event_05 LIMIT 1; LOCK TABLE event IN ACCESS SHARE MODE');
    const work = scene.run(plan);
    const reader = await scene.database.session();
    for (let i = 0; i < 5; i += 1) {
      await sleep(100);
      // Our lock is given up after 100 ms; this session gives up after 500.
      expect((await reader.transaction(() => reader.query(sql`SELECT FROM event LIMIT 1`))).length).toBe(1);
    }
    const run = await work;
    expect(run).toMatchObject({ state: 'PAUSED', stateCode: 'LOCKED' });
    expect(run.stateReason).toContain('pid');
    expect(await partitionsLeft()).toContain('event_01');
    await other.rollback();
    await transition(scene.engine.deps.store, run.id, {
      from: ['PAUSED'],
      to: 'QUEUED',
      code: null,
      reason: null,
      event: { kind: 'QUEUED', message: '' },
    });
    expect(await scene.engine.work(run.id)).toMatchObject({
      state: 'SUCCEEDED',
      result: { rowsArchived: plan.spec.rows },
    });
  });

  it('gives a detached partition back, with what is not archived, when it is cancelled', async () => {
    const before = await scene.all();
    const plan = await scene.plans.archive(input('2020-03-01', { destination: FILES }), BY);
    const runId = await scene.queue(plan);
    const turn = await spawnTurn(scene, runId, { failpoints: 'batch.committed=kill@3' });
    expect(await endOf(turn)).toBe('SIGKILL');
    expect(await partitionsLeft()).not.toContain('event_01');
    await transition(scene.engine.deps.store, runId, {
      ...CHANGE,
      from: ['RUNNING'],
      to: 'CANCELLING',
    });
    expect(await scene.engine.work(runId)).toMatchObject({ state: 'CANCELLED' });
    expect(await partitionsLeft()).toContain('event_01');
    const archived = await findArchiveByRun(scene.engine.deps.store, runId);
    expect(archived?.rows).toBeGreaterThan(0);
    expect(await scene.count('SELECT count(*)::int AS n FROM event')).toBe(
      (before as { rows: number }).rows - (archived?.rows ?? 0),
    );
    expect(await restored(runId)).toEqual(before);
  });

  it.each([
    'batch.treated=kill@2',
    'batch.stored=kill@3',
    'batch.commit-sent=kill@4',
    'batch.committed=kill@1',
  ])('loses nothing to %s', async (failpoints) => {
    const before = await scene.all();
    const plan = await scene.plans.archive(input('2020-03-15', { destination: FILES }), BY);
    const runId = await scene.queue(plan);
    expect(await endOf(await spawnTurn(scene, runId, { failpoints }))).toBe('SIGKILL');
    await lost(runId);
    expect(await scene.engine.work(runId)).toMatchObject({
      state: 'SUCCEEDED',
      result: { rowsArchived: plan.spec.rows },
    });
    expect(await restored(runId)).toEqual(before);
  });

  it('stops at a partition that somebody has detached meanwhile, and leaves one alone that came', async () => {
    const plan = await scene.plans.purge(input('2020-02-01', {}), BY);
    await scene.database.run('ALTER TABLE event DETACH PARTITION event_01');
    expect(await scene.run(plan)).toMatchObject({ state: 'PAUSED', stateCode: 'SCHEMA_DRIFT' });
    expect(await scene.count('SELECT count(*)::int AS n FROM event_01')).toBe(plan.spec.rows);
    const february = await scene.plans.purge(input('2020-03-01', {}), BY);
    await scene.database.run(
      `ALTER TABLE event ATTACH PARTITION event_01 FOR VALUES FROM ('2020-01-01') TO ('2020-02-01')`,
    );
    expect(waysOf(february)).toEqual({ event_02: 'WHOLE' });
    await transition(
      scene.engine.deps.store,
      (await scene.engine.deps.store.prisma.run.findFirstOrThrow()).id,
      {
        from: ['PAUSED'],
        to: 'CANCELLING',
        code: null,
        reason: null,
        event: { kind: 'CANCELLING', message: '' },
      },
    );
    await scene.engine.work((await scene.engine.deps.store.prisma.run.findFirstOrThrow()).id);
    expect(await scene.run(february)).toMatchObject({ state: 'SUCCEEDED' });
    expect(await scene.count('SELECT count(*)::int AS n FROM event_01')).toBe(plan.spec.rows);
  });
});
