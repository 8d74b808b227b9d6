import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { ReplicaUsage } from '../../../src/analysis/define-analysis.ts';
import { unusedIndex } from '../../../src/analysis/kinds/unused-index.ts';
import { availableVersions, type TestDatabase, testDatabase } from '../../support/postgres.ts';
import { ask, figuresOf, inTurn } from '../support.ts';

const LONG_AGO = new Date('2020-01-01T00:00:00Z');

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
    const { faults } = await ask(unusedIndex, database, { watchedSince: LONG_AGO });
    expect(faults.map((fault) => fault.index)).toEqual(['customer_unused']);
    expect(faults[0]).toMatchObject({ kind: 'UNUSED_INDEX', columns: ['country', 'note'], remedy: null });
    expect(faults[0]!.detail).toContain('DROP INDEX CONCURRENTLY "public"."customer_unused"');
    expect(faults[0]!.detail).toContain(
      'CREATE INDEX customer_unused ON public.customer USING btree (country, note)',
    );
  });

  it('only informs while the counters are young, a replica is silent, or an unknown standby streams', async () => {
    const old: ReplicaUsage = {
      name: 'copy:5432',
      unreachable: null,
      countersSince: LONG_AGO,
      scans: new Map(),
    };
    const severity = async (given: Parameters<typeof ask>[2]) =>
      (await ask(unusedIndex, database, given)).faults.map((fault) => fault.severity);
    await inTurn(database, "SELECT pg_stat_reset_shared('bgwriter')");
    const counted = { watchedSince: LONG_AGO };
    // The server's own reset time, where one is set, wins over our first look.
    const since = (await figuresOf(database)).countersSince;
    expect(await severity({ ...counted, replicas: [old] })).toEqual([since === null ? 'NOTICE' : 'INFO']);
    expect(await severity({ watchedSince: new Date() })).toEqual(['INFO']);
    expect(await severity({ ...counted, replicas: [{ ...old, unreachable: 'no answer' }] })).toEqual([
      'INFO',
    ]);
    expect(await severity({ ...counted, standbys: 1 })).toEqual(['INFO']);
  });

  it('is silent when a replica uses the index', async () => {
    const index = (await figuresOf(database)).tables
      .flatMap((table) => table.indexes)
      .find(({ name }) => name === 'customer_unused')!;
    const replica = {
      name: 'copy:5432',
      unreachable: null,
      countersSince: LONG_AGO,
      scans: new Map([[index.oid, 4]]),
    };
    expect(
      (await ask(unusedIndex, database, { watchedSince: LONG_AGO, replicas: [replica] })).faults,
    ).toEqual([]);
  });

  it('is silent after the index is gone', async () => {
    await inTurn(database, 'DROP INDEX customer_unused');
    expect((await ask(unusedIndex, database, { watchedSince: LONG_AGO })).faults).toEqual([]);
  });
});
