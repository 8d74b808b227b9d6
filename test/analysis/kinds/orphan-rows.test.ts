import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import pg from 'pg';
import { orphanRows } from '../../../src/analysis/kinds/orphan-rows.ts';
import { isPolymorphic, pointerOf, singularForms } from '../../../src/analysis/reference-names.ts';
import { availableVersions, type TestDatabase, testDatabase } from '../../support/postgres.ts';
import { ask, inTurn } from '../support.ts';

const rows = (count: number) => `FROM generate_series(1, ${count}) g`;
const LONG = 'n'.repeat(60);

describe('names of references', () => {
  it('lead from a column to the thing that it points to', () => {
    expect(pointerOf('billingAddressID')).toEqual({
      things: ['billing_address', 'address'],
      by: 'id',
    });
    expect(pointerOf('id_user')).toEqual({ things: ['user'], by: 'id' });
    expect(pointerOf('country_code')).toEqual({ things: ['country'], by: 'code' });
    expect(pointerOf('id')).toBeNull();
    expect(pointerOf('name')).toBeNull();
  });

  it('meet in the singular', () => {
    const meets = (one: string, many: string) => singularForms(many).includes(one);
    for (const [one, many] of [
      ['user', 'users'],
      ['category', 'categories'],
      ['address', 'addresses'],
      ['status', 'statuses'],
      ['case', 'cases'],
      ['sales_person', 'sales_people'],
    ] as const)
      expect(meets(one, many)).toBe(true);
    expect(meets('user', 'orders')).toBe(false);
  });

  it('are polymorphic where another column says what is pointed to', () => {
    expect(isPolymorphic('owner_id', ['id', 'owner_id', 'owner_type'])).toBe(true);
    expect(isPolymorphic('objectId', ['content_type_id'])).toBe(true);
    expect(isPolymorphic('owner_id', ['id', 'owner_id', 'type'])).toBe(false);
  });
});

