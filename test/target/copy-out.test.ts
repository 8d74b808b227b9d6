import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { sql, toBoundStatement, typedValue } from '../../src/target/sql.ts';
import { type TestDatabase, testDatabase } from '../support/postgres.ts';

let database: TestDatabase;

beforeAll(async () => {
  database = await testDatabase();
});

afterAll(() => database.drop());

describe('COPY TO STDOUT', () => {
  it('hands on every byte, whatever the sizes of rows and chunks', async () => {
    const session = await database.session();
    const pieces: Buffer[] = [];
    const rows = await session.transaction(async () => {
      const statement = toBoundStatement(sql`
        COPY (SELECT i, pg_catalog.repeat('é', i * i % 70001) FROM pg_catalog.generate_series(1, ${typedValue('300', 'pg_catalog.int4')}) AS i) TO STDOUT`);
      await session.script(statement.settings);
      return session.copyOut(statement, (chunk, start, end) =>
        pieces.push(Buffer.from(chunk.subarray(start, end))),
      );
    });
    expect(rows).toBe(300);
    const lines = Buffer.concat(pieces).toString().split('\n');
    expect(lines).toHaveLength(301);
    expect(lines.slice(0, 300)).toEqual(
      Array.from({ length: 300 }, (_, n) => `${n + 1}\t${'é'.repeat(((n + 1) * (n + 1)) % 70_001)}`),
    );
  });

  it('passes on an error in the middle, and the session goes on', async () => {
    const session = await database.session();
    let bytes = 0;
    const failing = session.transaction(() =>
      session.copyOut(
        toBoundStatement(
          sql`COPY (SELECT 1 / (20000 - i) FROM pg_catalog.generate_series(1, 30000) AS i) TO STDOUT`,
        ),
        (_chunk, start, end) => (bytes += end - start),
      ),
    );
    await expect(failing).rejects.toMatchObject({ sqlstate: '22012' });
    expect(bytes).toBeGreaterThan(10_000);
    expect(await session.one(sql`SELECT 7 AS n`)).toEqual({ n: 7 });
  });

  it('tells when the connection is lost in the middle', async () => {
    const session = await database.session();
    const lost = session.transaction(() =>
      session.copyOut(
        toBoundStatement(
          sql`COPY (SELECT i, pg_catalog.pg_sleep(0.01) FROM pg_catalog.generate_series(1, 3000) AS i) TO STDOUT`,
        ),
        () => undefined,
      ),
    );
    const ended = expect(lost).rejects.toMatchObject({ failure: 'CONNECTION' });
    await database.run(`SELECT pg_sleep(0.3), pg_terminate_backend(${session.backend.pid})`);
    await ended;
  });
});
