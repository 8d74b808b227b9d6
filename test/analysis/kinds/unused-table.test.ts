import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { type KeptTable, type ReplicaUsage, tableKey } from '../../../src/analysis/define-analysis.ts';
import { unusedTable } from '../../../src/analysis/kinds/unused-table.ts';
import { availableVersions, type TestDatabase, testDatabase } from '../../support/postgres.ts';
import { ask, figuresOf, inTurn, tableNamed } from '../support.ts';

const VERSIONS = availableVersions().filter((version) => version === 14 || version === 18);
const LONG = 't'.repeat(63);
const DAY_MS = 86_400_000;
const rows = 'FROM generate_series(1, 3000) g';

describe.each(VERSIONS)('UNUSED_TABLE on PostgreSQL %i', (version) => {
  let database: TestDatabase;
  const role = `unused_monitor_${version}`;
  const inDays = (days: number) => new Date(Date.now() + days * DAY_MS);
  const found = async (given: Parameters<typeof ask>[2] = {}) =>
    (await ask(unusedTable, database, { now: inDays(30), ...given })).faults;
  const names = async (given: Parameters<typeof ask>[2] = {}) =>
    (await found(given)).map(({ table }) => table);

  beforeAll(async () => {
    database = await testDatabase(version);
    await inTurn(
      database,
      `CREATE SCHEMA "Odd ""Schema"""; CREATE SCHEMA declutter; CREATE TABLE declutter.run AS SELECT g id, md5(g::text) t ${rows};
       CREATE TABLE referred AS SELECT g id, md5(g::text) t ${rows}; ALTER TABLE referred ADD PRIMARY KEY (id);
       CREATE TABLE referring (id int REFERENCES referred); INSERT INTO referring VALUES (1);
       CREATE TABLE viewed AS SELECT g id, md5(g::text) t ${rows}; CREATE VIEW view_of AS SELECT id FROM viewed;
       CREATE TABLE typed AS SELECT g id, md5(g::text) t ${rows};
       CREATE FUNCTION of_type() RETURNS SETOF typed LANGUAGE sql AS 'SELECT 1, ''x''';
       CREATE TABLE bodied AS SELECT g id, md5(g::text) t ${rows};
       CREATE FUNCTION parsed() RETURNS bigint LANGUAGE sql BEGIN ATOMIC SELECT count(*) FROM bodied; END;
       CREATE TABLE parent AS SELECT g id, md5(g::text) t ${rows}; CREATE TABLE child () INHERITS (parent);
       CREATE TABLE written (id int, t text); CREATE TABLE small AS SELECT 1 id;
       CREATE TABLE by_index AS SELECT g id, md5(g::text) t ${rows}; CREATE INDEX ON by_index (id);
       CREATE ROLE ${role}; GRANT pg_monitor TO ${role}`,
      'VACUUM ANALYZE',
      'SELECT pg_stat_reset()',
      `INSERT INTO written SELECT g, md5(g::text) ${rows}`,
      `SET enable_seqscan = off; SET enable_bitmapscan = off; SELECT count(t) FROM by_index WHERE id = 5`,
    );
  });

  afterAll(async () => {
    await database.run(`DROP ROLE ${role}`);
    await database.drop();
  });

  it('is silent about what is read, written, needed by something else, or tiny', async () => {
    expect(await ask(unusedTable, database, { now: inDays(30) })).toEqual({ faults: [], unsure: [] });
  });

  it('finds tables that nobody has used since the counters began, partitioned ones as a whole', async () => {
    await inTurn(
      database,
      `CREATE TABLE "Odd ""Schema"""."${LONG}" AS SELECT g id, md5(g::text) t ${rows}; CREATE INDEX "By id" ON "Odd ""Schema"""."${LONG}" (id);
       CREATE TABLE log (id int, t text) PARTITION BY RANGE (id);
       CREATE TABLE log_1 PARTITION OF log FOR VALUES FROM (0) TO (2000); CREATE TABLE log_2 PARTITION OF log FOR VALUES FROM (2000) TO (9000);
       INSERT INTO log SELECT g, md5(g::text) ${rows};
       CREATE TABLE policed AS SELECT g id, md5(g::text) t ${rows};
       CREATE POLICY own ON policed USING (EXISTS (SELECT FROM policed p WHERE p.id = 1))`,
      'VACUUM ANALYZE',
      'SELECT pg_stat_reset()',
      `INSERT INTO written VALUES (1); SELECT count(*) FROM by_index`,
    );
    const faults = await found();
    expect(faults.map(({ schema, table, severity }) => [schema, table, severity])).toEqual([
      ['Odd "Schema"', LONG, 'NOTICE'],
      ['public', 'log', 'NOTICE'],
      ['public', 'policed', 'NOTICE'],
    ]);
    expect(faults[1]).toMatchObject({ rows: 3_000, remedy: null });
    expect(faults[0]!.detail).toContain(`DROP TABLE "Odd ""Schema"""."${LONG}"`);
    expect(await found({ role })).toEqual(faults);
  });

  it('only informs while it has not seen all', async () => {
    expect((await found({ now: new Date() })).map(({ severity }) => severity)).toEqual([
      'INFO',
      'INFO',
      'INFO',
    ]);
    expect((await found({ standbys: 1 }))[0]!.severity).toBe('INFO');
    await inTurn(
      database,
      `CREATE FUNCTION mentions() RETURNS void LANGUAGE plpgsql AS 'BEGIN EXECUTE ''TRUNCATE Policed''; END';
       CREATE PUBLICATION sent FOR TABLE log`,
    );
    const doubts = (await found()).map(({ table, evidence }) => [table, evidence['doubts']]);
    expect(doubts).toEqual([
      [LONG, []],
      ['log', ['A publication sends it to other databases, which may use it there.']],
      ['policed', ['The text of a function has its name in it.']],
    ]);
  });

  it('is silent when a replica reads the table, a partition of it, or an index', async () => {
    const figures = await figuresOf(database);
    const replica = (oid: number): ReplicaUsage => ({
      name: 'copy:5432',
      unreachable: null,
      countersSince: new Date('2020-01-01T00:00:00Z'),
      receives: true,
      standbys: 0,
      scans: new Map([[oid, 3]]),
    });
    const without = async (oid: number) => names({ replicas: [replica(oid)] });
    expect(await without(tableNamed(figures, 'policed').oid)).toEqual([LONG, 'log']);
    expect(await without(tableNamed(figures, 'log_2').oid)).toEqual([LONG, 'policed']);
    expect(await without(tableNamed(figures, LONG).indexes[0]!.oid)).toEqual(['log', 'policed']);
  });

  it('is silent once a partition is read, or a row written', async () => {
    await inTurn(database, 'SELECT count(*) FROM log_1', `INSERT INTO policed VALUES (1)`);
    expect(await names()).toEqual([LONG]);
  });

  if (version >= 16)
    it('finds what was read long ago and has not grown since', async () => {
      await inTurn(database, 'DROP FUNCTION mentions; DROP PUBLICATION sent');
      const figures = await figuresOf(database);
      const kept = new Map<string, KeptTable>(
        figures.tables.map((table) => [tableKey(table.schema, table.name), table]),
      );
      const memory = { tablesAt: async () => kept };
      const later = { now: inDays(100), memory };
      expect(await names({ ...later, now: inDays(80) })).toEqual([LONG, 'policed', 'written']);
      expect(await names({ ...later, memory: { tablesAt: async () => null } })).toEqual([
        LONG,
        'by_index',
        'log',
      ]);
      expect(await names(later)).toEqual([LONG, 'by_index', 'log', 'policed', 'written']);
      const [, byIndex] = await found(later);
      expect(byIndex!.detail).toContain('It was last read on');
      kept.set(tableKey('public', 'written'), { liveRows: 7, deadRows: 0, totalBytes: 8192 });
      expect(await names(later)).toEqual([LONG, 'by_index', 'log', 'policed']);
    });

  it('is silent after they are gone', async () => {
    await inTurn(database, `DROP TABLE "Odd ""Schema"""."${LONG}"`);
    expect(await ask(unusedTable, database, { now: inDays(30) })).toEqual({ faults: [], unsure: [] });
  });
});
