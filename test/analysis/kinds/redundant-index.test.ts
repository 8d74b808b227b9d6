import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { redundantIndex } from '../../../src/analysis/kinds/redundant-index.ts';
import { availableVersions, type TestDatabase, testDatabase } from '../../support/postgres.ts';
import { ask, inTurn } from '../support.ts';

const VERSIONS = availableVersions().filter((version) => version === 14 || version === 18);
const TABLE = 'Redundant "one" '.padEnd(63, 'x');
const quoted = (name: string) => `"${name.replaceAll('"', '""')}"`;

/** Which indexes may go is held against the planner in index-advice-truth.test.ts. */
describe.each(VERSIONS)('REDUNDANT_INDEX on PostgreSQL %i', (version) => {
  let database: TestDatabase;
  const found = async (role?: string) => ask(redundantIndex, database, role === undefined ? {} : { role });

  beforeAll(async () => {
    database = await testDatabase(version);
    await inTurn(
      database,
      `CREATE TABLE ${quoted(TABLE)} (a int, b int, note text); INSERT INTO ${quoted(TABLE)} SELECT g % 10, g, repeat('n', 100) || g FROM generate_series(1, 50000) g;
       CREATE INDEX long ON ${quoted(TABLE)} (a, b)`,
      'VACUUM ANALYZE',
    );
    await database.run(
      `CREATE ROLE watcher_${database.name} IN ROLE pg_monitor; CREATE ROLE nobody_${database.name}`,
    );
  });

  afterAll(async () => {
    await database.run(`DROP ROLE watcher_${database.name}; DROP ROLE nobody_${database.name}`);
    await database.drop();
  });

  it('is silent while each index does something of its own', async () => {
    expect(await found()).toEqual({ faults: [], unsure: [] });
  });

  it('finds the one that is covered, whatever our rights are, and says which stays and why', async () => {
    await inTurn(database, `CREATE INDEX short ON ${quoted(TABLE)} (a) WITH (deduplicate_items = off)`);
    const { faults } = await found(`nobody_${database.name}`);
    expect(await found(`watcher_${database.name}`)).toEqual({ faults, unsure: [] });
    expect(faults).toMatchObject([
      {
        kind: 'REDUNDANT_INDEX',
        severity: 'NOTICE',
        schema: 'public',
        table: TABLE,
        index: 'short',
        columns: ['a'],
        rows: null,
        remedy: { variables: { input: { database: 'shop', schema: 'public', index: 'short' } } },
      },
    ]);
    expect(faults[0]!.wastedBytes).toBeGreaterThan(500_000);
    expect(faults[0]!.evidence).toMatchObject({
      mayGo: { name: 'short' },
      mustStay: { name: 'long', duties: [] },
      doubts: [],
    });
    expect(faults[0]!.detail).toContain(
      'short may go: its keys are the first ones of long, so that long answers every query that it does. long stays: it answers more.',
    );
    expect(faults[0]!.detail).toContain(
      'DROP INDEX CONCURRENTLY "public"."short"; to get it back: CREATE INDEX short',
    );
  });

  it('is silent after it was dropped', async () => {
    await inTurn(database, 'DROP INDEX CONCURRENTLY "public"."short"');
    expect(await found()).toEqual({ faults: [], unsure: [] });
  });

  it('only informs where the one that stays is much larger, since long scans would read more', async () => {
    await inTurn(
      database,
      `CREATE INDEX short ON ${quoted(TABLE)} (a); CREATE INDEX wide ON ${quoted(TABLE)} (a, note); DROP INDEX long`,
    );
    const { faults } = await found();
    expect(faults).toMatchObject([
      { index: 'short', severity: 'INFO', evidence: { mustStay: { name: 'wide' } } },
    ]);
    expect(faults[0]!.detail).toMatch(
      /wide \([\d.]+ MB\) is much larger than short \(\d+ kB\): look-ups cost the same/,
    );
  });

  it('waits for no lock, and says what it could not see', async () => {
    await database.run(`BEGIN; LOCK TABLE ${quoted(TABLE)} IN ACCESS EXCLUSIVE MODE`);
    const { faults, unsure } = await found();
    await database.run('ROLLBACK');
    expect(faults).toEqual([]);
    expect(unsure.map(({ table, index }) => [table, index])).toEqual([
      [TABLE, 'short'],
      [TABLE, 'wide'],
    ]);
  });
});
