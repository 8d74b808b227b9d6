import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import pg from 'pg';
import { duplicateRows } from '../../../src/analysis/kinds/duplicate-rows.ts';
import { availableVersions, type TestDatabase, testDatabase } from '../../support/postgres.ts';
import { ask, inTurn } from '../support.ts';

const rows = (count: number) => `FROM generate_series(1, ${count}) g`;
const LONG = 'n'.repeat(63);

describe.each([...new Set([availableVersions()[0] ?? 18, 18 as const])])(
  'DUPLICATE_ROWS on PostgreSQL %i',
  (version) => {
    let database: TestDatabase;
    const found = async (given: Parameters<typeof ask>[2] = {}) =>
      (await ask(duplicateRows, database, given)).faults;
    const one = async (given: Parameters<typeof ask>[2] = {}) => {
      const faults = await found(given);
      expect(faults).toHaveLength(1);
      return faults[0]!;
    };

    beforeAll(async () => {
      database = await testDatabase(version);
      await inTurn(
        database,
        // Kept by an index; values that come again on purpose; no value; a history; a tenant's own numbers; other names.
        `CREATE TABLE account (id int PRIMARY KEY, email text, note text); CREATE UNIQUE INDEX ON account (lower(email));
         INSERT INTO account SELECT g, 'a' || g || '@x', 'n' || g / 2 ${rows(1_000)};
         CREATE TABLE orders (id int PRIMARY KEY, email text, total int);
         INSERT INTO orders SELECT g, 'a' || g % 300 || '@x', g / 2 ${rows(1_000)};
         CREATE TABLE contact (id int PRIMARY KEY, email text, name text);
         INSERT INTO contact SELECT g, CASE WHEN g % 3 = 0 THEN NULL WHEN g % 3 = 1 THEN ' ' ELSE 'c' || g || '@x' END, 'n' ${rows(1_000)};
         CREATE TABLE account_history (id int PRIMARY KEY, email text);
         INSERT INTO account_history SELECT g, 'a' || g / 2 || '@x' ${rows(1_000)};
         CREATE TABLE article (id int PRIMARY KEY, shop_id int NOT NULL, sku text);
         INSERT INTO article SELECT g, g % 2, 's' || g / 2 ${rows(1_000)};
         CREATE TABLE person (id int PRIMARY KEY, email text, deleted_at timestamptz);
         INSERT INTO person SELECT g, 'p' || g / 2 || '@x', CASE WHEN g % 2 = 0 THEN now() END ${rows(1_000)};
         CREATE TABLE likes (user_id int, post_id int); INSERT INTO likes SELECT g % 100, g / 100 ${rows(1_000)}`,
        'VACUUM ANALYZE',
      );
    });

    afterAll(() => database.drop());

    it('is silent where values are kept unique, are meant to come again, or are none', async () => {
      expect(await ask(duplicateRows, database)).toEqual({ faults: [], unsure: [] });
    });

    it('finds rows that differ in nothing but case and spaces, and says no value of them', async () => {
      await inTurn(
        database,
        `CREATE TABLE "Custo""mer" ("Id" int PRIMARY KEY, "E-Mail" text UNIQUE, ${LONG} text);
         INSERT INTO "Custo""mer" SELECT g, 'secret' || g || '@x', md5(g::text) ${rows(2_000)};
         INSERT INTO "Custo""mer" SELECT g + 2000, ' SECRET' || g || '@X ', md5(g::text) ${rows(20)}`,
        'VACUUM ANALYZE "Custo""mer"',
      );
      const fault = await one();
      expect(fault).toMatchObject({
        kind: 'DUPLICATE_ROWS',
        table: 'Custo"mer',
        columns: ['E-Mail'],
        rows: 20,
        severity: 'NOTICE',
      });
      expect(fault.evidence).toMatchObject({
        key: [{ column: 'E-Mail', ignoreCase: true, trim: true }],
        method: 'COUNT',
        keysThatRepeat: 20,
        sameToTheLetter: 0,
        rowsOfTheLargest: 2,
      });
      expect(JSON.stringify(fault)).not.toMatch(/secret/i);
      const [, list] = /To see the keys: (.*?)\. Once/.exec(fault.detail)!;
      expect(await database.run(list!)).toHaveLength(20);
    });

    it('is silent after the remedy, whether the rows are gone or an index keeps them away', async () => {
      const fault = await one();
      const [, index] = /Once one row of each is left, (.*) keeps it so\./.exec(fault.detail)!;
      await expect(database.run(index!)).rejects.toMatchObject({ code: '23505' });
      await inTurn(database, `DELETE FROM "Custo""mer" WHERE "Id" > 2000`);
      expect(await found()).toEqual([]);
      const [broken] = await database.run(
        `SELECT format('DROP INDEX %s', indexrelid::regclass) AS sql FROM pg_index WHERE NOT indisvalid`,
      );
      await inTurn(database, String(broken!['sql']), index!);
      expect(await ask(duplicateRows, database)).toEqual({ faults: [], unsure: [] });
    });

    it('finds keys by statistics, pairs that are joined twice, and keys within a tenant', async () => {
      await inTurn(
        database,
        `INSERT INTO likes SELECT g, 3 ${rows(10)};
         INSERT INTO article SELECT g + 1000, 1, 's' || g ${rows(15)};
         CREATE TABLE import_file (name text, content_hash text);
         INSERT INTO import_file SELECT 'f', md5((g % 1980)::text) ${rows(2_000)}`,
        'ANALYZE',
      );
      const faults = await found();
      expect(faults.map(({ table, columns, rows: count }) => [table, columns.join(), count]).sort()).toEqual([
        ['article', 'shop_id,sku', 15],
        ['import_file', 'content_hash', 20],
        ['likes', 'user_id,post_id', 10],
      ]);
      expect(faults.find(({ table }) => table === 'likes')).toMatchObject({ severity: 'INFO' });
      await inTurn(database, 'DROP TABLE import_file, likes', 'DELETE FROM article WHERE id > 1000');
    });

    it('leaves out what is deleted softly, and sees duplicates among the rest', async () => {
      await inTurn(database, `INSERT INTO person SELECT g + 1000, 'p' || g || '@x', NULL ${rows(5)}`);
      const fault = await one();
      expect(fault).toMatchObject({ table: 'person', rows: 5 });
      expect(fault.detail).toContain('deleted_at');
      await inTurn(database, 'UPDATE person SET deleted_at = now() WHERE id > 1000');
      expect(await found()).toEqual([]);
    });

    it('takes partitions as one table', async () => {
      await inTurn(
        database,
        `CREATE TABLE device (serial_no text, day date) PARTITION BY RANGE (day);
         CREATE TABLE device_a PARTITION OF device FOR VALUES FROM ('2020-01-01') TO ('2021-01-01');
         CREATE TABLE device_b PARTITION OF device FOR VALUES FROM ('2021-01-01') TO ('2022-01-01');
         INSERT INTO device SELECT 'd' || g, '2020-05-05' ${rows(500)};
         INSERT INTO device SELECT 'd' || g, '2021-05-05' ${rows(25)}`,
        'ANALYZE',
      );
      expect(await one()).toMatchObject({ table: 'device', columns: ['serial_no'], rows: 25 });
      await inTurn(database, 'DROP TABLE device');
    });

    it('looks sampled rows of a large table up by an index, and counts when exact is asked', async () => {
      await inTurn(
        database,
        `CREATE TABLE payload (external_id bigint, t text);
         INSERT INTO payload SELECT CASE WHEN g % 10 = 0 THEN g - 1 ELSE g END, repeat('x', 150) ${rows(80_000)};
         CREATE INDEX ON payload (external_id)`,
        'VACUUM ANALYZE payload',
      );
      const used = await scans();
      expect((await one()).evidence['method']).toBe('SAMPLE');
      await inTurn(database, 'SELECT 1');
      expect(await scans()).toBe(used);
      await inTurn(
        database,
        `SET enable_seqscan = off; SET enable_bitmapscan = off; SELECT count(x.n)
           FROM generate_series(1, 10001) g, LATERAL (SELECT 1 AS n FROM payload WHERE external_id = g LIMIT 1) x`,
      );
      const fault = await one();
      expect(fault.evidence['method']).toBe('LOOK_UP');
      expect(fault.title).toMatch(/^about /);
      expect(Math.abs(fault.rows! - 8_000)).toBeLessThan(2_500);
      const exact = await one({ exact: true });
      expect(exact).toMatchObject({ rows: 8_000, evidence: { method: 'COUNT' } });
    });

    /** Of the index and of the table: our own reading must not be taken for use. */
    async function scans(): Promise<number> {
      const [row] = await database.run(
        `SELECT (seq_scan + idx_scan)::int AS scans FROM pg_stat_user_tables WHERE relname = 'payload'`,
      );
      return Number(row!['scans']);
    }

    it('sees pairs within a sample where there is no index, and calls them the least', async () => {
      await inTurn(database, 'DROP INDEX payload_external_id_idx');
      const fault = await one();
      expect(fault.evidence['method']).toBe('SAMPLE');
      expect(fault.title).toMatch(/^at least /);
      expect(fault.rows!).toBeGreaterThan(1_000);
      expect(fault.rows!).toBeLessThan(8_000);
    });

    it('does not call a large table clean of which it has seen a part', async () => {
      await inTurn(database, 'DELETE FROM payload WHERE external_id % 10 = 9', 'VACUUM payload');
      const { faults, unsure } = await ask(duplicateRows, database);
      expect(faults).toEqual([]);
      expect(unsure).toMatchObject([{ table: 'payload', why: expect.stringContaining('sampled rows') }]);
      expect(await ask(duplicateRows, database, { exact: true })).toEqual({ faults: [], unsure: [] });
    });

    it('names the GRANT where it may not read, and does not wait for a lock', async () => {
      const role = `watcher_${database.name}`;
      await database.run(`CREATE ROLE ${role}; GRANT pg_monitor TO ${role}`);
      const { faults, unsure } = await ask(duplicateRows, database, { role });
      expect(faults).toEqual([]);
      const hidden = unsure.find(({ table }) => table === 'payload');
      expect(hidden!.why).toContain(`GRANT SELECT ON public.payload TO ${role}`);
      await database.run(`DROP OWNED BY ${role}; DROP ROLE ${role}`);
      const locker = new pg.Client({ connectionString: database.url });
      await locker.connect();
      await locker.query('BEGIN; LOCK TABLE payload IN ACCESS EXCLUSIVE MODE');
      const locked = await ask(duplicateRows, database);
      await locker.end();
      expect(locked.unsure).toMatchObject([
        { table: 'payload', why: expect.stringContaining('ACCESS EXCLUSIVE') },
      ]);
    });
  },
);
