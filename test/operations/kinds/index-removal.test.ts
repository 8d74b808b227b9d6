import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { duplicateIndex } from '../../../src/analysis/kinds/duplicate-index.ts';
import { invalidIndex } from '../../../src/analysis/kinds/invalid-index.ts';
import { redundantIndex } from '../../../src/analysis/kinds/redundant-index.ts';
import { unusedIndex } from '../../../src/analysis/kinds/unused-index.ts';
import type { Analysis } from '../../../src/analysis/define-analysis.ts';
import type { PlanIndexRemovalInput } from '../../../src/domain/plan-inputs.ts';
import { DeclutterError } from '../../../src/errors.ts';
import type { PlanView } from '../../../src/store/plans.ts';
import { ask, inTurn } from '../../analysis/support.ts';
import { BY, codesOf, indexScene, type IndexScene, pidOf } from '../../support/index-scene.ts';
import { ownServer, type OwnServer } from '../../support/postgres.ts';

/** Its own: standbys and slots of other tests would make every index one that may be used. */
let server: OwnServer;
let scene: IndexScene;

beforeAll(async () => {
  server = await ownServer();
});

afterAll(() => server.stop());

beforeEach(async () => {
  scene = await indexScene(await server.database());
  // Since when they count is known from now on.
  await scene.database.run('SELECT pg_stat_reset()');
  await scene.database.run(`
    CREATE TABLE item (id int PRIMARY KEY, kind int NOT NULL, note text, flag bool);
    INSERT INTO item SELECT i, i % 10, 'note ' || i, i % 3 = 0 FROM generate_series(1, 20000) i`);
  await inTurn(scene.database, 'VACUUM ANALYZE item');
});

afterEach(() => scene.close());

const remove = (index: string, change: Partial<PlanIndexRemovalInput> = {}): Promise<PlanView> =>
  scene.plans.indexRemoval({ database: scene.database.name, schema: 'public', index, ...change }, BY);
const restore = (runId: string) => scene.plans.restore({ runId, into: 'SOURCE', onConflict: 'REFUSE' }, BY);
const found = async (analysis: Analysis) => {
  const later = new Date(Date.now() + 30 * 86_400_000);
  const { faults } = await ask(analysis, scene.database, { now: later, watchedSince: new Date() });
  return faults;
};
const inputOf = async (analysis: Analysis) => {
  const [fault] = await found(analysis);
  return { index: fault!.index!, remedy: fault!.remedy!.variables['input'] as PlanIndexRemovalInput };
};
const item = () => scene.indexes('item');
const named = async (name: string) => (await item()).find((index) => index.name === name);

const HALF_DROPPED = `SELECT FROM pg_index i, pg_stat_activity a WHERE i.indrelid = 'item'::regclass AND NOT i.indisvalid
  AND a.query LIKE 'DROP INDEX CONCURRENTLY%' AND a.wait_event = 'virtualxid'`;

