import { afterAll, beforeAll, expect, it } from '@jest/globals';
import type { PlanRestoreInput } from '../../src/domain/plan-inputs.ts';
import type { PlanView } from '../../src/store/plans.ts';
import { makePlanning, OPERATOR, type Planning } from './planning.ts';

let planning: Planning;
beforeAll(async () => {
  planning = await makePlanning({ environment: 'PRODUCTION', sql: 'CREATE TABLE t (id int PRIMARY KEY)' });
});
afterAll(() => planning.close());

const codes = (plan: PlanView) => plan.forecast.blockers.map(({ code }) => code);
const warnings = (plan: PlanView) => plan.forecast.warnings.map(({ code }) => code);

let archives = 0;
const makeArchive = async (
  table: string,
  change: { kind?: 'FILES' | 'TABLE'; rows?: number; holder?: string; columns?: [string, string][] } = {},
) => {
  const { prisma } = planning.store;
  const { id: planId } = await planning.plans.reorganization(
    { database: 'shop', schema: 'public', table: 't', method: 'ANALYZE' },
    OPERATOR,
  );
  const run = await prisma.run.create({
    data: { planId, databaseId: planning.databaseId, state: 'SUCCEEDED', startedBy: 'x', throttle: {} },
  });
  archives += 1;
  const columns = (
    change.columns ?? [
      ['id', 'integer'],
      ['note', 'pg_catalog.text'],
    ]
  ).map(([name, type]) => ({ name, type }));
  const holder = change.holder === undefined ? null : { schema: 'public', name: change.holder };
  return prisma.archive.create({
    data: {
      runId: run.id,
      databaseId: planning.databaseId,
      schema: 'public',
      table,
      kind: change.kind ?? 'FILES',
      rows: change.rows ?? 10,
      bytes: 1000,
      content: { columns, holder },
    },
  });
};
const restore = (input: Partial<PlanRestoreInput>) =>
  planning.plans.restore({ into: 'SOURCE', onConflict: 'REFUSE', ...input }, OPERATOR);

/** Its run, as if it had done a batch. */
const ran = ({ id: planId }: PlanView, state: 'SUCCEEDED' | 'CANCELLED') =>
  planning.store.prisma.run.create({
    data: {
      planId,
      databaseId: planning.databaseId,
      state,
      batches: 1,
      endedAt: new Date(),
      startedBy: 'x',
      throttle: {},
    },
  });

it('goes back to the table that the rows came from, by column names', async () => {
  await planning.target
    .run(`CREATE TABLE notes (id int PRIMARY KEY, added date, note varchar(9), upper text GENERATED ALWAYS AS (upper(note)) STORED);
    CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'; CREATE TRIGGER g BEFORE INSERT ON notes FOR EACH ROW EXECUTE FUNCTION f()`);
  const archive = await makeArchive('notes', {
    columns: [
      ['id', 'integer'],
      ['note', 'pg_catalog.text'],
      ['upper', 'pg_catalog.text'],
      ['gone', 'integer'],
    ],
  });
  const plan = await restore({ archiveId: archive.id });
  expect(plan).toMatchObject({
    kind: 'RESTORE',
    state: 'READY',
    spec: {
      rows: 10,
      rowsAreExact: true,
      operation: { sourceRunId: archive.runId, schema: 'public', table: 'notes' },
    },
  });
  expect(warnings(plan)).toEqual(['COLUMN_ADDED', 'COLUMN_DROPPED', 'COLUMN_CHANGED']);
  expect(plan.forecast.effects).toEqual([expect.objectContaining({ effect: 'TRIGGER', rows: 10 })]);
  expect(plan.forecast.steps.map(({ sql }) => sql).join()).toContain(
    'INSERT INTO "public"."notes" ("id", "note") OVERRIDING SYSTEM VALUE',
  );
  await planning.checkFresh(plan);
  expect((await restore({ runId: archive.runId })).hash).toBe(plan.hash);
});

it('goes to a new table when the old one is gone or has grown a column that must be filled', async () => {
  await planning.target.run('CREATE TABLE strict (id int, needed int NOT NULL)');
  const [gone, strict] = [await makeArchive('gone'), await makeArchive('strict')];
  expect([
    codes(await restore({ archiveId: gone.id })),
    codes(await restore({ archiveId: strict.id })),
  ]).toEqual([['TABLE_MISSING'], ['COLUMN_REQUIRED']]);
  const side = await restore({ archiveId: gone.id, into: 'SIDE_TABLE' });
  expect(side).toMatchObject({
    state: 'READY',
    table: `gone_restored_${gone.runId.slice(0, 8)}`,
    spec: { relations: [] },
  });
  await planning.target.run(`CREATE TABLE "${side.table!}" ()`);
  expect(codes(await restore({ archiveId: gone.id, into: 'SIDE_TABLE' }))).toEqual(['SIDE_TABLE_EXISTS']);
});

