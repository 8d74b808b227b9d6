import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { ANALYSES } from '../../src/analysis/analysis-registry.ts';
import { availableVersions, type TestDatabase, testDatabase } from '../support/postgres.ts';
import { ask, figuresOf, inTurn } from './support.ts';

const VERSIONS = availableVersions().filter((version) => version === 14 || version === 18);
const LONG = `"${'Sehr ""lang"" und größer als man denkt '.repeat(2).slice(0, 60)}"`;

/** What applications' schemas are made of, once in every schema: each statement is a case that could break a catalog query. */
const SCHEMA = [
  `CREATE TYPE mood AS ENUM ('sad', 'ok')`,
  `CREATE DOMAIN code AS varchar(20) CHECK (VALUE ~ '^[a-z]+')`,
  `CREATE TYPE pair AS (x int, y text)`,
  `CREATE TABLE person (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, mood mood, code code, pair pair, tags text[], grid int[][],
     mail text COLLATE "C" UNIQUE, born date, twice int GENERATED ALWAYS AS (length(mail) * 2) STORED, doc jsonb, found tsvector, during tstzrange)`,
  `INSERT INTO person (mood, code, tags, mail, born, doc) SELECT 'ok', 'abc', ARRAY['a'], 'm' || g, current_date, '{}' FROM generate_series(1, 200) g`,
  `CREATE INDEX ON person USING gin (doc); CREATE INDEX ON person USING gist (during); CREATE INDEX ON person (lower(mail)) WHERE mood = 'ok';
   CREATE INDEX ON person USING brin (born); CREATE INDEX ON person USING hash (mail); CREATE INDEX ON person (born DESC NULLS LAST) INCLUDE (code)`,
  `CREATE STATISTICS person_stats ON mood, code FROM person`,
  `CREATE TABLE booking (room int, during tstzrange, EXCLUDE USING gist (during WITH &&))`,
  `CREATE TABLE ${LONG} (${LONG} int REFERENCES person, "a b" text)`,
  `CREATE TABLE event (id bigint, at timestamptz NOT NULL, kind text, UNIQUE (id, at, kind)) PARTITION BY RANGE (at)`,
  `CREATE TABLE event_old PARTITION OF event FOR VALUES FROM (MINVALUE) TO ('2024-01-01')`,
  `CREATE TABLE event_new PARTITION OF event FOR VALUES FROM ('2024-01-01') TO (MAXVALUE) PARTITION BY LIST (kind)`,
  `CREATE TABLE event_new_a PARTITION OF event_new FOR VALUES IN ('a')`,
  `CREATE TABLE event_rest PARTITION OF event_new DEFAULT`,
  `INSERT INTO event SELECT g, now(), 'a' FROM generate_series(1, 300) g`,
  `CREATE TABLE hashed (id int, t text) PARTITION BY HASH (id)`,
  `CREATE TABLE hashed_0 PARTITION OF hashed FOR VALUES WITH (MODULUS 2, REMAINDER 0)`,
  `CREATE TABLE empty_parent (id int) PARTITION BY RANGE (id)`,
  `CREATE TABLE vehicle (id serial, name text); CREATE TABLE car (doors int) INHERITS (vehicle); INSERT INTO car (name, doors) VALUES ('x', 3)`,
  `CREATE UNLOGGED TABLE cache (key text PRIMARY KEY, value bytea)`,
  `CREATE TABLE nothing ()`,
  `CREATE TABLE node (id int PRIMARY KEY, parent int REFERENCES node); ALTER TABLE node ADD FOREIGN KEY (parent) REFERENCES node ON DELETE CASCADE NOT VALID`,
  `CREATE MATERIALIZED VIEW summary AS SELECT mood, count(*) FROM person GROUP BY 1; CREATE UNIQUE INDEX ON summary (mood)`,
  `CREATE MATERIALIZED VIEW unfilled AS SELECT 1 AS one WITH NO DATA`,
  `CREATE VIEW seen AS SELECT id FROM person; CREATE RULE silent AS ON DELETE TO node DO INSTEAD NOTHING`,
  `ALTER TABLE cache ENABLE ROW LEVEL SECURITY; CREATE POLICY own ON cache USING (key = current_user)`,
  `CREATE TABLE cascaded (id int); ALTER TABLE cascaded DROP COLUMN id`,
  `CREATE TABLE typed OF pair`,
  `CREATE SEQUENCE loose AS smallint MAXVALUE 100`,
];

describe.each(VERSIONS)('a schema of everything, on PostgreSQL %i', (version) => {
  let database: TestDatabase;
  let role: string;

  beforeAll(async () => {
    database = await testDatabase(version);
    role = `odd_${database.name}`;
    for (const schema of ['public', '"Second Schema"', '"drei""mal"']) {
      await database.run(
        `CREATE SCHEMA IF NOT EXISTS ${schema}; SET search_path = ${schema}; ${SCHEMA.join('; ')}`,
      );
    }
    await database.run(
      `RESET search_path; CREATE EXTENSION postgres_fdw; CREATE SERVER far FOREIGN DATA WRAPPER postgres_fdw;
       CREATE FOREIGN TABLE public.remote (id int) SERVER far; CREATE TEMP TABLE passing AS SELECT 1 AS id;
       CREATE TABLE event_far (id bigint NOT NULL, at timestamptz NOT NULL, kind text);
       CREATE ROLE ${role}; GRANT pg_monitor TO ${role}`,
    );
    await inTurn(database, 'ANALYZE public.person; ANALYZE "Second Schema".event');
  }, 60_000);

  afterAll(async () => {
    await database.run(`DROP OWNED BY ${role}; DROP ROLE ${role}`);
    await database.drop();
  });

  it('is read with every table of people, and no other', async () => {
    const { tables } = await figuresOf(database);
    const [wanted] = await database.run(
      `SELECT count(*)::int AS count FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE c.relkind IN ('r', 'm', 'p') AND c.relpersistence <> 't' AND n.nspname IN ('public', 'Second Schema', 'drei"mal')`,
    );
    expect(tables).toHaveLength(Number(wanted!['count']));
    expect(tables.length).toBeGreaterThan(60);
    expect(tables.map((table) => table.name)).not.toContain('passing');
  });

  it.each(ANALYSES.map((analysis) => [analysis.kind, analysis] as const))(
    'is asked about %s with no error, as its owner and as a role with pg_monitor only',
    async (_, analysis) => {
      for (const given of [{}, { exact: true }, { role }]) {
        const { faults } = await ask(analysis, database, given);
        for (const fault of faults) expect(fault.title).not.toBe('');
      }
    },
    30_000,
  );
});
