import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { by, DONE, type DuplicatesScene, duplicatesScene } from '../../support/duplicates.ts';
import { availableVersions } from '../../support/postgres.ts';

let scene: DuplicatesScene;

afterEach(() => scene.close());

describe.each(availableVersions().filter((version) => version === 14 || version === 18))(
  'deduplication on PostgreSQL %i',
  (version) => {
    beforeEach(async () => {
      scene = await duplicatesScene(version);
    });

    it('leaves the first row of each key, and none where the key is NULL goes', async () => {
      await scene.database.run(`
        CREATE TABLE person (id int PRIMARY KEY, email text, at date);
        INSERT INTO person VALUES (1, 'a', '2020-01-01'), (2, 'a', '2020-01-03'), (3, 'a', '2020-01-02'), (4, 'b', NULL), (5, 'b', NULL), (6, NULL, NULL),
          (7, NULL, NULL), (8, 'c', NULL), (9, 'A', NULL), (10, ' a', NULL)`);
      const { run } = await scene.deduplicate({ name: 'person' });
      expect(run).toMatchObject({ ...DONE, result: { rowsArchived: 3, rowsDeleted: 3, rowsRepointed: 0 } });
      expect(await scene.ids('person')).toEqual([1, 4, 6, 7, 8, 9, 10]);
      expect(run.result.nextStep).toContain(
        'CREATE UNIQUE INDEX CONCURRENTLY ON "public"."person" ("email")',
      );
    });

    it('keeps the row with the highest value, one without a value last, and of equals the one with the lowest key', async () => {
      await scene.database.run(`
        CREATE TABLE person (id int PRIMARY KEY, email text, at date);
        INSERT INTO person VALUES (1, 'a', '2020-01-01'), (2, 'a', '2020-01-03'), (3, 'a', NULL), (4, 'b', NULL), (5, 'b', '2020-01-02'),
          (7, 'c', '2020-01-02'), (6, 'c', '2020-01-02')`);
      await scene.deduplicate({ name: 'person' }, { keep: { by: 'at', order: 'HIGHEST' } });
      expect(await scene.ids('person')).toEqual([2, 5, 6]);
    });

    it('does not tell case and outer spaces apart where it is told to', async () => {
      await scene.database.run(`
        CREATE TABLE person (id int PRIMARY KEY, email varchar(40), code char(8));
        INSERT INTO person VALUES (1, 'Ann@x', 'P'), (2, ' ann@X ', 'p'), (3, 'ann@x', 'q'), (4, 'bob', 'P'), (5, 'BOB', 'p ')`);
      const { run } = await scene.deduplicate(
        { name: 'person' },
        { key: [by('email', { ignoreCase: true, trim: true }), by('code', { ignoreCase: true })] },
      );
      expect(await scene.ids('person')).toEqual([1, 3, 4]);
      const index = /CREATE UNIQUE INDEX[^;]*/.exec(run.result.nextStep ?? '')?.[0] ?? '';
      await scene.database.run(index);
      await expect(scene.database.run(`INSERT INTO person VALUES (9, 'ANN@X', 'p')`)).rejects.toThrow(
        'duplicate key',
      );
    });

    it('compares values as their types and collations do', async () => {
      await scene.database.run(`
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
        expect((await scene.deduplicate({ name: 'thing' }, { key: [by(column)] })).run).toMatchObject(DONE);
      }
      expect(await scene.ids('thing')).toEqual([
        1, 2, 11, 13, 21, 23, 31, 33, 41, 43, 51, 53, 61, 63, 71, 73, 81, 91, 93,
      ]);
    });

    it('takes no name for anything but a name', async () => {
      await scene.database.run(`
        CREATE SCHEMA "My ""schema"; CREATE TABLE "My ""schema"."Tab le" ("I d" int PRIMARY KEY, "K'1" text, "k 2" text);
        CREATE TABLE "Chi,ld" (id int PRIMARY KEY, "of what" int REFERENCES "My ""schema"."Tab le", UNIQUE ("of what", id));
        INSERT INTO "My ""schema"."Tab le" VALUES (1, 'x', 'y'), (2, 'x', 'y'), (3, 'x', 'z');
        INSERT INTO "Chi,ld" VALUES (1, 2), (2, 1)`);
      const { run, runId } = await scene.deduplicate(
        { schema: 'My "schema', name: 'Tab le' },
        { key: [by("K'1"), by('k 2')], keep: { by: 'I d', order: 'LOWEST' } },
      );
      expect(run).toMatchObject({ ...DONE, result: { rowsDeleted: 1, rowsRepointed: 1 } });
      expect(await scene.database.run('SELECT "of what" AS a FROM "Chi,ld" ORDER BY id')).toEqual([
        { a: 1 },
        { a: 1 },
      ]);
      expect(await scene.restore(runId)).toMatchObject(DONE);
      expect(await scene.database.run('SELECT "of what" AS a FROM "Chi,ld" ORDER BY id')).toEqual([
        { a: 2 },
        { a: 1 },
      ]);
    });

    it('looks only at the rows of its filter', async () => {
      await scene.database.run(`
        CREATE TABLE person (id int PRIMARY KEY, email text, active boolean);
        INSERT INTO person VALUES (1, 'a', false), (2, 'a', true), (3, 'a', true), (4, 'b', false), (5, 'b', true)`);
      const { run } = await scene.deduplicate(
        { name: 'person' },
        { filter: { column: 'active', op: 'EQ', value: 'true' } },
      );
      expect(await scene.ids('person')).toEqual([1, 2, 4, 5]);
      expect(run.result.nextStep).toMatch(
        /CREATE UNIQUE INDEX CONCURRENTLY ON "public"\."person" \("email"\) WHERE /,
      );
    });

    it('refuses references where it is told to', async () => {
      await scene.database.run(`
        CREATE TABLE person (id int PRIMARY KEY, email text); CREATE TABLE child (person int REFERENCES person ON DELETE CASCADE);
        INSERT INTO person VALUES (1, 'a'), (2, 'a'), (3, 'b'), (4, 'b'); INSERT INTO child VALUES (1), (3)`);
      expect((await scene.deduplicate({ name: 'person' }, { references: 'REFUSE' })).run).toMatchObject(DONE);
      expect(await scene.ids('person')).toEqual([1, 3]);
      await scene.database.run(`INSERT INTO person VALUES (2, 'a'); INSERT INTO child VALUES (2)`);
      const { run } = await scene.deduplicate({ name: 'person' }, { references: 'REFUSE' });
      expect(run).toMatchObject({ state: 'PAUSED', stateCode: 'DEPENDENTS' });
      expect(await scene.ids('person')).toEqual([1, 2, 3]);
    });

    it('merges a key with more rows than a batch may have', async () => {
      await scene.database.run(`
        CREATE TABLE person (id int PRIMARY KEY, email text); CREATE TABLE child (id int PRIMARY KEY, person int REFERENCES person);
        INSERT INTO person SELECT i, 'all the same' FROM generate_series(1, 5000) i; INSERT INTO child SELECT i, i FROM generate_series(1, 5000) i;
        CREATE INDEX ON child (person); ANALYZE`);
      const { run } = await scene.deduplicate({ name: 'person' });
      expect(run).toMatchObject({ ...DONE, result: { rowsDeleted: 4999 } });
      expect(
        await scene.database.run(
          'SELECT count(*)::int AS n, min(person) AS low, max(person) AS high FROM child',
        ),
      ).toEqual([{ n: 5000, low: 1, high: 1 }]);
    });
  },
);