it('refuses a column that was renamed: by name, its values would be left out', async () => {
  await planning.target.run('CREATE TABLE renamed (id int PRIMARY KEY, remark text)');
  const columns: [string, string][] = [
    ['id', 'integer'],
    ['note', 'pg_catalog.text'],
  ];
  const archive = await makeArchive('renamed', { columns });
  const plan = await restore({ archiveId: archive.id });
  expect(codes(plan)).toEqual(['COLUMN_RENAMED']);
  expect(plan.forecast.blockers[0]?.message).toBe(
    'The column note of the archive seems to be remark now: its values would be left out.',
  );
  expect(codes(await restore({ archiveId: archive.id, into: 'SIDE_TABLE' }))).toEqual([]);
  const numbered = {
    columns: columns.map(([name, type], i) => ({ name, type, number: i + 7 })),
    holder: null,
  };
  await planning.store.prisma.archive.update({ where: { id: archive.id }, data: { content: numbered } });
  expect(codes(await restore({ archiveId: archive.id }))).toEqual([]);
});

it('counts the rows of a filter where they are in a table, and says so where they are in files', async () => {
  await planning.target.run(
    'CREATE TABLE held (id int, note text); INSERT INTO held SELECT i, i % 2 FROM generate_series(1, 10) i; CREATE TABLE origin (id int, note text)',
  );
  const where = { column: 'note', op: 'EQ', value: '1' } as const;
  const inTable = await restore({
    archiveId: (await makeArchive('origin', { kind: 'TABLE', holder: 'held' })).id,
    where,
  });
  expect(inTable.forecast.impact).toMatchObject({ rows: 5, rowsAreExact: true, share: 0.5 });
  const inFiles = await restore({ archiveId: (await makeArchive('origin')).id, where });
  expect([inFiles.forecast.impact.rowsAreExact, warnings(inFiles)]).toEqual([false, ['ROWS_ESTIMATED']]);
  const lost = await makeArchive('gone');
  await expect(restore({ archiveId: lost.id, where, into: 'SIDE_TABLE' })).rejects.toMatchObject({
    code: 'BAD_USER_INPUT',
  });
});

it('needs approval on PRODUCTION for very many rows', async () => {
  await planning.target.run('CREATE TABLE huge (id int, note text)');
  expect((await restore({ archiveId: (await makeArchive('huge', { rows: 10_000_001 })).id })).state).toBe(
    'NEEDS_APPROVAL',
  );
});

it('waits until the run that makes the archive has ended', async () => {
  await planning.target.run('CREATE TABLE growing (id int PRIMARY KEY, note text)');
  const { prisma } = planning.store;
  const archive = await makeArchive('growing');
  const inState = async (state: 'RUNNING' | 'PAUSED' | 'INTERRUPTED' | 'CANCELLED') => {
    await prisma.run.update({ where: { id: archive.runId }, data: { state } });
    return restore({ archiveId: archive.id });
  };
  for (const state of ['RUNNING', 'PAUSED', 'INTERRUPTED'] as const) {
    const blocked = await inState(state);
    expect([blocked.state, codes(blocked)]).toEqual(['BLOCKED', ['ARCHIVE_UNFINISHED']]);
    expect(blocked.forecast.blockers[0]!.hint).toContain(archive.runId);
  }
  const free = await inState('CANCELLED');
  expect(free.state).toBe('READY');
  await prisma.run.update({ where: { id: archive.runId }, data: { state: 'QUEUED' } });
  await expect(planning.checkFresh(free)).rejects.toThrow(/stale: The run that makes this archive is QUEUED/);
  expect(codes(await restore({ archiveId: archive.id, into: 'SIDE_TABLE' }))).toEqual(['ARCHIVE_UNFINISHED']);
});

it('is stale when the archive has grown since', async () => {
  await planning.target.run('CREATE TABLE grown (id int PRIMARY KEY, note text)');
  const archive = await makeArchive('grown');
  const plan = await restore({ archiveId: archive.id });
  await planning.store.prisma.archive.update({ where: { id: archive.id }, data: { rows: 11 } });
  await expect(planning.checkFresh(plan)).rejects.toThrow(/the archive holds 11 rows now, and 10/);
});

