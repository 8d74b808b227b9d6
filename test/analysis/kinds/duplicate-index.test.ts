import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { duplicateIndex } from '../../../src/analysis/kinds/duplicate-index.ts';
import { availableVersions, type TestDatabase, testDatabase } from '../../support/postgres.ts';
import { ask, inTurn } from '../support.ts';

/** Each beside CREATE INDEX base ON thing (a, b): alike, but not the same. */
const DIFFERENT = {
  swapped: '(b, a)',
  prefix: '(a)',
  longer: '(a, b, c)',
  descending: '(a, b DESC)',
  nulls_first: '(a, b NULLS FIRST)',
  partial: '(a, b) WHERE c > 5',
  covering: '(a, b) INCLUDE (c)',
  method: 'USING brin (a, b)',
};

/** Each beside CREATE INDEX words ON thing (t). */
const DIFFERENT_TEXT = {
  pattern: '(t text_pattern_ops)',
  c_sorted: '(t COLLATE "C")',
  expression: '(lower(t))',
};

describe.each(availableVersions())('DUPLICATE_INDEX on PostgreSQL %i', (version) => {
  let database: TestDatabase;
  const found = async () => (await ask(duplicateIndex, database)).faults;
  const mayGo = async () => (await found()).map((fault) => fault.index).sort();

  beforeAll(async () => {
    database = await testDatabase(version);
    const beside = (list: Readonly<Record<string, string>>) =>
      Object.entries(list).map(([name, definition]) => `CREATE INDEX ${name} ON thing ${definition}`);
    await inTurn(
      database,
      `CREATE TABLE thing (a int, b int, c int, t text); INSERT INTO thing SELECT g, g, g, g::text FROM generate_series(1, 1000) g;
       CREATE INDEX base ON thing (a, b); CREATE INDEX words ON thing (t);
       ${[...beside(DIFFERENT), ...beside(DIFFERENT_TEXT)].join(';')};
       CREATE INDEX expression_two ON thing (upper(t)); CREATE INDEX partial_two ON thing (a, b) WHERE c > 6`,
    );
  });

  afterAll(() => database.drop());

  it('is silent about indexes that only look alike', async () => {
    expect(await found()).toEqual([]);
  });

  it.each([
    ['a twin', 'CREATE INDEX twin ON thing (a, b)', ['twin']],
    ['a twin with another fillfactor', 'CREATE INDEX twin ON thing (a, b) WITH (fillfactor = 50)', ['twin']],
    ['the same expression', 'CREATE INDEX twin ON thing (lower(t))', ['twin']],
    ['the same predicate', 'CREATE INDEX twin ON thing (a, b) WHERE c > 5', ['twin']],
    ['the same INCLUDE', 'CREATE INDEX twin ON thing (a, b) INCLUDE (c)', ['twin']],
    [
      'a plain index beside a unique one: the unique one stays',
      'CREATE UNIQUE INDEX twin ON thing (a, b)',
      ['base'],
    ],
    [
      'a plain index beside a primary key',
      'ALTER TABLE thing ADD CONSTRAINT twin PRIMARY KEY (a, b)',
      ['base'],
    ],
  ])('finds %s', async (_, statement, names) => {
    await inTurn(database, statement);
    const faults = await found();
    await inTurn(
      database,
      statement.startsWith('ALTER') ? 'ALTER TABLE thing DROP CONSTRAINT twin' : 'DROP INDEX twin',
    );
    expect(faults.map((fault) => fault.index)).toEqual(names);
    expect(faults[0]!.detail).toMatch(/may go: .* stays: /);
    expect(await found()).toEqual([]);
  });

  it('says why the other one stays', async () => {
    await inTurn(
      database,
      'CREATE UNIQUE INDEX twin ON thing (a, b); ALTER TABLE thing ADD CONSTRAINT twin PRIMARY KEY USING INDEX twin',
    );
    const [fault] = await found();
    await inTurn(database, 'ALTER TABLE thing DROP CONSTRAINT twin');
    expect(fault!.evidence).toMatchObject({
      mayGo: { name: 'base' },
      mustStay: { name: 'twin', duties: ['PRIMARY_KEY'] },
    });
    expect(fault!.detail).toContain('twin stays: it is the primary key.');
  });

  it('never gives up a unique index for one that forbids less', async () => {
    await inTurn(
      database,
      `CREATE UNIQUE INDEX strict ON thing (c); ALTER TABLE thing ADD CONSTRAINT late UNIQUE (c) DEFERRABLE INITIALLY DEFERRED`,
    );
    const names = await mayGo();
    await inTurn(database, 'DROP INDEX strict; ALTER TABLE thing DROP CONSTRAINT late');
    expect(names).toEqual([]);
  });

  it('never touches one of two that both have duties', async () => {
    await inTurn(
      database,
      `ALTER TABLE thing ADD CONSTRAINT one UNIQUE (c); ALTER TABLE thing ADD CONSTRAINT two UNIQUE (c)`,
    );
    const names = await mayGo();
    await inTurn(database, 'ALTER TABLE thing DROP CONSTRAINT one, DROP CONSTRAINT two');
    expect(names).toEqual([]);
  });

  it('does not count an index that is not valid', async () => {
    await inTurn(
      database,
      'CREATE INDEX twin ON thing (a, b)',
      `UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'base'::regclass`,
    );
    const names = await mayGo();
    await inTurn(database, `UPDATE pg_index SET indisvalid = true WHERE indexrelid = 'base'::regclass`);
    expect([names, await mayGo()]).toEqual([[], ['twin']]);
    await inTurn(database, 'DROP INDEX twin');
  });
});
