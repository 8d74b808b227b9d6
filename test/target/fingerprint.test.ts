import { describe, expect, it } from '@jest/globals';
import { readRelation } from '../../src/target/catalog.ts';
import {
  describeSchema,
  fingerprintSql,
  readFingerprint,
  schemaChanges,
} from '../../src/target/fingerprint.ts';
import { toText } from '../../src/target/sql.ts';
import { availableVersions, testDatabase } from '../support/postgres.ts';

const CHANGES: readonly [statement: string, words: RegExp][] = [
  ['ALTER TABLE orders ADD note text', /^column note \(text\) was added$/],
  ['ALTER TABLE orders DROP COLUMN note', /^column note \(text\) was removed$/],
  ['ALTER TABLE orders ALTER total TYPE numeric(14,2)', /^column total \(numeric\(14,2\)\) was changed$/],
  ["ALTER TABLE orders ALTER status SET DEFAULT 'new'", /^column status .* was changed$/],
  ['ALTER TABLE orders ADD CONSTRAINT positive CHECK (total > 0)', /^constraint positive .* was added$/],
  [
    'CREATE TABLE lines (order_id bigint REFERENCES orders ON DELETE CASCADE)',
    /^foreign key lines_order_id_fkey .* was added$/,
  ],
  [
    'CREATE TRIGGER t BEFORE DELETE ON orders FOR EACH ROW EXECUTE FUNCTION keep()',
    /^trigger t \(calling keep\) was added$/,
  ],
  [
    "CREATE OR REPLACE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
    /^trigger t .* was changed$/,
  ],
  ['ALTER TABLE orders DISABLE TRIGGER t', /^trigger t .* was changed$/],
  ['CREATE RULE r AS ON DELETE TO orders DO INSTEAD NOTHING', /^rule r was added$/],
  ['CREATE POLICY p ON orders USING (total > 1)', /^policy p was added$/],
  ['ALTER TABLE orders ENABLE ROW LEVEL SECURITY', /^table orders was changed$/],
  ['CREATE TABLE more () INHERITS (orders)', /^inheritance more \(from orders\) was added$/],
];

describe.each(availableVersions())('a fingerprint on PostgreSQL %i', (version) => {
  it('changes with each fact that a plan rests on, and the change has a name', async () => {
    const database = await testDatabase(version);
    await database.run(`CREATE TABLE orders (id bigint PRIMARY KEY, status text, total numeric(12,2));
      CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN OLD; END'`);
    const session = await database.session();
    const { oid } = (await readRelation(session, 'public', 'orders'))!;
    let [hash, lines] = [await readFingerprint(session, oid), await describeSchema(session, oid)];
    for (const [statement, words] of CHANGES) {
      await database.run(statement);
      const [newHash, newLines] = [await readFingerprint(session, oid), await describeSchema(session, oid)];
      expect([statement, newHash === hash]).toEqual([statement, false]);
      expect(schemaChanges(lines, newLines)).toContainEqual(expect.stringMatching(words));
      [hash, lines] = [newHash, newLines];
    }
    await database.drop();
  });

  it('does not change with rows, statistics, indexes, rights or the search_path', async () => {
    const database = await testDatabase(version);
    await database.run(`CREATE TABLE t (id int PRIMARY KEY DEFAULT 5, note text DEFAULT lower('X'))`);
    const session = await database.session();
    const { oid } = (await readRelation(session, 'public', 't'))!;
    const before = await readFingerprint(session, oid);
    await database.run(`INSERT INTO t SELECT generate_series(1, 1000); CREATE INDEX ON t (note); GRANT SELECT ON t TO PUBLIC;
      ALTER DATABASE ${database.name} SET search_path = pg_catalog`);
    await database.run('VACUUM ANALYZE t');
    const other = await database.session();
    expect(await readFingerprint(other, oid)).toBe(before);
    await database.drop();
  });

  it('reads a few pages only, also of a wide table with many keys in a full catalog', async () => {
    const database = await testDatabase(version);
    const numbers = Array.from({ length: 49 }, (_, i) => i);
    await database.run(`CREATE TABLE other (id int PRIMARY KEY);
      CREATE TABLE wide (id int PRIMARY KEY, ${numbers.map((i) => `c${i} int DEFAULT ${i}`).join(', ')},
        ${[0, 1, 2, 3, 4].map((i) => `FOREIGN KEY (c${i}) REFERENCES other`).join(', ')});
      ${numbers
        .slice(0, 10)
        .map((i) => `CREATE INDEX ON wide (c${i})`)
        .join('; ')}`);
    const read = async () => {
      const session = await database.session();
      const { oid } = (await readRelation(session, 'public', 'wide'))!;
      const explain = `EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) ${toText(fingerprintSql(oid))}`;
      const [explained] = await session.script(explain);
      const [{ Plan: plan }] = explained?.rows[0]?.['QUERY PLAN'] as [{ Plan: Record<string, number> }];
      await session.close();
      return (plan['Shared Hit Blocks'] ?? 0) + (plan['Shared Read Blocks'] ?? 0);
    };
    const alone = await read();
    expect(alone).toBeGreaterThan(10);
    await database.run(`DO $$ BEGIN FOR i IN 1..400 LOOP
      EXECUTE format('CREATE TABLE more_%s (id int PRIMARY KEY, a int DEFAULT 1, b text UNIQUE)', i); END LOOP; END $$`);
    await database.run('VACUUM ANALYZE pg_attribute, pg_class, pg_constraint, pg_index, pg_attrdef');
    expect(await read()).toBeLessThan(alone + 25); // each catalog alone has more pages than that
    await database.drop();
  });
});
