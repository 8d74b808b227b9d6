import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import pg from 'pg';
import { invalidIndex } from '../../../src/analysis/kinds/invalid-index.ts';
import { availableVersions, type TestDatabase, testDatabase } from '../../support/postgres.ts';
import { ask, inTurn } from '../support.ts';

const VERSIONS = availableVersions().filter((version) => version === 14 || version === 18);
const LONG = 'Ä "so" '.padEnd(60, 'x');
const quoted = (name: string) => `"${name.replaceAll('"', '""')}"`;

describe.each(VERSIONS)('INVALID_INDEX on PostgreSQL %i', (version) => {
  let database: TestDatabase;
  const found = async (role?: string) => ask(invalidIndex, database, role === undefined ? {} : { role });
  const names = async () => (await found()).faults.map(({ index }) => index);

  beforeAll(async () => {
    database = await testDatabase(version);
    await inTurn(
      database,
      `CREATE TABLE ${quoted(LONG)} (id int PRIMARY KEY, a int, wide text); INSERT INTO ${quoted(LONG)} SELECT g, g % 100 FROM generate_series(1, 5000) g;
       CREATE INDEX thing_a ON ${quoted(LONG)} (a)`,
    );
    await database.run(
      `CREATE ROLE watcher_${database.name} IN ROLE pg_monitor; CREATE ROLE nobody_${database.name}`,
    );
  });

  afterAll(async () => {
    await database.run(`DROP ROLE watcher_${database.name}; DROP ROLE nobody_${database.name}`);
    await database.drop();
  });

  /** While a transaction that has written is open, a concurrent build gets no further than its beginning. */
  async function whileStuck(statement: string, work: () => Promise<void>): Promise<void> {
    const [writer, builder] = [0, 1].map(() => new pg.Client({ connectionString: database.url })) as [
      pg.Client,
      pg.Client,
    ];
    await Promise.all([writer.connect(), builder.connect()]);
    await writer.query(`BEGIN; UPDATE ${quoted(LONG)} SET a = a WHERE id = 1`);
    const building = builder.query(statement).catch((error: unknown) => (error as pg.DatabaseError).code);
    try {
      while ((await database.run('SELECT FROM pg_index WHERE NOT indisvalid')).length === 0) await sleep(20);
      await work();
      await database.run(
        `SELECT pg_cancel_backend(pid) FROM pg_stat_progress_create_index WHERE datname = current_database()`,
      );
      expect(await building).toBe('57014');
    } finally {
      await Promise.all([writer.end(), builder.end()]);
    }
  }

  it('is silent while all indexes are valid', async () => {
    expect(await found()).toEqual({ faults: [], unsure: [] });
  });

  it('does not take an index that is being built for one that was left, and is unsure without rights to see who builds', async () => {
    await whileStuck(`CREATE INDEX CONCURRENTLY stuck ON ${quoted(LONG)} (a, id)`, async () => {
      expect(await found()).toEqual({ faults: [], unsure: [] });
      expect(await found(`watcher_${database.name}`)).toEqual({ faults: [], unsure: [] });
      const answer = await found(`nobody_${database.name}`);
      expect(answer.faults).toEqual([]);
      expect(answer.unsure).toMatchObject([{ table: LONG, index: 'stuck' }]);
    });
  });

  it('finds what a build left behind, and plans to finish it', async () => {
    const { faults } = await found(`nobody_${database.name}`);
    expect(faults).toMatchObject([
      {
        kind: 'INVALID_INDEX',
        severity: 'NOTICE',
        schema: 'public',
        table: LONG,
        index: 'stuck',
        columns: ['a', 'id'],
      },
    ]);
    expect(faults[0]!.evidence).toMatchObject({
      isReady: false,
      isLive: true,
      isLeftover: false,
      sameAs: null,
    });
    expect(faults[0]!.remedy?.variables).toEqual({
      input: { database: 'shop', schema: 'public', table: LONG, indexes: ['stuck'] },
    });
    expect(faults[0]!.detail).toContain('REINDEX INDEX CONCURRENTLY "public"."stuck";');
  });

  it('is louder when writes keep it up to date, or values were meant to be unique', async () => {
    const set = (text: string) =>
      database.run(`UPDATE pg_index SET ${text} WHERE indexrelid = 'stuck'::regclass`);
    await set('indisready = true');
    expect((await found()).faults).toMatchObject([{ severity: 'WARNING' }]);
    await set('indisready = false, indisunique = true');
    expect((await found()).faults).toMatchObject([{ severity: 'WARNING' }]);
    expect((await found()).faults[0]!.detail).toContain('While rows repeat, it cannot be finished.');
    await set('indisunique = false, indislive = false');
    expect((await found()).faults[0]).toMatchObject({
      remedy: { variables: { input: { index: 'stuck' } } },
      evidence: { isLive: false },
    });
    await set('indislive = true');
  });

  it('is silent after it was built', async () => {
    await inTurn(database, 'REINDEX INDEX CONCURRENTLY stuck');
    expect(await names()).toEqual([]);
  });

  it('advises to drop the copies that REINDEX CONCURRENTLY left, also of a TOAST table', async () => {
    await whileStuck(`REINDEX TABLE CONCURRENTLY ${quoted(LONG)}`, async () => {
      const { faults, unsure } = await found();
      expect(faults).toEqual([]);
      expect(unsure.length).toBeGreaterThan(0);
    });
    const { faults } = await found();
    const own = faults.find(({ index }) => index === 'thing_a_ccnew')!;
    expect(own).toMatchObject({
      table: LONG,
      remedy: { variables: { input: { database: 'shop', schema: 'public', index: 'thing_a_ccnew' } } },
      evidence: { isLeftover: true, sameAs: 'thing_a' },
    });
    expect(own.detail).toContain(
      'thing_a is the same and valid. To be rid of it: DROP INDEX CONCURRENTLY "public"."thing_a_ccnew";',
    );
    const toast = faults.find(({ index }) => index?.startsWith('pg_toast'));
    expect(toast).toMatchObject({ schema: 'public', table: LONG });
    for (const { detail } of faults) await database.run(/DROP INDEX CONCURRENTLY [^;]+;/.exec(detail)![0]);
    expect(await names()).toEqual([]);
  });

  it('names the partitions that a partitioned index lacks, and completes it', async () => {
    await inTurn(
      database,
      `CREATE TABLE part (a int, "B" int) PARTITION BY RANGE (a);
       CREATE TABLE part_1 PARTITION OF part FOR VALUES FROM (0) TO (10);
       CREATE TABLE part_2 PARTITION OF part FOR VALUES FROM (10) TO (20);
       CREATE TABLE part_3 PARTITION OF part FOR VALUES FROM (20) TO (30) PARTITION BY RANGE (a);
       CREATE INDEX part_b ON ONLY part ("B" DESC) WHERE a > 5; CREATE INDEX one ON part_1 ("B" DESC) WHERE a > 5; ALTER INDEX part_b ATTACH PARTITION one`,
    );
    const { faults } = await found();
    expect(faults).toMatchObject([
      {
        table: 'part',
        index: 'part_b',
        columns: ['B'],
        remedy: null,
        evidence: { missingIn: ['public.part_2', 'public.part_3'] },
      },
    ]);
    const statements = faults[0]!.detail.split('To complete it: ')[1]!.split(';');
    for (const statement of statements.filter((text) => text.trim() !== ''))
      await inTurn(database, statement);
    expect(await names()).toEqual([]);
  });

  it('has the broken part of a partitioned index built, and the whole looked at again', async () => {
    await database.run(
      `UPDATE pg_index SET indisvalid = false WHERE indexrelid IN ('part_b'::regclass, 'one'::regclass)`,
    );
    const { faults } = await found();
    expect(faults.map(({ index }) => index).sort()).toEqual(['one', 'part_b']);
    expect(faults.find(({ index }) => index === 'one')?.remedy?.variables).toMatchObject({
      input: { table: 'part_1', indexes: ['one'] },
    });
    const whole = faults.find(({ index }) => index === 'part_b')!.detail.split('To complete it: ')[1]!;
    for (const statement of whole.split(';').filter((text) => text.trim() !== ''))
      await inTurn(database, statement);
    expect(await names()).toEqual([]);
  });
});
