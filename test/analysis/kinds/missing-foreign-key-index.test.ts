import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { missingForeignKeyIndex } from '../../../src/analysis/kinds/missing-foreign-key-index.ts';
import { availableVersions, type TestDatabase, testDatabase } from '../../support/postgres.ts';
import { ask, inTurn } from '../support.ts';

const VERSIONS = availableVersions().filter((version) => version === 14 || version === 18);
const CHILD = 'Child "of" '.padEnd(63, 'x');
const COLUMN = 'p'.repeat(63);
const quoted = (name: string) => `"${name.replaceAll('"', '""')}"`;

/** Which indexes serve is held against the planner in index-advice-truth.test.ts. */
describe.each(VERSIONS)('MISSING_FOREIGN_KEY_INDEX on PostgreSQL %i', (version) => {
  let database: TestDatabase;
  const found = async (role?: string) =>
    ask(missingForeignKeyIndex, database, role === undefined ? {} : { role });
  /** The statements of a finding's advice, each run by itself. */
  async function follow(detail: string): Promise<void> {
    for (const statement of detail.match(/CREATE INDEX [^;]+/g) ?? []) await inTurn(database, statement);
  }

  beforeAll(async () => {
    database = await testDatabase(version);
    await inTurn(
      database,
      `CREATE TABLE parent (id int PRIMARY KEY, n numeric UNIQUE); INSERT INTO parent SELECT g, g FROM generate_series(1, 1000) g;
       CREATE TABLE served (parent_id int REFERENCES parent); CREATE INDEX ON served (parent_id);
       CREATE TABLE ${quoted(CHILD)} (${quoted(COLUMN)} int, note text);
       INSERT INTO ${quoted(CHILD)} SELECT g % 1000 + 1, repeat('n', 100) FROM generate_series(1, 20000) g`,
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

  it('is silent where an index serves, and where nothing is referenced', async () => {
    expect(await found()).toEqual({ faults: [], unsure: [] });
  });

  it('finds a key without one, whatever our rights are, with the figures of both sides', async () => {
    await inTurn(
      database,
      `ALTER TABLE ${quoted(CHILD)} ADD CONSTRAINT one FOREIGN KEY (${quoted(COLUMN)}) REFERENCES parent ON DELETE CASCADE`,
      `INSERT INTO parent VALUES (5000, 5000), (5001, 5001); DELETE FROM parent WHERE id >= 5000`,
    );
    const { faults } = await found(`nobody_${database.name}`);
    expect(await found(`watcher_${database.name}`)).toEqual({ faults, unsure: [] });
    expect(faults).toMatchObject([
      {
        kind: 'MISSING_FOREIGN_KEY_INDEX',
        severity: 'NOTICE',
        schema: 'public',
        table: CHILD,
        index: null,
        columns: [COLUMN],
      },
    ]);
    const [fault] = faults;
    expect(fault).toMatchObject({ rows: 20_000, wastedBytes: null });
    expect(fault!.remedy?.variables).toEqual({
      input: { database: 'shop', schema: 'public', table: CHILD, columns: [COLUMN] },
    });
    expect(fault!.evidence).toMatchObject({
      referencing: { rows: 20_000 },
      referenced: [
        { constraint: 'one', table: 'public.parent', rows: 1000, deleted: 2, onDelete: 'CASCADE' },
      ],
      unserved: [`public.${CHILD}`],
    });
    expect(fault!.detail).toContain(
      `CREATE INDEX CONCURRENTLY ON "public".${quoted(CHILD)} (${quoted(COLUMN)});`,
    );
  });

  it('asks for one index for two keys on the same column', async () => {
    await inTurn(
      database,
      `CREATE TABLE other (id int PRIMARY KEY); INSERT INTO other SELECT generate_series(1, 1000);
       ALTER TABLE ${quoted(CHILD)} ADD CONSTRAINT two FOREIGN KEY (${quoted(COLUMN)}) REFERENCES other`,
    );
    const { faults } = await found();
    expect(faults).toHaveLength(1);
    expect(faults[0]!.evidence['referenced']).toMatchObject([{ constraint: 'one' }, { constraint: 'two' }]);
  });

  it('is silent after its advice was followed', async () => {
    await follow((await found()).faults[0]!.detail);
    expect(await found()).toEqual({ faults: [], unsure: [] });
  });

  it('only informs about a small table', async () => {
    await inTurn(database, 'CREATE TABLE small (parent_id int REFERENCES parent)');
    expect((await found()).faults).toMatchObject([{ table: 'small', severity: 'INFO' }]);
    await inTurn(database, 'DROP TABLE small');
  });

  it('advises an expression where types differ, and leaves out NULLs where there are hardly any values', async () => {
    await inTurn(
      database,
      `CREATE TABLE cast_child (a int REFERENCES parent (n), b int REFERENCES parent); INSERT INTO cast_child SELECT g % 1000 + 1 FROM generate_series(1, 5000) g`,
      'VACUUM ANALYZE cast_child',
    );
    const { faults } = await found();
    expect(faults.map(({ detail }) => /ON "public"."cast_child" .*;/.exec(detail)?.[0])).toEqual([
      'ON "public"."cast_child" (((a)::numeric));',
      'ON "public"."cast_child" ("b") WHERE "b" IS NOT NULL;',
    ]);
    for (const { detail } of faults) await follow(detail);
    await inTurn(database, 'VACUUM ANALYZE cast_child');
    expect(await found()).toEqual({ faults: [], unsure: [] });
  });

  it('counts every partition, and its advice serves new ones as well', async () => {
    await inTurn(
      database,
      `CREATE TABLE part (x int, parent_id int REFERENCES parent) PARTITION BY RANGE (x);
       CREATE TABLE part_1 PARTITION OF part FOR VALUES FROM (0) TO (10);
       CREATE TABLE part_2 PARTITION OF part FOR VALUES FROM (10) TO (20) PARTITION BY RANGE (x);
       CREATE TABLE part_2a PARTITION OF part_2 FOR VALUES FROM (10) TO (20); CREATE INDEX ON part_1 (parent_id)`,
    );
    const one = (await found()).faults;
    expect(one).toMatchObject([{ table: 'part', evidence: { unserved: ['public.part_2a'] } }]);
    expect(one[0]!.detail).toContain('1 of its 2 partitions');
    await inTurn(database, 'DROP INDEX part_1_parent_id_idx');
    const all = (await found()).faults;
    expect(all).toMatchObject([{ evidence: { unserved: ['public.part_1', 'public.part_2a'] } }]);
    await follow(all[0]!.detail);
    await inTurn(database, 'CREATE TABLE part_3 PARTITION OF part FOR VALUES FROM (20) TO (30)');
    expect(await found()).toEqual({ faults: [], unsure: [] });
    const [built] = await database.run(
      `SELECT count(*)::int AS indexes FROM pg_indexes WHERE tablename = 'part_1'`,
    );
    expect(built).toEqual({ indexes: 1 });
  });

  it('admits that some of the columns may do, where statistics are missing', async () => {
    await inTurn(
      database,
      `ALTER TABLE parent ADD UNIQUE (id, n); CREATE TABLE two (a int, b numeric, FOREIGN KEY (a, b) REFERENCES parent (id, n)); CREATE INDEX ON two (a);
       INSERT INTO two SELECT g % 1000 + 1, g % 1000 + 1 FROM generate_series(1, 5000) g`,
    );
    const [fault] = (await found()).faults;
    expect(fault).toMatchObject({ table: 'two', severity: 'INFO' });
    expect(fault!.detail).toContain('cannot be told without statistics');
    await inTurn(database, 'ANALYZE two');
    expect((await found()).faults).toEqual([]);
    expect((await found(`watcher_${database.name}`)).faults).toMatchObject([
      { table: 'two', severity: 'INFO' },
    ]);
  });

  it('waits for no lock, and says what it could not see', async () => {
    await inTurn(
      database,
      `CREATE TABLE busy (parent_id int REFERENCES parent); CREATE INDEX ON busy (parent_id) WHERE parent_id > 7`,
    );
    await database.run('BEGIN; LOCK TABLE busy IN ACCESS EXCLUSIVE MODE');
    const { faults, unsure } = await found();
    await database.run('ROLLBACK');
    expect(faults).toEqual([]);
    expect(unsure).toMatchObject([{ table: 'busy' }]);
    expect((await found()).faults).toMatchObject([{ table: 'busy' }]);
  });
});
