import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import pg from 'pg';
import type { Bloat } from '../../src/domain/finding.ts';
import { type TestDatabase, testDatabase } from '../support/postgres.ts';
import { figuresOf, inTurn, tableNamed } from './support.ts';

describe('what is locked', () => {
  let database: TestDatabase;
  let toast: string;

  beforeAll(async () => {
    database = await testDatabase();
    await inTurn(
      database,
      `CREATE EXTENSION pgstattuple;
       CREATE TABLE plain AS SELECT g id, md5(g::text) t FROM generate_series(1, 5000) g;
       CREATE INDEX plain_id ON plain (id); CREATE INDEX plain_t ON plain (t);
       CREATE TABLE documents (id int, doc text); ALTER TABLE documents ALTER doc SET STORAGE EXTERNAL;
       INSERT INTO documents SELECT g, repeat(md5(g::text), 95) FROM generate_series(1, 500) g;
       CREATE TABLE log (id int, t text) PARTITION BY RANGE (id);
       CREATE TABLE log_1 PARTITION OF log FOR VALUES FROM (0) TO (3000); CREATE TABLE log_2 PARTITION OF log FOR VALUES FROM (3000) TO (6000);
       INSERT INTO log SELECT g, md5(g::text) FROM generate_series(1, 5000) g`,
      'VACUUM ANALYZE',
    );
    const [row] = await database.run(
      `SELECT reltoastrelid::regclass::text AS name FROM pg_class WHERE relname = 'documents'`,
    );
    toast = String(row!['name']);
  });

  afterAll(() => database.drop());

  /** By name, while another session holds the lock that a statement takes. */
  async function whileLocked(statement: string, exact: boolean) {
    const locker = new pg.Client({ connectionString: database.url });
    await locker.connect();
    await locker.query(`BEGIN; ${statement}`);
    const figures = await figuresOf(database, { exact });
    await locker.query('ROLLBACK');
    await locker.end();
    const answers = new Map<string, Bloat>(
      figures.tables.flatMap((table) => [
        [table.name, table.bloat] as const,
        ...table.indexes.map((index) => [index.name, index.bloat] as const),
      ]),
    );
    const unknown = [...answers].flatMap(([name, { verdict }]) => (verdict === 'UNKNOWN' ? [name] : []));
    return { answers, unknown: unknown.sort(), figures };
  }

  it.each([
    ['a table', () => 'LOCK TABLE plain IN ACCESS EXCLUSIVE MODE', ['plain', 'plain_id', 'plain_t']],
    ['an index', () => 'REINDEX INDEX plain_id', ['plain_id']],
    ['a TOAST table', () => `REINDEX TABLE ${toast}`, ['documents']],
    ['a partition', () => 'LOCK TABLE log_1 IN ACCESS EXCLUSIVE MODE', ['log', 'log_1']],
    ['a partitioned table', () => 'LOCK TABLE log IN ACCESS EXCLUSIVE MODE', ['log', 'log_1', 'log_2']],
  ])(
    'leaves out %s, from statistics and by reading, and answers about all others',
    async (_, lock, wanted) => {
      for (const exact of [false, true]) {
        const { answers, unknown } = await whileLocked(lock(), exact);
        expect(unknown).toEqual(wanted);
        const [first = ''] = unknown.slice(-1);
        expect(answers.get(first)!.causes[0]!.code).toBe('LOCKED');
        expect(answers.size).toBeGreaterThan(6);
      }
    },
  );

  it('shows the size that it had', async () => {
    const { figures } = await whileLocked('LOCK TABLE plain IN ACCESS EXCLUSIVE MODE', false);
    expect(tableNamed(figures, 'plain').totalBytes).toBeGreaterThan(300_000);
  });
});
