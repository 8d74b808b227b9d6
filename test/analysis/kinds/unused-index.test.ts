import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { ReplicaUsage } from '../../../src/analysis/define-analysis.ts';
import { redundantIndex } from '../../../src/analysis/kinds/redundant-index.ts';
import { unusedIndex } from '../../../src/analysis/kinds/unused-index.ts';
import { availableVersions, type TestDatabase, testDatabase } from '../../support/postgres.ts';
import { ask, figuresOf, inTurn } from '../support.ts';

const LONG_AGO = new Date('2020-01-01T00:00:00Z');

const copy = (given: Partial<ReplicaUsage> = {}): ReplicaUsage => ({
  name: 'copy:5432',
  unreachable: null,
  countersSince: LONG_AGO,
  receives: true,
  standbys: 0,
  scans: new Map(),
  ...given,
});

describe.each(availableVersions())('UNUSED_INDEX on PostgreSQL %i', (version) => {
  let database: TestDatabase;

  beforeAll(async () => {
    database = await testDatabase(version);
    await inTurn(
      database,
      `CREATE TABLE customer (id int PRIMARY KEY, code int CONSTRAINT customer_code UNIQUE, country int, note text, tiny int);
       INSERT INTO customer SELECT g, g, g % 50, md5(g::text), g FROM generate_series(1, 20000) g;
       CREATE TABLE orders (id int, customer_id int REFERENCES customer (id), shop int);
       INSERT INTO orders SELECT g, g, g % 9 FROM generate_series(1, 20000) g;
       CREATE INDEX customer_country ON customer (country);
       CREATE UNIQUE INDEX customer_note ON customer (note);
       CREATE INDEX customer_cluster ON customer (country, id); ALTER TABLE customer CLUSTER ON customer_cluster;
       CREATE INDEX customer_statistics ON customer ((country + tiny)); ALTER INDEX customer_statistics ALTER COLUMN 1 SET STATISTICS 500;
       CREATE UNIQUE INDEX orders_identity ON orders (id); ALTER TABLE orders ALTER id SET NOT NULL;
       ALTER TABLE orders REPLICA IDENTITY USING INDEX orders_identity;
       CREATE INDEX orders_customer ON orders (customer_id, shop);
       CREATE INDEX orders_few ON orders (shop) WHERE id < 10`,
      'VACUUM ANALYZE',
      'SET enable_seqscan = off; SET enable_bitmapscan = off; SELECT count(*) FROM customer WHERE country = 3',
    );
  });

  afterAll(() => database.drop());

  it('is silent about what is used, enforces, is clustered by, carries statistics, serves a foreign key, or is tiny', async () => {
    const indexes = (await figuresOf(database)).tables.flatMap((table) => table.indexes);
    const duties = Object.fromEntries(indexes.map((index) => [index.name, index.duties]));
    expect(duties).toEqual({
      customer_pkey: ['PRIMARY_KEY', 'FOREIGN_KEY_TARGET'],
      customer_code: ['CONSTRAINT'],
      customer_country: [],
      customer_note: [],
      customer_cluster: ['CLUSTERED'],
      customer_statistics: ['STATISTICS'],
      orders_identity: ['REPLICA_IDENTITY'],
      orders_customer: [],
      orders_few: [],
    });
    expect((await ask(unusedIndex, database, { watchedSince: LONG_AGO })).faults).toEqual([]);
  });

  it('finds an index that no query has used since the counters began', async () => {
    await inTurn(database, 'CREATE INDEX customer_unused ON customer (country, note)');
    const now = new Date(Date.now() + 10 * 86_400_000);
    const { faults } = await ask(unusedIndex, database, { watchedSince: LONG_AGO, now });
    expect(faults.map((fault) => fault.index)).toEqual(['customer_unused']);
    expect(faults[0]).toMatchObject({ kind: 'UNUSED_INDEX', columns: ['country', 'note'] });
    expect(faults[0]!.remedy?.variables).toEqual({
      input: { database: 'shop', schema: 'public', index: 'customer_unused' },
    });
    expect(faults[0]!.detail).toContain('DROP INDEX CONCURRENTLY "public"."customer_unused"');
    expect(faults[0]!.detail).toContain(
      'CREATE INDEX customer_unused ON public.customer USING btree (country, note)',
    );
  });

  it('only informs while the counters are young, a replica is silent, or an unknown standby streams', async () => {
    const severity = async (given: Parameters<typeof ask>[2]) =>
      (await ask(unusedIndex, database, given)).faults.map((fault) => fault.severity);
    await inTurn(database, "SELECT pg_stat_reset_shared('bgwriter')");
    const counted = { watchedSince: LONG_AGO };
    // The server's own reset time, where one is set, wins over our first look.
    const since = (await figuresOf(database)).countersSince;
    expect(await severity({ ...counted, replicas: [copy()] })).toEqual([since === null ? 'NOTICE' : 'INFO']);
    expect(await severity({ watchedSince: new Date() })).toEqual(['INFO']);
    expect(await severity({ ...counted, replicas: [copy({ unreachable: 'no answer' })] })).toEqual(['INFO']);
    expect(await severity({ ...counted, standbys: 1 })).toEqual(['INFO']);
  });

  it('is silent when a replica uses the index', async () => {
    const index = (await figuresOf(database)).tables
      .flatMap((table) => table.indexes)
      .find(({ name }) => name === 'customer_unused')!;
    const replica = copy({ scans: new Map([[index.oid, 4]]) });
    expect(
      (await ask(unusedIndex, database, { watchedSince: LONG_AGO, replicas: [replica] })).faults,
    ).toEqual([]);
  });

  it('is silent after the index is gone', async () => {
    await inTurn(database, 'DROP INDEX customer_unused');
    expect((await ask(unusedIndex, database, { watchedSince: LONG_AGO })).faults).toEqual([]);
  });

  it('names the one of two that nobody uses, and not the shorter one that is in use', async () => {
    await inTurn(
      database,
      'CREATE INDEX customer_tiny ON customer (tiny)',
      'SET enable_seqscan = off; SELECT 1 FROM customer WHERE tiny = 3',
      'CREATE INDEX customer_tiny_code ON customer (tiny, code)',
    );
    const old = { watchedSince: LONG_AGO, now: new Date(Date.now() + 30 * 86_400_000) };
    const named = async (kind: typeof unusedIndex, given: typeof old) =>
      (await ask(kind, database, given)).faults.map((fault) => fault.index);
    const shorterOnes = async (given: typeof old) =>
      (await named(redundantIndex, given)).filter((name) => name !== 'customer_country');
    expect(await named(unusedIndex, old)).toEqual(['customer_tiny_code']);
    expect(await shorterOnes(old)).toEqual([]);
    // While use is not certain, it is the shorter one that is said to go: never both.
    const young = { ...old, watchedSince: old.now, now: new Date() };
    expect(await named(unusedIndex, young)).toEqual([]);
    expect(await shorterOnes(young)).toEqual(['customer_tiny']);
    await inTurn(database, 'DROP INDEX customer_tiny, customer_tiny_code');
  });

  it('takes an index of a partitioned table for one, and drops it as one', async () => {
    await inTurn(
      database,
      `CREATE TABLE log (day int, level int, note text) PARTITION BY RANGE (day);
       CREATE TABLE log_1 PARTITION OF log FOR VALUES FROM (0) TO (10000); CREATE TABLE log_2 PARTITION OF log FOR VALUES FROM (10000) TO (30000);
       INSERT INTO log SELECT g, g % 9, 'n' FROM generate_series(1, 20000) g;
       CREATE INDEX log_level ON log (level); CREATE INDEX log_note ON log (note)`,
      `SET enable_seqscan = off; SELECT 1 FROM log_2 WHERE note = 'x'`,
    );
    const { faults } = await ask(unusedIndex, database, { watchedSince: LONG_AGO });
    expect(faults.map((fault) => [fault.table, fault.index])).toEqual([['log', 'log_level']]);
    expect(faults[0]!.wastedBytes).toBeGreaterThan(100_000);
    expect(faults[0]!.detail).toContain('CREATE INDEX log_level ON public.log USING btree (level).');
    await inTurn(database, /DROP INDEX [^;]+;/.exec(faults[0]!.detail)![0]);
    expect((await ask(unusedIndex, database, { watchedSince: LONG_AGO })).faults).toEqual([]);
  });

  it('says what it could not see while a table is locked', async () => {
    await inTurn(database, 'CREATE INDEX customer_unused ON customer (note, country)');
    await database.run('BEGIN; LOCK TABLE customer IN ACCESS EXCLUSIVE MODE');
    const { faults, unsure } = await ask(unusedIndex, database, { watchedSince: LONG_AGO });
    await database.run('ROLLBACK; DROP INDEX customer_unused');
    expect(faults).toEqual([]);
    expect(unsure.map(({ index }) => index)).toContain('customer_unused');
  });
});
