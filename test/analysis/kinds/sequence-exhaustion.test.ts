import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import pg from 'pg';
import type { KeptFinding } from '../../../src/analysis/define-analysis.ts';
import { sequenceExhaustion } from '../../../src/analysis/kinds/sequence-exhaustion.ts';
import type { FoundFault } from '../../../src/domain/finding.ts';
import { availableVersions, type TestDatabase, testDatabase } from '../../support/postgres.ts';
import { ask, inTurn } from '../support.ts';

const VERSIONS = availableVersions().filter((version) => version === 14 || version === 18);
const LONG = 's'.repeat(63);
const DAY_MS = 86_400_000;

describe.each(VERSIONS)('SEQUENCE_EXHAUSTION on PostgreSQL %i', (version) => {
  let database: TestDatabase;
  const role = `sequence_monitor_${version}`;
  const found = async (given: Parameters<typeof ask>[2] = {}) =>
    new Map((await ask(sequenceExhaustion, database, given)).faults.map((fault) => [fault.table, fault]));
  const kept = (fault: FoundFault): KeptFinding => ({ ...fault, open: true, firstSeenAt: new Date() });

  beforeAll(async () => {
    database = await testDatabase(version);
    await inTurn(
      database,
      `CREATE SCHEMA "Odd ""Schema"""; CREATE SCHEMA declutter; CREATE SEQUENCE declutter.own MAXVALUE 10; SELECT setval('declutter.own', 10);
       CREATE TABLE young (id serial PRIMARY KEY); SELECT setval('young_id_seq', 1000000000);
       CREATE TABLE big (id bigserial PRIMARY KEY); SELECT setval('big_id_seq', 3000000000);
       CREATE TABLE given (id int PRIMARY KEY, other int); INSERT INTO given SELECT g, 2000000000 FROM generate_series(1, 1000) g;
       CREATE TABLE hashed (id int PRIMARY KEY); INSERT INTO hashed SELECT DISTINCT hashint4(g) FROM generate_series(1, 2000) g;
       CREATE TABLE ring (n int); CREATE SEQUENCE round MAXVALUE 100 CYCLE OWNED BY ring.n; SELECT setval('round', 99);
       CREATE SEQUENCE negative START -9223372036854775807 MINVALUE -9223372036854775808;
       CREATE ROLE ${role}; GRANT pg_monitor TO ${role}`,
      'ANALYZE',
    );
  });

  afterAll(async () => {
    await database.run(`DROP OWNED BY ${role}; DROP ROLE ${role}`);
    await database.drop();
  });

  it('is silent about sequences and keys with room ahead, hashes, rings and our own', async () => {
    expect(await ask(sequenceExhaustion, database)).toEqual({ faults: [], unsure: [] });
  });

  it('finds what is near its end, by the narrowest column or by the sequence itself', async () => {
    await inTurn(
      database,
      `CREATE TABLE "Odd ""Schema"""."${LONG}" ("Id" smallint GENERATED ALWAYS AS IDENTITY);
       SELECT setval(pg_get_serial_sequence('"Odd ""Schema"""."${LONG}"', 'Id'), 32000);
       CREATE SEQUENCE shared; CREATE TABLE narrow (id int DEFAULT nextval('shared'), id_too bigint DEFAULT nextval('shared')); SELECT setval('shared', 1800000000);
       CREATE TABLE parent (id bigserial PRIMARY KEY); CREATE TABLE child (parent_id int REFERENCES parent); CREATE TABLE grandchild (parent_id smallint REFERENCES parent);
       SELECT setval('parent_id_seq', 25000);
       CREATE SEQUENCE free MAXVALUE 1000; SELECT setval('free', 1000);
       CREATE SEQUENCE down INCREMENT -2 AS smallint; SELECT setval('down', -30001);
       CREATE TABLE round_key (id int PRIMARY KEY); CREATE SEQUENCE round_too MAXVALUE 100 CYCLE OWNED BY round_key.id; SELECT setval('round_too', 90);
       CREATE TABLE parted (id serial, day int) PARTITION BY RANGE (day); CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM (0) TO (9);
       SELECT setval('parted_id_seq', 1500000000)`,
    );
    const faults = await found();
    expect([...faults.keys()].sort()).toEqual(
      [LONG, 'down', 'free', 'grandchild', 'narrow', 'parted', 'round_key'].sort(),
    );
    const told = (table: string) => {
      const { columns, severity, evidence } = faults.get(table)!;
      return [
        columns.join(),
        severity,
        evidence['last'],
        evidence['end'],
        Math.round(100 * Number(evidence['share'])),
      ];
    };
    expect(told(LONG)).toEqual(['Id', 'CRITICAL', '32000', '32767', 98]);
    expect(told('narrow')).toEqual(['id', 'WARNING', '1800000000', '2147483647', 84]);
    expect(told('grandchild')).toEqual(['parent_id', 'NOTICE', '25000', '32767', 76]);
    expect(told('free')).toEqual(['', 'CRITICAL', '1000', '1000', 100]);
    expect(told('down')).toEqual(['', 'WARNING', '-30001', '-32768', 92]);
    expect(told('round_key')).toEqual(['id', 'WARNING', '90', '100', 90]);
    expect(told('parted')).toEqual(['id', 'NOTICE', '1500000000', '2147483647', 70]);
    expect(faults.get('free')!.title).toBe('The sequence public.free has run out of numbers');
    expect(faults.get('round_key')!.detail).toContain('meets numbers that are taken');
    expect(faults.get('grandchild')!.detail).toContain('by a foreign key');
    expect(faults.get('narrow')!.detail).toContain('No date yet');
  });

  it('gives statements that work', async () => {
    const faults = await found();
    const widen = /ALTER SEQUENCE \S+ AS bigint NO MINVALUE/.exec(faults.get('down')!.detail)![0];
    const identity = faults.get(LONG)!.detail;
    await inTurn(
      database,
      widen,
      /ALTER SEQUENCE "Odd ""Schema"""\.\S+ MINVALUE -32768 RESTART WITH -32768/.exec(identity)![0],
    );
    await inTurn(database, `INSERT INTO "Odd ""Schema"""."${LONG}" DEFAULT VALUES`);
    expect(await database.run(`SELECT "Id" FROM "Odd ""Schema"""."${LONG}"`)).toEqual([{ Id: -32768 }]);
    expect([...(await found()).keys()].sort()).toEqual([
      'free',
      'grandchild',
      'narrow',
      'parted',
      'round_key',
    ]);
  });

  it('tells the day when it ends, from what it has kept, and forgets what came before a restart', async () => {
    const first = (await found()).get('narrow')!;
    await database.run("SELECT setval('shared', 1810000000)");
    const memory = { findings: async () => [kept(first)] };
    const now = new Date(Date.now() + 10 * DAY_MS);
    const second = (await found({ now, memory })).get('narrow')!;
    const days = (2_147_483_647 - 1_810_000_000) / 1_000_000;
    const ends = new Date(now.getTime() + days * DAY_MS).toISOString().slice(0, 10);
    expect(second.evidence['runsOutOn']).toBe(ends);
    expect(second.title).toContain(`the last by ${ends}`);
    expect(second.severity).toBe('NOTICE');
    expect(second.evidence['readings']).toHaveLength(2);
    const soon = (await found({ now: new Date(Date.now() + DAY_MS / 2), memory })).get('narrow')!;
    expect(soon.severity).toBe('CRITICAL');
    await database.run("SELECT setval('shared', 1700000000)");
    const restarted = (await found({ now, memory: { findings: async () => [kept(second)] } })).get('narrow')!;
    expect(restarted.evidence).toMatchObject({ runsOutOn: null, perDay: null });
    expect(restarted.evidence['readings']).toHaveLength(1);
    const still = (
      await found({
        now: new Date(now.getTime() + 3 * DAY_MS),
        memory: { findings: async () => [kept(restarted)] },
      })
    ).get('narrow')!;
    expect(still.detail).toContain('It has not moved in 3 days.');
    expect(still.severity).toBe('INFO');
  });

  it('finds keys that no sequence counts, by what ANALYZE has seen', async () => {
    await inTurn(
      database,
      `INSERT INTO given SELECT g, 1 FROM generate_series(1900000000, 1900009000) g;
       CREATE TABLE drawn (id int PRIMARY KEY); INSERT INTO drawn SELECT DISTINCT abs(hashint4(g) % 2147483647) FROM generate_series(1, 3000) g;
       CREATE TABLE leaves (id int PRIMARY KEY) PARTITION BY RANGE (id);
       CREATE TABLE leaf_1 PARTITION OF leaves FOR VALUES FROM (0) TO (1000000); CREATE TABLE leaf_2 PARTITION OF leaves FOR VALUES FROM (1000000) TO (2147483647);
       INSERT INTO leaves SELECT g FROM generate_series(1, 500) g; INSERT INTO leaves SELECT g FROM generate_series(2147000000, 2147000500) g`,
      'ANALYZE',
    );
    const faults = await found();
    expect(faults.get('given')).toMatchObject({
      columns: ['id'],
      severity: 'WARNING',
      evidence: { method: 'STATISTICS', last: '1900009000', sequence: null },
    });
    expect(faults.get('drawn')).toMatchObject({ severity: 'INFO' });
    expect(faults.get('leaves')).toMatchObject({ columns: ['id'], severity: 'CRITICAL' });
  });

  it('is in doubt about what it may not read, and what is locked, and only about that', async () => {
    const { faults, unsure } = await ask(sequenceExhaustion, database, { role });
    expect(faults).toEqual([]);
    const doubtful = unsure.map(({ table }) => table);
    expect(doubtful).toEqual(
      expect.arrayContaining(['narrow', 'grandchild', 'free', 'given', 'leaves', 'young']),
    );
    expect(doubtful).not.toContain('big');
    expect(unsure.every(({ why }) => why?.includes('GRANT SELECT'))).toBe(true);
    await database.run(`GRANT SELECT ON SEQUENCE free TO ${role}`);
    expect([...(await found({ role })).keys()]).toEqual(['free']);
    const locker = new pg.Client({ connectionString: database.url });
    await locker.connect();
    await locker.query(
      'BEGIN; ALTER SEQUENCE free OWNER TO CURRENT_USER; LOCK TABLE narrow IN ACCESS EXCLUSIVE MODE',
    );
    await locker.query('ALTER SEQUENCE shared RENAME TO shared_too');
    const locked = await ask(sequenceExhaustion, database);
    await locker.query('ROLLBACK');
    await locker.end();
    expect(locked.unsure.map(({ table }) => table)).toContain('narrow');
    expect(locked.faults.map(({ table }) => table)).toContain('grandchild');
  });

  it('is silent after there is room again', async () => {
    await inTurn(
      database,
      `ALTER SEQUENCE free NO MAXVALUE; DROP TABLE grandchild, drawn, round_key; ALTER TABLE narrow ALTER id TYPE bigint;
       ALTER TABLE parted ALTER id TYPE bigint; ALTER SEQUENCE parted_id_seq AS bigint; ALTER TABLE given ALTER id TYPE bigint; ALTER TABLE leaves RENAME TO gone;
       DROP TABLE gone`,
      'ANALYZE',
    );
    expect(await ask(sequenceExhaustion, database)).toEqual({ faults: [], unsure: [] });
  });
});
