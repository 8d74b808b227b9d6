import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { DuplicateKey, OperationSpec } from '../../../src/domain/plan.ts';
import { findArchiveByRun } from '../../../src/store/archives.ts';
import type { RunView } from '../../../src/store/runs.ts';
import { testEngine, type TestEngine } from '../../support/engine.ts';
import { fingerprintOf } from '../../support/fingerprint.ts';
import { availableVersions, type TestDatabase, testDatabase } from '../../support/postgres.ts';

type Deduplication = Extract<OperationSpec, { kind: 'DEDUPLICATION' }>;

const by = (column: string, loose: Partial<DuplicateKey> = {}): DuplicateKey => ({
  column,
  ignoreCase: false,
  trim: false,
  ...loose,
});

const FILES = { kind: 'FILES', store: 'local', format: 'COPY_ZSTD' } as const;
const SPEC: Deduplication = {
  kind: 'DEDUPLICATION',
  key: [by('email')],
  keep: { by: 'id', order: 'LOWEST' },
  references: 'REPOINT',
  filter: null,
  destination: FILES,
};

const DONE = { state: 'SUCCEEDED', stateReason: null };

describe.each(availableVersions().filter((version) => version === 14 || version === 18))(
  'deduplication on PostgreSQL %i',
  (version) => {
    let database: TestDatabase;
    let engine: TestEngine;

    beforeEach(async () => {
      database = await testDatabase(version);
      engine = await testEngine(database);
    });

    afterEach(async () => {
      await engine.close();
      await database.drop();
    });

    async function deduplicate(
      table: { schema?: string; name: string },
      spec: Partial<Deduplication> = {},
    ): Promise<{ run: RunView; runId: string }> {
      const runId = await engine.queue(table, { ...SPEC, ...spec });
      return { run: await engine.work(runId), runId };
    }

    async function restore(sourceRunId: string, table: { schema?: string; name: string }): Promise<RunView> {
      const archive = await findArchiveByRun(engine.deps.store, sourceRunId);
      const runId = await engine.queue(table, {
        kind: 'RESTORE',
        archiveId: archive?.id ?? '',
        sourceRunId,
        where: null,
        into: 'SOURCE',
        onConflict: 'REFUSE',
        schema: table.schema ?? 'public',
        table: table.name,
      });
      return engine.work(runId);
    }

    const ids = async (table: string) =>
      (await database.run(`SELECT id FROM ${table} ORDER BY id`)).map(({ id }) => id);

    it('leaves the first row of each key, and none where the key is NULL goes', async () => {
      await database.run(`
        CREATE TABLE person (id int PRIMARY KEY, email text, at date);
        INSERT INTO person VALUES (1, 'a', '2020-01-01'), (2, 'a', '2020-01-03'), (3, 'a', '2020-01-02'), (4, 'b', NULL), (5, 'b', NULL), (6, NULL, NULL),
          (7, NULL, NULL), (8, 'c', NULL), (9, 'A', NULL), (10, ' a', NULL)`);
      const { run } = await deduplicate({ name: 'person' });
      expect(run).toMatchObject({ ...DONE, result: { rowsArchived: 3, rowsDeleted: 3, rowsRepointed: 0 } });
      expect(await ids('person')).toEqual([1, 4, 6, 7, 8, 9, 10]);
      expect(run.result.nextStep).toContain(
        'CREATE UNIQUE INDEX CONCURRENTLY ON "public"."person" ("email")',
      );
    });

    it('keeps the row with the highest value, one without a value last, and of equals the one with the lowest key', async () => {
      await database.run(`
        CREATE TABLE person (id int PRIMARY KEY, email text, at date);
        INSERT INTO person VALUES (1, 'a', '2020-01-01'), (2, 'a', '2020-01-03'), (3, 'a', NULL), (4, 'b', NULL), (5, 'b', '2020-01-02'),
          (7, 'c', '2020-01-02'), (6, 'c', '2020-01-02')`);
      await deduplicate({ name: 'person' }, { keep: { by: 'at', order: 'HIGHEST' } });
      expect(await ids('person')).toEqual([2, 5, 6]);
    });

    it('does not tell case and outer spaces apart where it is told to', async () => {
      await database.run(`
        CREATE TABLE person (id int PRIMARY KEY, email varchar(40), code char(8));
        INSERT INTO person VALUES (1, 'Ann@x', 'P'), (2, ' ann@X ', 'p'), (3, 'ann@x', 'q'), (4, 'bob', 'P'), (5, 'BOB', 'p ')`);
      const { run } = await deduplicate(
        { name: 'person' },
        { key: [by('email', { ignoreCase: true, trim: true }), by('code', { ignoreCase: true })] },
      );
      expect(await ids('person')).toEqual([1, 3, 4]);
      const index = /CREATE UNIQUE INDEX[^;]*/.exec(run.result.nextStep ?? '')?.[0] ?? '';
      await database.run(index);
      await expect(database.run(`INSERT INTO person VALUES (9, 'ANN@X', 'p')`)).rejects.toThrow(
        'duplicate key',
      );
    });

    it('compares values as their types and collations do', async () => {
      await database.run(`
        CREATE COLLATION loose (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
        CREATE TYPE pair AS (a int, b text);
        CREATE TABLE thing (id int PRIMARY KEY, word text COLLATE loose, amount numeric, at timestamptz, price money, bits bit varying,
          list int[], span int4range, half pair, key uuid, flag float8);
        INSERT INTO thing (id, word) VALUES (1, 'straße'), (2, 'STRASSE'), (3, 'Straße');
        INSERT INTO thing (id, amount) VALUES (11, 1.0), (12, 1.00), (13, 1.01);
        INSERT INTO thing (id, at) VALUES (21, '2020-01-01 00:00Z'), (22, '2020-01-01 01:00+01'), (23, '2020-01-01 01:00Z');
        INSERT INTO thing (id, price) VALUES (31, '1'), (32, '1.00'), (33, '2');
        INSERT INTO thing (id, bits) VALUES (41, '10'), (42, '10'), (43, '100');
        INSERT INTO thing (id, list) VALUES (51, '{1,NULL}'), (52, '{1,NULL}'), (53, '{1}');
        INSERT INTO thing (id, span) VALUES (61, '[1,3)'), (62, '[1,2]'), (63, '[1,3]');
        INSERT INTO thing (id, half) VALUES (71, '(1,x)'), (72, '(1,x)'), (73, '(1,)');
        INSERT INTO thing (id, key) VALUES (81, 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'), (82, 'A0EEBC999C0B4EF8BB6D6BB9BD380A11');
        INSERT INTO thing (id, flag) VALUES (91, 'NaN'), (92, 'NaN'), (93, '0'), (94, '-0')`);
      for (const column of ['word', 'amount', 'at', 'price', 'bits', 'list', 'span', 'half', 'key', 'flag']) {
        expect((await deduplicate({ name: 'thing' }, { key: [by(column)] })).run).toMatchObject(DONE);
      }
      expect(await ids('thing')).toEqual([
        1, 2, 11, 13, 21, 23, 31, 33, 41, 43, 51, 53, 61, 63, 71, 73, 81, 91, 93,
      ]);
    });

    it('takes no name for anything but a name', async () => {
      await database.run(`
        CREATE SCHEMA "My ""schema"; CREATE TABLE "My ""schema"."Tab le" ("I d" int PRIMARY KEY, "K'1" text, "k 2" text);
        CREATE TABLE "Chi,ld" (id int PRIMARY KEY, "of what" int REFERENCES "My ""schema"."Tab le", UNIQUE ("of what", id));
        INSERT INTO "My ""schema"."Tab le" VALUES (1, 'x', 'y'), (2, 'x', 'y'), (3, 'x', 'z');
        INSERT INTO "Chi,ld" VALUES (1, 2), (2, 1)`);
      const { run, runId } = await deduplicate(
        { schema: 'My "schema', name: 'Tab le' },
        { key: [by("K'1"), by('k 2')], keep: { by: 'I d', order: 'LOWEST' } },
      );
      expect(run).toMatchObject({ ...DONE, result: { rowsDeleted: 1, rowsRepointed: 1 } });
      expect(await database.run('SELECT "of what" AS a FROM "Chi,ld" ORDER BY id')).toEqual([
        { a: 1 },
        { a: 1 },
      ]);
      expect(await restore(runId, { schema: 'My "schema', name: 'Tab le' })).toMatchObject(DONE);
      expect(await database.run('SELECT "of what" AS a FROM "Chi,ld" ORDER BY id')).toEqual([
        { a: 2 },
        { a: 1 },
      ]);
    });

    it('looks only at the rows of its filter', async () => {
      await database.run(`
        CREATE TABLE person (id int PRIMARY KEY, email text, active boolean);
        INSERT INTO person VALUES (1, 'a', false), (2, 'a', true), (3, 'a', true), (4, 'b', false), (5, 'b', true)`);
      const { run } = await deduplicate(
        { name: 'person' },
        { filter: { column: 'active', op: 'EQ', value: 'true' } },
      );
      expect(await ids('person')).toEqual([1, 2, 4, 5]);
      expect(run.result.nextStep).toMatch(
        /CREATE UNIQUE INDEX CONCURRENTLY ON "public"\."person" \("email"\) WHERE /,
      );
    });

    /** Each way of a key, composite ones, a tree, and rows that become duplicates themselves, with what references those. */
    const FAMILY = `
      CREATE TABLE person (tenant int, id int, email text, boss int, PRIMARY KEY (tenant, id), UNIQUE (id),
        FOREIGN KEY (tenant, boss) REFERENCES person);
      CREATE TABLE plain (id int PRIMARY KEY, person int REFERENCES person (id));
      CREATE TABLE cascading (id int PRIMARY KEY, person int REFERENCES person (id) ON DELETE CASCADE);
      CREATE TABLE nulling (id int PRIMARY KEY, tenant int, person int, FOREIGN KEY (tenant, person) REFERENCES person ON DELETE SET NULL);
      CREATE TABLE restricting (id int PRIMARY KEY, a bigint REFERENCES person (id) ON DELETE RESTRICT, b int REFERENCES person (id) ON DELETE SET DEFAULT);
      CREATE TABLE tag (id int PRIMARY KEY, person int NOT NULL REFERENCES person (id) ON DELETE CASCADE, word text, note text, UNIQUE (person, word));
      CREATE TABLE tag_use (id int PRIMARY KEY, tag int REFERENCES tag ON DELETE CASCADE, day int, UNIQUE (tag, day));
      CREATE TABLE tag_use_note (id int PRIMARY KEY, tag_use int REFERENCES tag_use ON DELETE SET NULL, text text);
      CREATE TABLE part (id int, day int, person int REFERENCES person (id), PRIMARY KEY (id, day)) PARTITION BY RANGE (day);
      CREATE TABLE part_1 PARTITION OF part FOR VALUES FROM (0) TO (10); CREATE TABLE part_2 PARTITION OF part FOR VALUES FROM (10) TO (20);
      INSERT INTO person SELECT i % 2, i, 'mail' || i % 100, NULL FROM generate_series(1, 1000) i;
      UPDATE person SET boss = CASE WHEN id > 20 THEN id - 20 END;
      INSERT INTO plain SELECT i, i % 1000 + 1 FROM generate_series(1, 3000) i;
      INSERT INTO cascading SELECT i, i % 1000 + 1 FROM generate_series(1, 3000) i;
      INSERT INTO nulling SELECT i, (i % 1000 + 1) % 2, i % 1000 + 1 FROM generate_series(1, 3000) i;
      INSERT INTO restricting SELECT i, i % 1000 + 1, (i * 7) % 1000 + 1 FROM generate_series(1, 3000) i;
      INSERT INTO tag SELECT i, i, 'tag', 'same' FROM generate_series(1, 1000) i;
      INSERT INTO tag SELECT 1000 + i, i, 'own' || i, NULL FROM generate_series(1, 1000) i;
      INSERT INTO tag_use SELECT i, i, i % 300 FROM generate_series(1, 2000) i;
      INSERT INTO tag_use_note SELECT i, i, 'note ' || i FROM generate_series(1, 2000) i;
      INSERT INTO part SELECT i, i % 20, i FROM generate_series(1, 1000) i;
      CREATE INDEX ON plain (person); CREATE INDEX ON cascading (person); CREATE INDEX ON nulling (tenant, person); CREATE INDEX ON person (tenant, boss);
      CREATE INDEX ON restricting (a); CREATE INDEX ON tag_use_note (tag_use); ANALYZE;`;
    const FAMILY_TABLES = [
      'person',
      'plain',
      'cascading',
      'nulling',
      'restricting',
      'tag',
      'tag_use',
      'tag_use_note',
      'part',
    ];

    /** Every reference as it should be: of the lowest row with the same mail. */
    const keeper = (id: string) =>
      `(SELECT min(k.id) FROM person_was k JOIN person_was g ON g.email = k.email WHERE g.id = ${id})`;

    async function pointsToKeepers(): Promise<void> {
      for (const [table, columns] of [
        ['plain', 'person'],
        ['cascading', 'person'],
        ['nulling', 'person'],
        ['restricting', 'a'],
        ['restricting', 'b'],
        ['part', 'person'],
      ]) {
        expect(
          await database.run(`SELECT count(*)::int AS n FROM ${table}_was w FULL JOIN ${table} t USING (id)
            WHERE t.${columns} IS DISTINCT FROM ${keeper(`w.${columns}`)}`),
        ).toEqual([{ n: 0 }]);
      }
    }

    it('points all references at the row that stays, through all levels, and loses no other row; a restore points them back', async () => {
      await database.run(FAMILY);
      for (const table of FAMILY_TABLES)
        await database.run(`CREATE TABLE ${table}_was AS SELECT * FROM ${table}`);
      await database.run('CREATE INDEX ON person_was (id); CREATE INDEX ON person_was (email)');
      const before = await Promise.all(
        FAMILY_TABLES.map((table) => fingerprintOf(database, `SELECT * FROM ${table}`)),
      );
      const { run, runId } = await deduplicate({ name: 'person' });
      expect(run).toMatchObject(DONE);
      expect(await ids('person')).toEqual(Array.from({ length: 100 }, (_, i) => i + 1));
      await pointsToKeepers();
      // 900 tags say what another says; their uses go to that one's, of which 100 people have 10 each on 3 days.
      expect(await database.run(`SELECT count(*)::int AS n FROM tag WHERE word = 'tag'`)).toEqual([
        { n: 100 },
      ]);
      expect(await database.run(`SELECT count(*)::int AS n FROM tag WHERE word <> 'tag'`)).toEqual([
        { n: 1000 },
      ]);
      expect(
        await database.run(
          `SELECT count(*)::int AS n FROM tag_use u LEFT JOIN tag t ON t.id = u.tag WHERE t.id IS NULL`,
        ),
      ).toEqual([{ n: 0 }]);
      expect(
        await database.run(`SELECT count(*)::int AS n, count(tag_use)::int AS used FROM tag_use_note`),
      ).toEqual([{ n: 2000, used: 2000 }]);
      const removedUses =
        2000 - Number((await database.run('SELECT count(*)::int AS n FROM tag_use'))[0]?.['n']);
      expect(removedUses).toBeGreaterThan(0);
      expect(run.result.rowsDeleted).toBe(900 + 900 + removedUses);
      const archive = await findArchiveByRun(engine.deps.store, runId);
      expect(archive?.rows).toBeGreaterThanOrEqual(run.result.rowsDeleted);
      expect(await restore(runId, { name: 'person' })).toMatchObject(DONE);
      const after = await Promise.all(
        FAMILY_TABLES.map((table) => fingerprintOf(database, `SELECT * FROM ${table}`)),
      );
      expect(after).toEqual(before);
    }, 120_000);

    it('keeps everything in tables too, and gives it back', async () => {
      await database.run(FAMILY);
      const before = await Promise.all(
        FAMILY_TABLES.map((table) => fingerprintOf(database, `SELECT * FROM ${table}`)),
      );
      const destination = { kind: 'TABLE', schema: 'public', table: 'person_archive' } as const;
      const { run, runId } = await deduplicate({ name: 'person' }, { destination });
      expect(run).toMatchObject(DONE);
      expect(await database.run('SELECT count(*)::int AS n FROM person_archive')).toEqual([{ n: 900 }]);
      expect(await restore(runId, { name: 'person' })).toMatchObject(DONE);
      const after = await Promise.all(
        FAMILY_TABLES.map((table) => fingerprintOf(database, `SELECT * FROM ${table}`)),
      );
      expect(after).toEqual(before);
    }, 120_000);

    it('stops at a row that would have the same key as another and says something else', async () => {
      await database.run(`
        CREATE TABLE person (id int PRIMARY KEY, email text);
        CREATE TABLE tag (person int REFERENCES person ON DELETE CASCADE, word text, note text, PRIMARY KEY (person, word));
        INSERT INTO person VALUES (1, 'a'), (2, 'a'); INSERT INTO tag VALUES (1, 'x', 'one'), (2, 'x', 'other'), (2, 'y', 'more')`);
      const before = await fingerprintOf(database, 'SELECT * FROM tag');
      const { run } = await deduplicate({ name: 'person' });
      expect(run).toMatchObject({ state: 'PAUSED', stateCode: 'CONFLICT' });
      expect(run.stateReason).toContain('1 rows of public.tag');
      expect(run.stateReason).toContain('tag_pkey');
      expect(await fingerprintOf(database, 'SELECT * FROM tag')).toEqual(before);
      expect(await ids('person')).toEqual([1, 2]);
    });

    it('sees what expressions, predicates and equal NULLs of unique indexes make of re-pointed rows', async () => {
      const nulls = version >= 15 ? 'NULLS NOT DISTINCT' : '';
      await database.run(`
        CREATE TABLE person (id int PRIMARY KEY, email text);
        CREATE TABLE tag (id int PRIMARY KEY, person int REFERENCES person, word text, live boolean);
        CREATE UNIQUE INDEX by_expression ON tag ((person * 10), lower(word)) WHERE live;
        CREATE TABLE slot (id int PRIMARY KEY, person int REFERENCES person, place int, UNIQUE ${nulls} (person, place));
        INSERT INTO person VALUES (1, 'a'), (2, 'a'), (3, 'a');
        INSERT INTO tag VALUES (1, 1, 'x', true), (2, 2, 'x', true), (3, 3, 'x', false), (4, 2, 'y', true), (5, 3, 'y', true);
        INSERT INTO slot VALUES (1, 1, NULL), (2, 2, NULL), (3, 1, 7), (4, 2, 7)`);
      const { run } = await deduplicate({ name: 'person' });
      expect(run).toMatchObject(DONE);
      expect(await ids('tag')).toEqual([1, 3, 4]);
      expect(await ids('slot')).toEqual(version >= 15 ? [1, 3] : [1, 2, 3]);
    });

    it('refuses references where it is told to', async () => {
      await database.run(`
        CREATE TABLE person (id int PRIMARY KEY, email text); CREATE TABLE child (person int REFERENCES person ON DELETE CASCADE);
        INSERT INTO person VALUES (1, 'a'), (2, 'a'), (3, 'b'), (4, 'b'); INSERT INTO child VALUES (1), (3)`);
      expect((await deduplicate({ name: 'person' }, { references: 'REFUSE' })).run).toMatchObject(DONE);
      expect(await ids('person')).toEqual([1, 3]);
      await database.run(`INSERT INTO person VALUES (2, 'a'); INSERT INTO child VALUES (2)`);
      const { run } = await deduplicate({ name: 'person' }, { references: 'REFUSE' });
      expect(run).toMatchObject({ state: 'PAUSED', stateCode: 'DEPENDENTS' });
      expect(await ids('person')).toEqual([1, 2, 3]);
    });

    it('merges a key with more rows than a batch may have', async () => {
      await database.run(`
        CREATE TABLE person (id int PRIMARY KEY, email text); CREATE TABLE child (id int PRIMARY KEY, person int REFERENCES person);
        INSERT INTO person SELECT i, 'all the same' FROM generate_series(1, 5000) i; INSERT INTO child SELECT i, i FROM generate_series(1, 5000) i;
        CREATE INDEX ON child (person); ANALYZE`);
      const { run } = await deduplicate({ name: 'person' });
      expect(run).toMatchObject({ ...DONE, result: { rowsDeleted: 4999 } });
      expect(
        await database.run('SELECT count(*)::int AS n, min(person) AS low, max(person) AS high FROM child'),
      ).toEqual([{ n: 5000, low: 1, high: 1 }]);
    });
  },
);
