import { afterAll, afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { ArchiveDestination } from '../../../src/domain/plan.ts';
import { archiveOf, FILES, S3, TABLE } from '../../support/archives.ts';
import { DONE, type DuplicatesScene, duplicatesScene } from '../../support/duplicates.ts';
import { fingerprintOf } from '../../support/fingerprint.ts';
import type { Version } from '../../support/installations.ts';
import { availableVersions } from '../../support/postgres.ts';
import { s3Server } from '../../support/s3-server.ts';

const bucket = await s3Server();
afterAll(() => bucket.close());

const VERSIONS = availableVersions().filter((version) => version === 14 || version === 18);

let scene: DuplicatesScene;

afterEach(() => scene.close());

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
      await scene.database.run(`SELECT count(*)::int AS n FROM ${table}_was w FULL JOIN ${table} t USING (id)
        WHERE t.${columns} IS DISTINCT FROM ${keeper(`w.${columns}`)}`),
    ).toEqual([{ n: 0 }]);
  }
}

const everyRow = () =>
  Promise.all(FAMILY_TABLES.map((table) => fingerprintOf(scene.database, `SELECT * FROM ${table}`)));

const KEPT: readonly (readonly [ArchiveDestination, Version])[] = [
  [FILES, 14],
  [S3, 18],
  [TABLE, 14],
  [TABLE, 18],
];

describe('a deduplication', () => {
  it.each(KEPT.filter(([, version]) => availableVersions().includes(version)))(
    'whose rows are kept in %j points all references at the row that stays, through all levels, and loses no other row; a restore points them back, on PostgreSQL %i',
    async (destination, version) => {
      scene = await duplicatesScene(version, bucket);
      await scene.database.run(FAMILY);
      for (const table of FAMILY_TABLES)
        await scene.database.run(`CREATE TABLE ${table}_was AS SELECT * FROM ${table}`);
      await scene.database.run('CREATE INDEX ON person_was (id); CREATE INDEX ON person_was (email)');
      const before = await everyRow();
      const { run, runId } = await scene.deduplicate({ name: 'person' }, { destination });
      expect(run).toMatchObject(DONE);
      expect(await scene.ids('person')).toEqual(Array.from({ length: 100 }, (_, i) => i + 1));
      await pointsToKeepers();
      // 900 tags say what another says; their uses go to that one's, of which 100 people have 10 each on 3 days.
      expect(await scene.database.run(`SELECT count(*)::int AS n FROM tag WHERE word = 'tag'`)).toEqual([
        { n: 100 },
      ]);
      expect(await scene.database.run(`SELECT count(*)::int AS n FROM tag WHERE word <> 'tag'`)).toEqual([
        { n: 1000 },
      ]);
      expect(
        await scene.database.run(
          `SELECT count(*)::int AS n FROM tag_use u LEFT JOIN tag t ON t.id = u.tag WHERE t.id IS NULL`,
        ),
      ).toEqual([{ n: 0 }]);
      expect(
        await scene.database.run(`SELECT count(*)::int AS n, count(tag_use)::int AS used FROM tag_use_note`),
      ).toEqual([{ n: 2000, used: 2000 }]);
      const removedUses =
        2000 - Number((await scene.database.run('SELECT count(*)::int AS n FROM tag_use'))[0]?.['n']);
      expect(removedUses).toBeGreaterThan(0);
      expect(run.result.rowsDeleted).toBe(900 + 900 + removedUses);
      expect((await archiveOf(scene.engine, runId)).rows).toBeGreaterThanOrEqual(run.result.rowsDeleted);
      expect(await scene.restore(runId)).toMatchObject(DONE);
      expect(await everyRow()).toEqual(before);
    },
    120_000,
  );
});

describe.each(VERSIONS)('re-pointed rows on PostgreSQL %i', (version) => {
  beforeEach(async () => {
    scene = await duplicatesScene(version);
  });

  it('stops at a row that would have the same key as another and says something else', async () => {
    await scene.database.run(`
      CREATE TABLE person (id int PRIMARY KEY, email text);
      CREATE TABLE tag (person int REFERENCES person ON DELETE CASCADE, word text, note text, PRIMARY KEY (person, word));
      INSERT INTO person VALUES (1, 'a'), (2, 'a'); INSERT INTO tag VALUES (1, 'x', 'one'), (2, 'x', 'other'), (2, 'y', 'more')`);
    const before = await fingerprintOf(scene.database, 'SELECT * FROM tag');
    const { run } = await scene.deduplicate({ name: 'person' });
    expect(run).toMatchObject({ state: 'PAUSED', stateCode: 'CONFLICT' });
    expect(run.stateReason).toContain('1 rows of public.tag');
    expect(run.stateReason).toContain('tag_pkey');
    expect(await fingerprintOf(scene.database, 'SELECT * FROM tag')).toEqual(before);
    expect(await scene.ids('person')).toEqual([1, 2]);
  });

  it('sees what expressions, predicates and equal NULLs of unique indexes make of re-pointed rows', async () => {
    const nulls = version >= 15 ? 'NULLS NOT DISTINCT' : '';
    await scene.database.run(`
      CREATE TABLE person (id int PRIMARY KEY, email text);
      CREATE TABLE tag (id int PRIMARY KEY, person int REFERENCES person, word text, live boolean);
      CREATE UNIQUE INDEX by_expression ON tag ((person * 10), lower(word)) WHERE live;
      CREATE TABLE slot (id int PRIMARY KEY, person int REFERENCES person, place int, UNIQUE ${nulls} (person, place));
      INSERT INTO person VALUES (1, 'a'), (2, 'a'), (3, 'a');
      INSERT INTO tag VALUES (1, 1, 'x', true), (2, 2, 'x', true), (3, 3, 'x', false), (4, 2, 'y', true), (5, 3, 'y', true);
      INSERT INTO slot VALUES (1, 1, NULL), (2, 2, NULL), (3, 1, 7), (4, 2, 7)`);
    const { run } = await scene.deduplicate({ name: 'person' });
    expect(run).toMatchObject(DONE);
    expect(await scene.ids('tag')).toEqual([1, 3, 4]);
    expect(await scene.ids('slot')).toEqual(version >= 15 ? [1, 3] : [1, 2, 3]);
  });
});
