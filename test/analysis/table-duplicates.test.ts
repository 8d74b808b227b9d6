import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { type DuplicatesWanted, readDuplicates } from '../../src/analysis/table-duplicates.ts';
import { systemClock } from '../../src/clock.ts';
import { type TestDatabase, testDatabase } from '../support/postgres.ts';
import { inTurn } from './support.ts';

type Key = { column: string; ignoreCase?: boolean; trim?: boolean }[];

describe('duplicates of a key that somebody names', () => {
  let database: TestDatabase;

  const count = async (table: string, key: Key, options: { exact?: boolean; role?: string } = {}) => {
    const session = await database.session();
    if (options.role !== undefined) await session.script(`SET ROLE ${options.role}`);
    const wanted: DuplicatesWanted = {
      schema: 'public',
      table,
      key: key.map((part) => ({ ignoreCase: false, trim: false, ...part })),
      exact: options.exact ?? false,
    };
    return readDuplicates(session, systemClock, wanted).finally(() => session.close());
  };

  beforeAll(async () => {
    database = await testDatabase();
    await inTurn(
      database,
      `CREATE TABLE "Peo ple" (a text, "B""b" int, j json);
       INSERT INTO "Peo ple" VALUES ('x', 1, '1'), ('x', 1, '1'), ('X ', 1, '1'), ('x', 2, '1'), (NULL, 1, '1'), (NULL, 1, '1'), ('', 3, '1'), ('', 3, '1');
       CREATE TABLE wide (n bigint, t text);
       INSERT INTO wide SELECT CASE WHEN g % 20 = 0 THEN g - 1 ELSE g END, repeat('x', 150) FROM generate_series(1, 80000) g;
       CREATE TABLE parts (n int, day date) PARTITION BY LIST (day);
       CREATE TABLE parts_a PARTITION OF parts FOR VALUES IN ('2020-01-01');
       CREATE TABLE parts_b PARTITION OF parts FOR VALUES IN ('2020-01-02');
       INSERT INTO parts SELECT g, '2020-01-01' FROM generate_series(1, 10) g;
       INSERT INTO parts SELECT g, '2020-01-02' FROM generate_series(6, 12) g`,
      'VACUUM ANALYZE',
    );
  });

  afterAll(() => database.drop());

  it('are counted in a small table, by the values as they are or without case and spaces', async () => {
    expect(await count('Peo ple', [{ column: 'a' }, { column: 'B"b' }])).toMatchObject({
      rows: 2,
      keys: 2,
      largest: 2,
      rowsLookedAt: 6,
      method: 'COUNT',
    });
    const loose = [{ column: 'a', ignoreCase: true, trim: true }, { column: 'B"b' }];
    expect(await count('Peo ple', loose)).toMatchObject({ rows: 3, largest: 3 });
    expect(await count('Peo ple', [{ column: 'a', trim: true }, { column: 'B"b' }])).toMatchObject({
      rows: 2,
    });
  });

  it('are at least those of a sample in a large table, and all of them when exact is asked', async () => {
    const sampled = await count('wide', [{ column: 'n' }]);
    expect(sampled.method).toBe('SAMPLE');
    expect(sampled.rows!).toBeGreaterThan(500);
    expect(sampled.rows!).toBeLessThan(4_000);
    expect(await count('wide', [{ column: 'n' }], { exact: true })).toMatchObject({
      rows: 4_000,
      rowsLookedAt: 80_000,
      method: 'COUNT',
    });
  });

  it('are looked for in all partitions, or in one', async () => {
    expect(await count('parts', [{ column: 'n' }])).toMatchObject({ rows: 5 });
    expect(await count('parts_b', [{ column: 'n' }])).toMatchObject({
      rows: 0,
      detail: expect.stringContaining('no key'),
    });
  });

  it('are not known where the rows cannot be read, or not be compared, and the reason is told', async () => {
    expect(await count('Peo ple', [{ column: 'j' }])).toMatchObject({
      rows: null,
      method: 'NONE',
      detail: expect.stringContaining('42883'),
    });
    const role = `watcher_${database.name}`;
    await database.run(`CREATE ROLE ${role}; GRANT pg_monitor TO ${role}`);
    const hidden = await count('wide', [{ column: 'n' }], { role });
    await database.run(`DROP OWNED BY ${role}; DROP ROLE ${role}`);
    expect(hidden).toMatchObject({ rows: null, method: 'NONE' });
    expect(hidden.detail).toContain(`GRANT SELECT ON public.wide TO ${role}`);
  });

  it('are refused for a key that does not fit', async () => {
    const refused = { code: 'BAD_USER_INPUT' };
    await expect(count('wide', [])).rejects.toMatchObject(refused);
    await expect(count('wide', [{ column: 'nothing' }])).rejects.toMatchObject(refused);
    await expect(count('wide', [{ column: 'n' }, { column: 'n' }])).rejects.toMatchObject(refused);
    await expect(count('wide', [{ column: 'n', ignoreCase: true }])).rejects.toMatchObject(refused);
    await expect(count('nowhere', [{ column: 'n' }])).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });
});
