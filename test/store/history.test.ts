import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { findLastTable, listSnapshots, listTables } from '../../src/store/snapshots.ts';
import { listDays, listHistory, listTableDays, thinHistory } from '../../src/store/history.ts';
import { testStore } from '../support/postgres.ts';
import { registerRow, snapshotAgo, tableOf } from '../support/registered.ts';

type TestStore = Awaited<ReturnType<typeof testStore>>;

const DAY = 86_400_000;
/** Noon of a Wednesday, so that a few hours more or less are the same day and week. */
const NOON = (() => {
  const now = new Date();
  const noon = Date.UTC(now.getUTCFullYear(), now.getUTCMonth(), now.getUTCDate(), 12);
  return noon - ((now.getUTCDay() + 4) % 7) * DAY;
})();
const ago = (time: number) => (Date.now() - time) / DAY;

describe('history', () => {
  let control: TestStore;
  let id: string;
  beforeAll(async () => {
    control = await testStore();
    id = await registerRow(control.store, 'shop');
  });
  afterAll(() => control.close());

  const times = async () =>
    (
      await control.store.prisma.snapshot.findMany({ where: { databaseId: id }, orderBy: { takenAt: 'asc' } })
    ).map(({ takenAt }) => takenAt.getTime());

  it('keeps all of a week, the first of each day of 90, the first of each week of two years, and the last', async () => {
    const older = [800, 700.5, 700, 699].map((days) => NOON - days * DAY);
    const weeks = [140, 139, 138].map((days) => NOON - days * DAY);
    const days = [40, 39.9, 39.8, 39].map((days) => NOON - days * DAY);
    const recent = [0.3, 0.2, 0.1].map((days) => Date.now() - days * DAY);
    const all = [...older, ...weeks, ...days, ...recent];
    for (const time of all) await snapshotAgo(control.store, id, ago(time), { tables: [tableOf('a')] });
    const stored = await times();
    expect(stored).toHaveLength(14);
    expect(await thinHistory(control.store, id)).toBe(7);
    expect(await times()).toEqual([1, 4, 7, 10, 11, 12, 13].map((i) => stored[i]));
    expect(await thinHistory(control.store, id)).toBe(0);
  });

  it('keeps the last one whole, however old it is', async () => {
    const other = await registerRow(control.store, 'silent');
    const index = {
      name: 'a_pkey',
      definition: 'd',
      sizeBytes: 1,
      scans: 0,
      lastScanAt: null,
      isUnique: true,
    };
    const tables = [
      tableOf('a', { indexes: [{ ...index, isPrimary: true, isValid: true, bloat: tableOf('a').bloat }] }),
    ];
    await snapshotAgo(control.store, other, 10, { tables });
    await snapshotAgo(control.store, other, 9, { tables });
    await snapshotAgo(control.store, id, 9_000, { tables });
    const before = await times();
    await thinHistory(control.store, other);
    expect(await times()).toEqual(before);
    expect(await findLastTable(control.store, other, 'public', 'a')).toMatchObject({
      bloat: { verdict: 'HEALTHY' },
      indexes: [{ name: 'a_pkey' }],
    });
    const samples = await control.store.prisma.tableSample.findMany({
      where: { snapshot: { databaseId: other } },
      orderBy: { snapshot: { takenAt: 'asc' } },
    });
    expect(samples.map(({ indexes, totalBytes }) => [(indexes as unknown[]).length, totalBytes])).toEqual([
      [0, 1_000n],
      [1, 1_000n],
    ]);
  });

  it('answers for several databases and tables at once, each in its place', async () => {
    const [one, two, none] = await Promise.all(
      ['one', 'two', 'none'].map((name) => registerRow(control.store, name)),
    );
    for (const days of [3, 2, 1]) {
      const tables = (factor: number) => [
        tableOf('a', { totalBytes: factor * (10 - days) }),
        tableOf('b', { totalBytes: factor }),
      ];
      await snapshotAgo(control.store, one!, days, { sizeBytes: 100 - days, tables: tables(10) });
      await snapshotAgo(control.store, two!, days, { sizeBytes: 200 - days, tables: tables(1_000) });
    }
    const ids = [two!, none!, one!];
    const sizes = (await listDays(control.store, ids)).map((days) => days.map(({ sizeBytes }) => sizeBytes));
    expect(sizes).toEqual([[197, 198, 199], [], [97, 98, 99]]);
    const keys = [
      { databaseId: two!, schema: 'public', name: 'a' },
      { databaseId: one!, schema: 'public', name: 'nothing' },
      { databaseId: one!, schema: 'public', name: 'a' },
    ];
    const bytes = (samples: { totalBytes: number }[][]) => samples.map((own) => own.map((s) => s.totalBytes));
    expect(bytes(await listTableDays(control.store, keys))).toEqual([
      [7_000, 8_000, 9_000],
      [],
      [70, 80, 90],
    ]);
    expect(bytes(await listHistory(control.store, keys, 2))).toEqual([[9_000, 8_000], [], [90, 80]]);
    const pages = await listTables(control.store, ids, { first: 1, orderBy: 'TOTAL_BYTES' });
    expect(pages.map(({ edges, hasNextPage }) => [edges[0]?.node.name, hasNextPage])).toEqual([
      ['a', true],
      [undefined, false],
      ['a', true],
    ]);
    const [first] = await listSnapshots(control.store, [one!], { first: 2 });
    const [rest] = await listSnapshots(control.store, [one!], { after: first!.edges[1]!.cursor });
    expect([...first!.edges, ...rest!.edges].map(({ node }) => node.sizeBytes)).toEqual([99, 98, 97]);
  });
});
