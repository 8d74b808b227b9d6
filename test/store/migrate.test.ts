import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { pendingSql } from '../../scripts/schema-engine.ts';
import { migrate } from '../../src/store/migrate.ts';
import { openStore } from '../../src/store/open-store.ts';
import { type TestDatabase, testDatabase } from '../support/postgres.ts';

describe('migrate', () => {
  let database: TestDatabase;
  beforeEach(async () => {
    database = await testDatabase();
  });
  afterEach(() => database.drop());

  it('applies everything once, however many processes start at the same time', async () => {
    const applied = await Promise.all([migrate(database.url), migrate(database.url), migrate(database.url)]);
    const rows = await database.run(
      'SELECT migration_name, finished_at FROM "_prisma_migrations" ORDER BY started_at',
    );
    expect(rows.length).toBeGreaterThan(1);
    expect(applied.flat()).toEqual(rows.map((row) => row['migration_name']));
    expect(rows.every((row) => row['finished_at'] instanceof Date)).toBe(true);
    expect(await migrate(database.url)).toEqual([]);
  });

  it('refuses a store whose history has been edited, and changes nothing', async () => {
    const [first] = await migrate(database.url);
    await database.run(
      `UPDATE "_prisma_migrations" SET checksum = 'edited' WHERE migration_name = '${first}'`,
    );
    await database.run(`DELETE FROM "_prisma_migrations" WHERE migration_name <> '${first}'`);
    await expect(migrate(database.url)).rejects.toMatchObject({
      code: 'PRECONDITION_FAILED',
      message: new RegExp(`${first} differs`),
    });
    expect(await database.run('SELECT migration_name FROM "_prisma_migrations"')).toEqual([
      { migration_name: first },
    ]);
  });

  it('refuses a store that a newer version has made', async () => {
    await migrate(database.url);
    await database.run(
      `INSERT INTO "_prisma_migrations" (id, checksum, migration_name, finished_at) VALUES ('x', 'x', '29990101000000_future', now())`,
    );
    await expect(migrate(database.url)).rejects.toMatchObject({
      message: /29990101000000_future.*does not know/,
    });
  });

  it('applies all or nothing', async () => {
    await database.run('CREATE TABLE audit_event (sequence int)'); // in the way of the first migration
    await expect(migrate(database.url)).rejects.toMatchObject({ code: '42P07' });
    expect(
      await database.run(`SELECT to_regclass('run') AS run, to_regclass('_prisma_migrations') AS history`),
    ).toEqual([{ run: null, history: null }]);
  });

  it('makes what schema.prisma says, no more and no less', async () => {
    expect(await pendingSql(database.url)).toBe('');
  });

  it('makes an audit chain that nobody changes, and a superuser who plays replica neither', async () => {
    await migrate(database.url);
    await database.run(
      `INSERT INTO audit_event VALUES (1, now(), 'ann', 'startRun', 'run', 'OK', '{}', '', 'hash'); SET session_replication_role = replica`,
    );
    for (const change of [
      `UPDATE audit_event SET actor = 'bob'`,
      'DELETE FROM audit_event',
      'TRUNCATE audit_event',
    ]) {
      await expect(database.run(change)).rejects.toMatchObject({ code: '42501', message: /append-only/ });
    }
    expect(await database.run('SELECT actor FROM audit_event')).toEqual([{ actor: 'ann' }]);
  });
});

describe('openStore', () => {
  it('reads times as they are, whatever the time zone of the database', async () => {
    const database = await testDatabase();
    await migrate(database.url);
    await database.run(`ALTER DATABASE ${database.name} SET timezone = 'Asia/Kathmandu'`);
    const store = await openStore(database.url);
    const since = new Date('2025-06-01T12:34:56.789Z');
    await store.prisma.maintenanceStop.create({ data: { on: true, reason: 'test', since } });
    expect((await store.prisma.maintenanceStop.findFirstOrThrow()).since).toEqual(since);
    expect(
      await database.run(`SELECT since = '2025-06-01 12:34:56.789+00' AS same FROM maintenance_stop`),
    ).toEqual([{ same: true }]);
    await store.close();
    await database.drop();
  });

  it('says that the store does not answer, without its password', async () => {
    const failure = await openStore('postgres://me:canary@127.0.0.1:1/x').catch((error: unknown) => error);
    expect(failure).toMatchObject({ code: 'STORE_UNAVAILABLE' });
    expect(String(failure)).not.toContain('canary');
  });
});