describe('the removal of an index', () => {
  it('that nobody uses is undone by one call, with the same definition, comment and validity', async () => {
    await scene.database.run(`
      CREATE INDEX "Odd ""one""" ON item USING btree (lower(note) COLLATE "C" text_pattern_ops DESC, kind) INCLUDE (flag)
        WITH (fillfactor = 70, deduplicate_items = off) WHERE flag AND note <> 'it''s; WHERE';
      COMMENT ON INDEX "Odd ""one""" IS 'it''s \\ "odd"'`);
    const before = await named('Odd "one"');
    const { remedy } = await inputOf(unusedIndex);
    const plan = await remove(remedy.index, { schema: remedy.schema });
    expect(plan).toMatchObject({ kind: 'INDEX_REMOVAL', state: 'READY' });
    expect(plan.forecast.warnings.map(({ code }) => code)).toEqual([
      'INDEX_UNDO',
      'INDEX_UNUSED',
      'EXPRESSION_STATISTICS',
    ]);
    const run = await scene.run(plan);
    expect(run.result.bytesReclaimed).toBe(plan.forecast.impact.bytesReclaimed);
    expect(run).toMatchObject({ state: 'SUCCEEDED', result: { nextStep: expect.stringContaining(run.id) } });
    expect((await item()).map(({ name }) => name)).toEqual(['item_pkey']);
    expect(await found(unusedIndex)).toEqual([]);

    const undo = await restore(run.id);
    expect(undo).toMatchObject({ kind: 'INDEX_CREATION', state: 'READY' });
    expect(await scene.run(undo)).toMatchObject({ state: 'SUCCEEDED' });
    expect(before).toMatchObject({ valid: true, comment: `it's \\ "odd"` });
    expect(await named('Odd "one"')).toEqual(before);
    expect(codesOf(await restore(run.id))).toEqual(['NAME_TAKEN', 'INDEX_EXISTS']);
  });

  it.each([
    ['duplicate', duplicateIndex, 'CREATE INDEX a ON item (kind); CREATE INDEX b ON item (kind)'],
    ['redundant', redundantIndex, 'CREATE INDEX a ON item (kind); CREATE INDEX b ON item (kind, note)'],
  ])('that is %s needs no counters, and leaves the other one alone', async (_, analysis, sql) => {
    await scene.database.run(`${sql}; ANALYZE item; SET enable_seqscan = off`);
    const { index, remedy } = await inputOf(analysis);
    const other = index === 'a' ? 'b' : 'a';
    expect(await scene.run(await remove(remedy.index))).toMatchObject({ state: 'SUCCEEDED' });
    expect(await found(analysis)).toEqual([]);
    expect((await item()).map(({ name }) => name)).toEqual([other, 'item_pkey']);
    await inTurn(scene.database, 'SET enable_seqscan = off; SELECT count(*) FROM item WHERE kind = 3');
    expect(codesOf(await remove(other))).toEqual(['INDEX_IN_USE']);
  });

  it('that is not valid has no undo', async () => {
    await scene.database.run('CREATE INDEX broken ON item (kind)');
    await scene.database.run(`UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'broken'::regclass`);
    await scene.database.run(`ALTER INDEX broken RENAME TO item_pkey_ccnew`);
    const { remedy } = await inputOf(invalidIndex);
    const run = await scene.run(await remove(remedy.index));
    expect(run).toMatchObject({ state: 'SUCCEEDED', result: { nextStep: null } });
    expect(await found(invalidIndex)).toEqual([]);
    expect(codesOf(await restore(run.id))).toEqual(['INDEX_INVALID']);
  });

  it.each([
    ['a primary key', '', 'item_pkey', 'INDEX_PROTECTED'],
    ['a constraint', 'ALTER TABLE item ADD UNIQUE (note)', 'item_note_key', 'INDEX_PROTECTED'],
    [
      'an exclusion constraint',
      'ALTER TABLE item ADD CONSTRAINT apart EXCLUDE USING btree (id WITH =)',
      'apart',
      'INDEX_PROTECTED',
    ],
    [
      'what a foreign key refers to',
      'CREATE UNIQUE INDEX t ON item (id); CREATE UNIQUE INDEX u ON item (note); CREATE TABLE child (n text REFERENCES item (note))',
      'u',
      'INDEX_PROTECTED',
    ],
    [
      'the replica identity',
      'CREATE UNIQUE INDEX u ON item (kind, id); ALTER TABLE item REPLICA IDENTITY USING INDEX u',
      'u',
      'INDEX_PROTECTED',
    ],
    [
      'what the table is clustered by',
      'CREATE INDEX c ON item (kind); ALTER TABLE item CLUSTER ON c',
      'c',
      'INDEX_PROTECTED',
    ],
    [
      'statistics of its own',
      'CREATE INDEX s ON item ((kind + 1)); ALTER INDEX s ALTER COLUMN 1 SET STATISTICS 500',
      's',
      'INDEX_PROTECTED',
    ],
    [
      'a part of a partitioned index',
      'CREATE TABLE p (a int) PARTITION BY LIST (a); CREATE TABLE p1 PARTITION OF p DEFAULT; CREATE INDEX pa ON p (a)',
      'p1_a_idx',
      'INDEX_PROTECTED',
    ],
    [
      'a partitioned index',
      'CREATE TABLE p (a int) PARTITION BY LIST (a); CREATE TABLE p1 PARTITION OF p DEFAULT; CREATE INDEX pa ON p (a)',
      'pa',
      'INDEX_PROTECTED',
    ],
    [
      'an index of an extension',
      'CREATE EXTENSION pgstattuple; CREATE INDEX e ON item (kind); ALTER INDEX e DEPENDS ON EXTENSION pgstattuple',
      'e',
      'INDEX_PROTECTED',
    ],
    [
      'the look-ups of a foreign key',
      'CREATE TABLE child (i int REFERENCES item); CREATE INDEX ci ON child (i)',
      'ci',
      'INDEX_PROTECTED',
    ],
    ['unique values', 'CREATE UNIQUE INDEX u ON item (note)', 'u', 'INDEX_UNIQUE'],
  ])('is refused where it serves %s', async (_, sql, index, code) => {
    await scene.database.run(sql === '' ? 'SELECT' : sql);
    const plan = await remove(index);
    expect([plan.state, codesOf(plan)]).toEqual(['BLOCKED', [code]]);
  });

  it('is refused while its use is not known', async () => {
    await scene.database.run('CREATE INDEX n ON item (kind)');
    expect(codesOf(await remove('n'))).toEqual([]);
    const open = () => Promise.reject(new DeclutterError('TARGET_UNREACHABLE', 'It is away.'));
    scene.replicas.push({ name: 'copy:5432', open });
    const plan = await remove('n');
    expect([codesOf(plan), plan.forecast.blockers[0]?.message]).toEqual([
      ['USAGE_UNKNOWN'],
      expect.stringContaining('The replica copy:5432 could not be asked (It is away.)'),
    ]);
  });

  it('does not begin when the index was used since it was planned, or another one is no longer there', async () => {
    await scene.database.run(
      'CREATE INDEX n ON item (note); CREATE INDEX k1 ON item (kind); CREATE INDEX k2 ON item (kind)',
    );
    const unused = await remove('n');
    await inTurn(scene.database, `SET enable_seqscan = off; SELECT FROM item WHERE note = 'note 7'`);
    expect(await scene.run(unused)).toMatchObject({
      state: 'PAUSED',
      stateCode: 'SCHEMA_DRIFT',
      stateReason: expect.stringContaining('was used 1 times since'),
    });
    await scene.cancel(await scene.runOf(unused));
    await scene.work(await scene.runOf(unused));
    const covered = await remove('k1');
    await scene.database.run('DROP INDEX k2');
    expect(await scene.run(covered)).toMatchObject({ state: 'PAUSED', stateCode: 'SCHEMA_DRIFT' });
    expect((await item()).map(({ name, valid }) => [name, valid])).toEqual([
      ['item_pkey', true],
      ['k1', true],
      ['n', true],
    ]);
  });

  it('is not begun while an old transaction uses the table, keeps no reader waiting, and goes on when it has ended', async () => {
    await scene.database.run('CREATE INDEX n ON item (kind)');
    const runId = await scene.queue(await remove('n'));
    const reader = await scene.session('BEGIN; SELECT FROM item LIMIT 1; SELECT pg_sleep(2.1)');
    const turn = scene.work(runId);
    expect(
      await scene.database.run(`SET statement_timeout = '5s'; SELECT count(*)::int AS n FROM item`),
    ).toEqual([{ n: 20_000 }]);
    const paused = await turn;
    expect(paused).toMatchObject({ state: 'PAUSED', stateCode: 'LOCKED' });
    expect(paused.stateReason).toContain(`pid ${pidOf(reader)} (somebody, in a transaction since`);
    expect(await named('n')).toMatchObject({ valid: true });
    await reader.query('COMMIT');
    expect(await scene.resume(runId)).toMatchObject({ state: 'SUCCEEDED' });
    expect(await named('n')).toBeUndefined();
  });

  it('that is cancelled half way leaves the index as it was', async () => {
    await scene.database.run('CREATE INDEX n ON item (kind)');
    const before = await named('n');
    const runId = await scene.queue(await remove('n'));
    const reader = await scene.session('BEGIN; SELECT FROM item LIMIT 1');
    const turn = scene.work(runId);
    await scene.until(HALF_DROPPED);
    await scene.cancel(runId);
    await scene.until(
      `SELECT FROM pg_stat_activity WHERE query LIKE 'REINDEX INDEX CONCURRENTLY%' AND wait_event = 'virtualxid'`,
    );
    await reader.query('COMMIT');
    expect(await turn).toMatchObject({ state: 'CANCELLED' });
    expect(await named('n')).toEqual(before);
  });

  it('is finished by the next worker when one is killed half way', async () => {
    await scene.database.run('CREATE INDEX n ON item (kind)');
    const runId = await scene.queue(await remove('n'));
    const reader = await scene.killed(runId, HALF_DROPPED, 'BEGIN; SELECT FROM item LIMIT 1');
    await reader.query('COMMIT');
    expect(await scene.takeOver(runId)).toMatchObject({ state: 'SUCCEEDED' });
    expect((await item()).map(({ name, valid }) => [name, valid])).toEqual([['item_pkey', true]]);
    const undo = await scene.run(await restore(runId));
    expect(undo).toMatchObject({ state: 'SUCCEEDED' });
    expect(await named('n')).toMatchObject({ valid: true });
  });
});