describe.each([...new Set([availableVersions()[0] ?? 18, 18 as const])])(
  'ORPHAN_ROWS on PostgreSQL %i',
  (version) => {
    let database: TestDatabase;
    const found = async (given: Parameters<typeof ask>[2] = {}) =>
      (await ask(orphanRows, database, given)).faults;
    const subjects = async () =>
      (await found()).map(({ table, columns }) => `${table ?? ''}(${columns.join()})`).sort();

    beforeAll(async () => {
      database = await testDatabase(version);
      await inTurn(
        database,
        // Whole references; a declared one; values that point elsewhere; a polymorphic pair; few values; other types.
        `CREATE TABLE users (id bigint PRIMARY KEY, uuid uuid UNIQUE DEFAULT gen_random_uuid(), name text);
         INSERT INTO users (id, name) SELECT g, md5(g::text) ${rows(1_000)};
         CREATE TABLE orders (id bigint PRIMARY KEY, user_id bigint, "createdByUserId" int, users_total int, owner_id int, owner_type text);
         INSERT INTO orders SELECT g, g % 1000 + 1, g % 1000 + 1, 5000 + g, 9000, 'User' ${rows(5_000)};
         CREATE TABLE lines (id int, order_id bigint REFERENCES orders (id), user_id text);
         INSERT INTO lines SELECT g, g % 5000 + 1, 'none' ${rows(1_000)};
         CREATE TABLE foreign_numbers (order_id int);
         INSERT INTO foreign_numbers SELECT 4000 + g ${rows(3_000)};
         CREATE TABLE few (user_id int); INSERT INTO few VALUES (1), (2), (99999)`,
        'VACUUM ANALYZE',
      );
    });

    afterAll(() => database.drop());

    it('is silent where every reference leads somewhere, or what looks like one is none', async () => {
      expect(await ask(orphanRows, database)).toEqual({ faults: [], unsure: [] });
    });

    it('finds orphans of references that nobody has declared, by name, type and content', async () => {
      await inTurn(database, 'DELETE FROM users WHERE id % 100 = 7');
      const faults = await found();
      expect(faults.map(({ columns }) => columns.join()).sort()).toEqual(['createdByUserId', 'user_id']);
      const fault = faults.find(({ columns }) => columns[0] === 'user_id')!;
      expect(fault).toMatchObject({ kind: 'ORPHAN_ROWS', table: 'orders', rows: 50, severity: 'NOTICE' });
      expect(fault.evidence).toMatchObject({
        references: { schema: 'public', table: 'users', columns: ['id'] },
        foreignKey: null,
        method: 'COUNT',
        orphansAmongThem: 50,
        valuesMissing: 10,
      });
      const [, list] = /To see them: (.*?)\. Once/.exec(fault.detail)!;
      expect(await database.run(list!)).toHaveLength(50);
      const [, key] = /(ALTER TABLE .*? NOT VALID)/.exec(fault.detail)!;
      await inTurn(database, key!);
    });

    it('finds those of a declared key that is NOT VALID, and not once more by its name', async () => {
      const faults = await found();
      const fault = faults.find(({ columns }) => columns[0] === 'user_id')!;
      expect(fault).toMatchObject({ severity: 'WARNING', rows: 50 });
      expect(fault.evidence['foreignKey']).toBe('orders_user_id_fkey');
      expect(fault.detail).toContain('VALIDATE CONSTRAINT "orders_user_id_fkey"');
    });

    it('is silent after the remedy', async () => {
      await inTurn(
        database,
        'DELETE FROM lines WHERE order_id IN (SELECT id FROM orders WHERE user_id % 100 = 7)',
        'DELETE FROM orders WHERE user_id % 100 = 7',
      );
      expect(await subjects()).toEqual([]);
      await inTurn(database, 'ALTER TABLE orders VALIDATE CONSTRAINT orders_user_id_fkey');
      expect(await ask(orphanRows, database)).toEqual({ faults: [], unsure: [] });
    });

    it('takes quoted names of 63 bytes, other schemas, uuids, and partitions as one table', async () => {
      await inTurn(
        database,
        `CREATE SCHEMA "Ot""her"; CREATE TABLE "Ot""her"."${LONG}s" ("Id" uuid PRIMARY KEY);
         INSERT INTO "Ot""her"."${LONG}s" SELECT md5(g::text)::uuid ${rows(500)};
         CREATE TABLE "P a""rt" ("${LONG}Id" uuid, day date) PARTITION BY RANGE (day);
         CREATE TABLE part_a PARTITION OF "P a""rt" FOR VALUES FROM ('2020-01-01') TO ('2021-01-01');
         CREATE TABLE part_b PARTITION OF "P a""rt" FOR VALUES FROM ('2021-01-01') TO ('2022-01-01');
         INSERT INTO "P a""rt" SELECT md5((g % 510 + 1)::text)::uuid, date '2020-01-01' + g % 700 ${rows(1_020)}`,
        'VACUUM ANALYZE',
      );
      const [fault, ...others] = await found();
      expect(others).toEqual([]);
      expect(fault).toMatchObject({ table: 'P a"rt', columns: [`${LONG}Id`], rows: 20, severity: 'NOTICE' });
      expect(fault!.title).toContain(`Ot"her.${LONG}s`);
      await inTurn(database, 'DROP TABLE "P a""rt"');
    });

    it('says of a large table that it was sampled, and counts it when exact is asked', async () => {
      await inTurn(
        database,
        `CREATE TABLE visits (user_id bigint, t text);
         INSERT INTO visits SELECT CASE WHEN g % 50 = 0 THEN -1 - g % 250 / 50 ELSE g % 90 + 101 END, repeat('x', 100) ${rows(60_000)};
         DELETE FROM visits WHERE user_id IN (107, 7)`,
        'VACUUM ANALYZE visits',
      );
      const truth = Number(
        (await database.run('SELECT count(*) FROM visits WHERE user_id < 0'))[0]!['count'],
      );
      const [sampled] = await found();
      expect(sampled!.evidence['method']).toBe('SAMPLE');
      expect(sampled!.detail).toMatch(/Of \d+ sampled rows \d+ are orphans for certain/);
      expect(Math.abs(sampled!.rows! - truth) / truth).toBeLessThan(0.5);
      const [counted] = await found({ exact: true });
      expect(counted).toMatchObject({ rows: truth });
      expect(counted!.evidence['method']).toBe('COUNT');
    });

    it('does not call a large table clean of which it has seen a part', async () => {
      await inTurn(database, 'DELETE FROM visits WHERE user_id < 0', 'VACUUM visits');
      const { faults, unsure } = await ask(orphanRows, database);
      expect(faults).toEqual([]);
      expect(unsure).toMatchObject([{ table: 'visits', why: expect.stringContaining('sampled rows') }]);
      expect(await ask(orphanRows, database, { exact: true })).toEqual({ faults: [], unsure: [] });
    });

    it('looks values up in a large table by its key alone, and not where that would be its only use', async () => {
      await inTurn(
        database,
        `CREATE TABLE supplier (id bigint PRIMARY KEY, t text);
         INSERT INTO supplier SELECT g, repeat('x', 500) ${rows(20_000)};
         CREATE TABLE parcel (supplier_id bigint); INSERT INTO parcel SELECT g ${rows(500)}; INSERT INTO parcel VALUES (-1), (-2)`,
        'VACUUM ANALYZE',
      );
      const scans = async () => {
        await inTurn(database, 'SELECT 1');
        const [row] = await database.run(
          `SELECT seq_scan::int AS whole, idx_scan::int AS by_key FROM pg_stat_user_tables WHERE relname = 'supplier'`,
        );
        return row as { whole: number; by_key: number };
      };
      const before = await scans();
      const { faults, unsure } = await ask(orphanRows, database);
      expect(faults).toEqual([]);
      expect(unsure.find(({ table }) => table === 'parcel')!.why).toContain('look used');
      expect(await scans()).toEqual(before);
      await inTurn(database, 'SET enable_seqscan = off; SELECT count(*) FROM supplier WHERE id = 3');
      const used = await scans();
      expect((await found()).map(({ table, rows: count }) => [table, count])).toEqual([['parcel', 2]]);
      expect((await scans()).by_key).toBeGreaterThan(used.by_key);
      expect((await scans()).whole).toBe(used.whole);
      await inTurn(database, 'DROP TABLE supplier, parcel');
    });

    it('names the GRANT where it may not read, and does not wait for a lock', async () => {
      const role = `watcher_${database.name}`;
      await database.run(`CREATE ROLE ${role}; GRANT pg_monitor TO ${role}`);
      const { faults, unsure } = await ask(orphanRows, database, { role });
      expect(faults).toEqual([]);
      expect(unsure.map(({ table }) => table)).toContain('visits');
      expect(unsure.find(({ table }) => table === 'visits')!.why).toBe(
        `The role may not read public.visits: GRANT SELECT ON public.visits TO ${role}.`,
      );
      await database.run(`GRANT SELECT ON ALL TABLES IN SCHEMA public TO ${role};
        ALTER TABLE visits ENABLE ROW LEVEL SECURITY`);
      const hidden = (await ask(orphanRows, database, { role })).unsure.find(
        ({ table }) => table === 'visits',
      );
      expect(hidden!.why).toContain('Row security');
      await database.run(
        `ALTER TABLE visits DISABLE ROW LEVEL SECURITY; DROP OWNED BY ${role}; DROP ROLE ${role}`,
      );
      const locker = new pg.Client({ connectionString: database.url });
      await locker.connect();
      await locker.query('BEGIN; LOCK TABLE visits IN ACCESS EXCLUSIVE MODE');
      const locked = await ask(orphanRows, database);
      await locker.end();
      expect(locked.unsure).toMatchObject([
        { table: 'visits', why: expect.stringContaining('ACCESS EXCLUSIVE') },
      ]);
    });
  },
);
