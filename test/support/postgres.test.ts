import { describe, expect, it } from '@jest/globals';
import pg from 'pg';
import { sql } from '../../src/target/sql.ts';
import { availableVersions, debianDatabase, itOnDebian, testDatabase, testStore } from './postgres.ts';

describe('test databases', () => {
  it.each(availableVersions())('are on a server of the major asked for: %i', async (version) => {
    const database = await testDatabase(version);
    const session = await database.session();
    const { number } = await session.one<{ number: string }>(
      sql`SELECT current_setting('server_version_num') AS number`,
    );
    expect(Math.floor(Number(number) / 10_000)).toBe(version);
    await database.drop();
  });

  itOnDebian('can be on the PostgreSQL of Debian', async () => {
    const database = await debianDatabase();
    const [row] = await database.run('SELECT version() AS text');
    expect(row?.['text']).toMatch(/PostgreSQL 15.*Debian/);
    await database.drop();
  });

  it('give the rows of the last statement', async () => {
    const database = await testDatabase();
    const rows = await database.run(
      `CREATE TABLE note (text text); INSERT INTO note VALUES ('a'); SELECT text FROM note`,
    );
    expect(rows).toEqual([{ text: 'a' }]);
    await database.drop();
  });

  it('tell which connection was left open', async () => {
    const database = await testDatabase();
    const forgotten = new pg.Client({ connectionString: database.url, application_name: 'forgotten' });
    forgotten.on('error', () => undefined); // drop() ends it from the server's side
    await forgotten.connect();
    await expect(database.drop()).rejects.toThrow(/left open: forgotten/);
  });

  it('include migrated control stores that do not see each other', async () => {
    const [one, other] = await Promise.all([testStore(), testStore()]);
    await one.store.prisma.maintenanceStop.upsert({
      where: { id: 1 },
      create: { on: true, reason: 'test' },
      update: { on: true, reason: 'test' },
    });
    expect(await one.store.prisma.maintenanceStop.count({ where: { on: true } })).toBe(1);
    expect(await other.store.prisma.maintenanceStop.count({ where: { on: true } })).toBe(0);
    await Promise.all([one.close(), other.close()]);
  });
});
