import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { type ExactReading, readDatabaseFigures } from '../../src/analysis/database-figures.ts';
import type { DatabaseFigures } from '../../src/analysis/define-analysis.ts';
import { tableBloat } from '../../src/analysis/kinds/table-bloat.ts';
import { type Clock, systemClock } from '../../src/clock.ts';
import type { Bloat } from '../../src/domain/finding.ts';
import { type TestDatabase, testDatabase } from '../support/postgres.ts';
import { inTurn, tableNamed } from './support.ts';

const GENEROUS = { bytes: 2 ** 30, ms: 60_000 };
const codes = (bloat: Bloat) => bloat.causes.map((cause) => cause.code);

describe('exact', () => {
  let database: TestDatabase;

  beforeAll(async () => {
    database = await testDatabase();
    await inTurn(
      database,
      `CREATE EXTENSION pgstattuple;
       CREATE TABLE half_full (id int4, t text) WITH (fillfactor = 50); INSERT INTO half_full SELECT g, md5(g::text) FROM generate_series(1, 20000) g;
       CREATE TABLE dropped AS SELECT g id, 'x'::text t, repeat('y', 300) old FROM generate_series(1, 8000) g;
       CREATE TABLE narrowed AS SELECT g id, CASE WHEN g % 12 = 0 THEN repeat(md5(g::text), 40) ELSE 'x' END t FROM generate_series(1, 8000) g;
       ALTER TABLE narrowed ALTER t SET STORAGE EXTERNAL; UPDATE narrowed SET t = t || '';
       CREATE TABLE outside (id int8, doc text); ALTER TABLE outside ALTER doc SET STORAGE EXTERNAL;
       INSERT INTO outside SELECT g, repeat(md5(g::text), 95) FROM generate_series(1, 1000) g;
       CREATE TABLE bloated AS SELECT g id, md5(g::text) t FROM generate_series(1, 40000) g; CREATE INDEX bloated_id ON bloated (id)`,
      'VACUUM FULL',
      'VACUUM ANALYZE',
      `DELETE FROM bloated WHERE id % 2 = 0; ALTER TABLE dropped DROP COLUMN old; UPDATE narrowed SET t = 'x' WHERE id % 12 = 0`,
      'VACUUM',
      'ANALYZE bloated; ANALYZE dropped',
    );
  });

  afterAll(() => database.drop());

  async function read(
    budget: ExactReading['budget'],
    options: { clock?: Clock; sampling?: { ms: number; tables: number } } = {},
  ): Promise<DatabaseFigures> {
    const session = await database.session();
    const figures = await readDatabaseFigures(session, {
      scope: null,
      exact: { budget, what: 'ALL' },
      clock: systemClock,
      ...options,
    });
    await session.close();
    return figures;
  }

  it('says that the fillfactor keeps room free, which plain reading calls waste', async () => {
    const { bloat } = tableNamed(await read(GENEROUS), 'half_full');
    expect(bloat).toMatchObject({ verdict: 'HEALTHY', method: 'SCAN' });
    expect(bloat.ratio).toBeLessThan(0.05);
    expect(codes(bloat)).toContain('FILLFACTOR');
    expect(bloat.causes.find(({ code }) => code === 'FILLFACTOR')!.detail).toMatch(
      /[45]\d % .* fillfactor 50/,
    );
  });

  it('names dropped columns, whose bytes plain reading calls live', async () => {
    const { bloat } = tableNamed(await read(GENEROUS), 'dropped');
    const [plain] = await database.run(`SELECT free_percent FROM pgstattuple('dropped')`);
    expect(Number(plain!['free_percent'])).toBeLessThan(10);
    expect(bloat.ratio).toBeGreaterThan(0.8);
    expect(codes(bloat)).toContain('DROPPED_COLUMNS');
  });

  it('says which width misled the statistics', async () => {
    const { bloat } = tableNamed(await read(GENEROUS, { sampling: { ms: 0, tables: 0 } }), 'narrowed');
    expect(bloat).toMatchObject({ verdict: 'NEEDS_REWRITE', method: 'SCAN' });
    expect(codes(bloat)).toContain('STALE_WIDTH');
  });

  it('keeps the budget of bytes: the worst come first, the rest is named', async () => {
    const { heapBytes, indexes } = tableNamed(await read(GENEROUS), 'bloated');
    const size = indexes[0]!.sizeBytes;
    const figures = await read({ bytes: heapBytes + size, ms: 60_000 });
    const read_ = figures.tables.filter((table) => table.bloat.method === 'SCAN').map((table) => table.name);
    expect(read_).toContain('bloated');
    const left = figures.tables.filter((table) => table.bloat.method !== 'SCAN');
    expect(left.length).toBeGreaterThan(1);
    for (const table of left) expect(codes(table.bloat)).toContain('BUDGET_SPENT');
  });

  it('reads nothing of a table whose TOAST table has no place in the budget', async () => {
    const { pages } = tableNamed(await read(GENEROUS), 'outside');
    const figures = await read({ bytes: (pages.count + 10) * 8192, ms: 60_000 });
    expect(codes(tableNamed(figures, 'outside').bloat)).toContain('BUDGET_SPENT');
  });

  it('keeps the budget of time, and says so in the finding', async () => {
    let ms = 0;
    // Each look at the clock takes a second: the budget is spent after a few relations.
    const clock: Clock = { ...systemClock, monotonicMs: () => (ms += 1_000) };
    const figures = await read({ bytes: 2 ** 30, ms: 4_000 }, { clock });
    const left = figures.tables.filter((table) => codes(table.bloat).includes('BUDGET_SPENT'));
    expect(left.length).toBeGreaterThan(0);
    const [fault] = await tableBloat.find({
      databaseName: 'shop',
      figures: { ...figures, tables: left.filter((table) => table.bloat.verdict === 'NEEDS_REWRITE') },
      unsure: () => undefined,
    } as unknown as Parameters<typeof tableBloat.find>[0]);
    expect(fault!.detail).toContain('the budget of time and bytes');
  });

  it('tells in the evidence what is usable now, after VACUUM, and what the disk would get back', async () => {
    const figures = await read(GENEROUS);
    const faults = await tableBloat.find({
      databaseName: 'shop',
      figures,
      unsure: () => undefined,
    } as unknown as Parameters<typeof tableBloat.find>[0]);
    const { evidence, wastedBytes } = faults.find((fault) => fault.table === 'bloated')!;
    expect(evidence['backToDiskBytes']).toBe(wastedBytes);
    expect(evidence['reusableBytes']).toBe(wastedBytes);
    expect(evidence['reusableAfterVacuumBytes']).toBe(wastedBytes);
  });
});
