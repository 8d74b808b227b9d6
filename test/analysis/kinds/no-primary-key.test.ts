import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { noPrimaryKey } from '../../../src/analysis/kinds/no-primary-key.ts';
import { availableVersions, type TestDatabase, testDatabase } from '../../support/postgres.ts';
import { ask, inTurn } from '../support.ts';

const VERSIONS = availableVersions().filter((version) => version !== 16 && version !== 17);
const LONG = 'k'.repeat(63);

describe.each(VERSIONS)('NO_PRIMARY_KEY on PostgreSQL %i', (version) => {
  let database: TestDatabase;
  const role = `keyless_monitor_${version}`;
  const found = async () =>
    new Map((await ask(noPrimaryKey, database)).faults.map((fault) => [fault.table, fault]));

  beforeAll(async () => {
    database = await testDatabase(version);
    await inTurn(
      database,
      `CREATE SCHEMA "Odd ""Schema""";
       CREATE TABLE "Odd ""Schema""".customer (id int PRIMARY KEY);
       CREATE TABLE log (id int, day date, PRIMARY KEY (id, day)) PARTITION BY RANGE (day);
       CREATE TABLE log_1 PARTITION OF log FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
       CREATE TABLE keyed (id int PRIMARY KEY);
       CREATE TEMPORARY TABLE passing (id int); CREATE SCHEMA declutter; CREATE TABLE declutter.run (id int)`,
    );
  });

  afterAll(async () => {
    await database.run(`DROP ROLE IF EXISTS ${role}`);
    await database.drop();
  });

  it('is silent about tables that have one, partitions of them, temporary tables and our own', async () => {
    expect(await ask(noPrimaryKey, database)).toEqual({ faults: [], unsure: [] });
  });

  it('finds tables without one, partitioned ones once, and needs no rights for it', async () => {
    await inTurn(
      database,
      `CREATE TABLE "Odd ""Schema"""."${LONG}" (id int);
       CREATE TABLE bare (day date) PARTITION BY RANGE (day);
       CREATE TABLE bare_1 PARTITION OF bare FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
       CREATE UNLOGGED TABLE unlogged_bare (id int);
       CREATE ROLE ${role}; GRANT pg_monitor TO ${role}`,
    );
    const all = await ask(noPrimaryKey, database);
    expect(all.faults.map(({ schema, table }) => [schema, table])).toEqual([
      ['Odd "Schema"', LONG],
      ['public', 'bare'],
      ['public', 'unlogged_bare'],
    ]);
    expect(all.faults.map(({ severity }) => severity)).toEqual(['NOTICE', 'NOTICE', 'NOTICE']);
    expect(all.faults[0]!.detail).toContain(`ALTER TABLE "Odd ""Schema"""."${LONG}" ADD PRIMARY KEY`);
    expect(await ask(noPrimaryKey, database, { role })).toEqual(all);
  });

  it('tells the unique index that could become one, and its statement works', async () => {
    await inTurn(
      database,
      `CREATE TABLE ready (id int NOT NULL, part text NOT NULL, note text); CREATE UNIQUE INDEX "Ready" ON ready (part, id);
       CREATE UNIQUE INDEX ready_note ON ready (note); CREATE UNIQUE INDEX ready_some ON ready (id) WHERE note IS NULL;
       CREATE TABLE nearly (id int); CREATE UNIQUE INDEX nearly_id ON nearly (id);
       CREATE TABLE declared (id int NOT NULL CONSTRAINT declared_id UNIQUE);
       CREATE TABLE backward (id int NOT NULL); CREATE UNIQUE INDEX backward_id ON backward (id DESC);
       CREATE TABLE identified (id int NOT NULL); CREATE UNIQUE INDEX identified_id ON identified (id);
       ALTER TABLE identified REPLICA IDENTITY USING INDEX identified_id`,
    );
    const faults = await found();
    expect(faults.get('ready')).toMatchObject({
      severity: 'INFO',
      evidence: { nearest: { name: 'Ready', columns: ['part', 'id'], nullable: [], usable: true } },
    });
    expect(faults.get('nearly')).toMatchObject({
      severity: 'NOTICE',
      evidence: { nearest: { name: 'nearly_id', nullable: ['id'] } },
    });
    expect(faults.get('declared')).toMatchObject({
      severity: 'INFO',
      evidence: { nearest: { constraint: 'declared_id', usable: false } },
    });
    expect(faults.get('backward')!.evidence).toMatchObject({
      nearest: { name: 'backward_id', usable: false },
    });
    expect(faults.get('identified')!.detail).toContain('serves as the replica identity');
    for (const table of ['ready', 'identified']) {
      const statement = /ALTER TABLE .* ADD PRIMARY KEY USING INDEX "\w+"/.exec(
        faults.get(table)!.detail,
      )![0];
      await inTurn(database, statement);
    }
    expect([...(await found()).keys()].filter((name) => name === 'ready' || name === 'identified')).toEqual(
      [],
    );
  });

  it('is louder where changes are published, and nothing tells which row was meant', async () => {
    await inTurn(
      database,
      `CREATE PUBLICATION picked FOR TABLE bare, nearly, "Odd ""Schema"""."${LONG}"`,
      `INSERT INTO nearly VALUES (1); ALTER TABLE "Odd ""Schema"""."${LONG}" REPLICA IDENTITY FULL`,
    );
    const faults = await found();
    expect([
      faults.get('bare')!.severity,
      faults.get('nearly')!.severity,
      faults.get(LONG)!.severity,
    ]).toEqual(['WARNING', 'WARNING', 'NOTICE']);
    await expect(inTurn(database, 'DELETE FROM nearly')).rejects.toThrow(/replica identity/);
    await inTurn(database, 'ALTER TABLE nearly REPLICA IDENTITY FULL', 'DELETE FROM nearly');
    expect((await found()).get('nearly')!.severity).toBe('NOTICE');
  });

  it('hears of publications of a whole schema or database, and not of those that send inserts only', async () => {
    await inTurn(
      database,
      'DROP PUBLICATION picked',
      `CREATE PUBLICATION inserts FOR TABLE bare WITH (publish = 'insert')`,
    );
    expect((await found()).get('bare')!.severity).toBe('NOTICE');
    await inTurn(
      database,
      `CREATE PUBLICATION everything FOR ${version < 15 ? 'ALL TABLES' : 'TABLES IN SCHEMA public'}`,
    );
    const faults = await found();
    expect(faults.get('bare')!.severity).toBe('WARNING');
    expect(faults.get('unlogged_bare')!.severity).toBe('NOTICE');
  });

  it('is silent once every table has one', async () => {
    await inTurn(
      database,
      `DROP PUBLICATION inserts; DROP PUBLICATION everything;
       DROP TABLE "Odd ""Schema"""."${LONG}", nearly, declared, backward, unlogged_bare;
       ALTER TABLE bare ALTER day SET NOT NULL, ADD PRIMARY KEY (day)`,
    );
    expect(await ask(noPrimaryKey, database)).toEqual({ faults: [], unsure: [] });
  });
});