it('does not bring the same rows back twice, unless those that are there are left out', async () => {
  await planning.target.run(
    'CREATE TABLE keyed (id int PRIMARY KEY, note text); CREATE TABLE keyless (id int, note text); CREATE INDEX ON keyless (id)',
  );
  const [keyed, keyless] = [await makeArchive('keyed'), await makeArchive('keyless')];
  const [first, early, part] = [
    await restore({ archiveId: keyed.id }),
    await restore({ archiveId: keyed.id }),
    await restore({ archiveId: keyless.id, where: { column: 'id', op: 'LT', value: '5' } }),
  ];
  const side = await restore({ archiveId: keyed.id, into: 'SIDE_TABLE' });
  await ran(side, 'SUCCEEDED');
  expect(codes(await restore({ archiveId: keyed.id }))).toEqual([]);
  await planning.checkFresh(early);
  await ran(first, 'SUCCEEDED');
  await ran(part, 'CANCELLED');
  const again = await restore({ archiveId: keyed.id });
  expect([again.state, codes(again)]).toEqual(['BLOCKED', ['ALREADY_RESTORED']]);
  await expect(planning.checkFresh(early)).rejects.toThrow(/went back into the table already/);
  expect(codes(await restore({ archiveId: keyed.id, onConflict: 'SKIP' }))).toEqual([]);
  expect(codes(await restore({ archiveId: keyless.id, onConflict: 'SKIP' }))).toEqual(['ALREADY_RESTORED']);
  const other = await restore({ archiveId: keyless.id, where: { column: 'id', op: 'GE', value: '5' } });
  expect([codes(other), warnings(other)]).toEqual([[], ['RESTORED_IN_PART', 'ROWS_ESTIMATED']]);
  const same = await restore({ archiveId: keyless.id, where: { column: 'id', op: 'LT', value: '5' } });
  expect(codes(same)).toEqual(['ALREADY_RESTORED']);
});

it('finds keys that are taken, where the archive is a table', async () => {
  await planning.target.run(
    'CREATE TABLE live (id int PRIMARY KEY, note text); INSERT INTO live VALUES (3, NULL); CREATE TABLE shelf (id int, note text); INSERT INTO shelf SELECT generate_series(1, 5)',
  );
  const { id } = await makeArchive('live', { kind: 'TABLE', holder: 'shelf', rows: 5 });
  const asked = (value: string, change: Partial<PlanRestoreInput> = {}) =>
    restore({ archiveId: id, where: { column: 'id', op: 'LE', value }, ...change });
  expect(codes(await restore({ archiveId: id }))).toEqual(['KEYS_TAKEN']);
  expect([codes(await asked('3')), codes(await asked('2'))]).toEqual([['KEYS_TAKEN'], []]);
  expect(codes(await asked('3', { onConflict: 'SKIP' }))).toEqual([]);
  expect(codes(await asked('3', { into: 'SIDE_TABLE' }))).toEqual([]);
});

it('takes a throttle, and counts its rests into the time that it takes', async () => {
  await planning.target.run('CREATE TABLE slow (id int PRIMARY KEY, note text)');
  const archive = await makeArchive('slow', { rows: 1_200_000 });
  const plan = (throttle?: object) =>
    restore({ archiveId: archive.id, ...(throttle === undefined ? {} : { throttle }) });
  const [quick, slow] = [await plan({ dutyCycle: 1, batchMs: 40 }), await plan()];
  expect(quick.spec.throttle).toMatchObject({ dutyCycle: 1, batchMs: 40 });
  expect(quick.forecast.locks[0]!.longestMs).toBe(40);
  expect(slow.spec.throttle.dutyCycle).toBe(0.2);
  expect([quick, slow].map(({ forecast }) => forecast.impact.estimatedSeconds)).toEqual([23, 103]);
  await expect(plan({ dutyCycle: 0 })).rejects.toMatchObject({ code: 'BAD_USER_INPUT' });
});

it.each([{}, { archiveId: 'x', runId: 'y' }])('is for one archive: %j', async (input) => {
  await expect(restore(input)).rejects.toMatchObject({ code: 'BAD_USER_INPUT' });
});

it('is for an archive that is there', async () => {
  for (const archiveId of ['x', '00000000-0000-4000-8000-000000000000']) {
    await expect(restore({ archiveId })).rejects.toMatchObject({ code: 'NOT_FOUND' });
  }
  expect(archives).toBeGreaterThan(0);
});
