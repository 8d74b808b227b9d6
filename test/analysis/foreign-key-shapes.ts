/** References with whatever indexes: whether one of them serves is what the planner says, not we. Each has a schema of its own. */
export interface ForeignKeyShape {
  readonly name: string;
  /** beside TABLES; statements joined by semicolons */
  readonly make: string;
  readonly since?: number;
  /** the last major version that takes it */
  readonly until?: number;
}

const ROWS = 10_000;

/**
 * Made in each schema first. few has 4 values, r and s have 5000 each, x is unique; no column is in the order of another.
 * Rows come before the keys, and without them: only the look-up is of interest.
 */
export const TABLES = `
  CREATE TABLE p (id int PRIMARY KEY, few int, x int, name text UNIQUE, UNIQUE (id, x), UNIQUE (few, id));
  CREATE TABLE c (x int NOT NULL, few int, r int, s int, t text, v varchar(20), note text);
  INSERT INTO c SELECT g, g % 4, g * 7919 % 5000, g * 104729 % 5000, 't' || g * 7919 % 5000, 'v' || g * 7919 % 5000, repeat('n', 100)
    FROM generate_series(1, ${ROWS}) g`;

const REFERENCE = 'ALTER TABLE c ADD FOREIGN KEY (r) REFERENCES p NOT VALID';
const TWO = 'ALTER TABLE c ADD FOREIGN KEY (r, s) REFERENCES p (id, x) NOT VALID';
const BY_TEXT = 'ALTER TABLE c ADD FOREIGN KEY (t) REFERENCES p (name) NOT VALID';

const index = (name: string, definition: string, reference = REFERENCE): ForeignKeyShape => ({
  name,
  make: `${reference}; CREATE INDEX ON c ${definition}`,
});

const LONG_TABLE = `"${'Ä ""child"" '.padEnd(60, 'x')}"`;
const LONG_COLUMN = `"${'r'.repeat(63)}"`;

const PARTITIONS = `
  CREATE TABLE part (x int, r int REFERENCES p, note text) PARTITION BY RANGE (x);
  CREATE TABLE part_1 PARTITION OF part FOR VALUES FROM (0) TO (5001);
  CREATE TABLE part_2 (note text, gone int, r int, x int); ALTER TABLE part_2 DROP COLUMN gone;
  INSERT INTO p SELECT g FROM generate_series(0, 5000) g;
  ALTER TABLE part ATTACH PARTITION part_2 FOR VALUES FROM (5001) TO (10001);
  INSERT INTO part SELECT x, r, note FROM c`;

export const FOREIGN_KEY_SHAPES: readonly ForeignKeyShape[] = [
  { name: 'none', make: REFERENCE },
  index('plain', '(r)'),
  index('leads', '(r, x)'),
  index('descending', '(r DESC NULLS LAST)'),
  index('second', '(x, r)'),
  index('second_behind_few', '(few, r)'),
  index('included', '(x) INCLUDE (r)'),
  index('hashed', 'USING hash (r)'),
  index('brin', 'USING brin (r)'),
  index('gin', 'USING gin (s, r)'),
  index('gist', 'USING gist (r, x)'),
  index('gist_second', 'USING gist (x, r)'),
  index('bloom', 'USING bloom (r)'),
  index('expression', '((r + 0))'),
  index('not_null', '(r) WHERE r IS NOT NULL'),
  index('positive', '(r) WHERE r > 0'),
  index('not_null_of_another', '(r) WHERE few IS NOT NULL'),
  index('never_null', '(r) WHERE x IS NOT NULL'),
  index('not_null_and_more', '(r) WHERE r IS NOT NULL AND few = 3'),
  {
    name: 'invalid',
    make: `${REFERENCE}; CREATE INDEX broken ON c (r); UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'broken'::regclass`,
  },
  index('two_in_order', '(r, s)', TWO),
  index('two_swapped', '(s, r, x)', TWO),
  index('two_not_null', '(r, s) WHERE s IS NOT NULL AND r IS NOT NULL', TWO),
  index('two_with_gap', '(r, x, s)', TWO),
  index('first_of_two', '(r)', TWO),
  index('second_of_two', '(s, x)', TWO),
  index('few_of_two', '(few)', 'ALTER TABLE c ADD FOREIGN KEY (few, r) REFERENCES p (few, id) NOT VALID'),
  index('text', '(t)', BY_TEXT),
  index('pattern_class', '(t text_pattern_ops)', BY_TEXT),
  index('spgist', 'USING spgist (t)', BY_TEXT),
  index('other_collation', '(t COLLATE "C")', BY_TEXT),
  index('varchar', '(v)', 'ALTER TABLE c ADD FOREIGN KEY (v) REFERENCES p (name) NOT VALID'),
  {
    name: 'loose_parent',
    make: `CREATE COLLATION loose (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
      CREATE TABLE q (name text COLLATE loose PRIMARY KEY); ALTER TABLE c ADD CONSTRAINT c_t FOREIGN KEY (t) REFERENCES q NOT VALID;
      CREATE INDEX ON c (t)`,
    until: 17,
  },
  {
    name: 'loose_parent_and_index',
    make: `CREATE COLLATION loose (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
      CREATE TABLE q (name text COLLATE loose PRIMARY KEY); ALTER TABLE c ADD CONSTRAINT c_t FOREIGN KEY (t) REFERENCES q NOT VALID;
      CREATE INDEX ON c (t COLLATE loose)`,
    until: 17,
  },
  {
    name: 'narrower_type',
    make: 'CREATE TABLE q (id bigint PRIMARY KEY); ALTER TABLE c ADD FOREIGN KEY (r) REFERENCES q NOT VALID; CREATE INDEX ON c (r)',
  },
  {
    name: 'cast_type',
    make: 'CREATE TABLE q (id numeric PRIMARY KEY); ALTER TABLE c ADD FOREIGN KEY (r) REFERENCES q NOT VALID; CREATE INDEX ON c (r)',
  },
  {
    name: 'cast_expression',
    make: 'CREATE TABLE q (id numeric PRIMARY KEY); ALTER TABLE c ADD FOREIGN KEY (r) REFERENCES q NOT VALID; CREATE INDEX ON c ((r::numeric), x)',
  },
  {
    name: 'domain',
    make: `CREATE DOMAIN number AS int; CREATE DOMAIN natural_number AS number CHECK (VALUE >= 0);
      ALTER TABLE c ALTER r TYPE natural_number; ${REFERENCE}; CREATE INDEX ON c (r)`,
  },
  {
    name: 'array',
    make: `ALTER TABLE c ADD xs int[]; UPDATE c SET xs = ARRAY[r]; CREATE TABLE q (ids int[] PRIMARY KEY);
      ALTER TABLE c ADD FOREIGN KEY (xs) REFERENCES q NOT VALID; CREATE INDEX ON c (xs)`,
  },
  {
    name: 'of_the_key',
    make: `DELETE FROM c WHERE x > 5000; ALTER TABLE c ADD PRIMARY KEY (r, x); ${REFERENCE}`,
  },
  {
    name: 'to_itself',
    make: 'ALTER TABLE c ADD PRIMARY KEY (x); ALTER TABLE c ADD FOREIGN KEY (r) REFERENCES c NOT VALID',
  },
  { name: 'every_partition', make: `${PARTITIONS}; CREATE INDEX ON part (r)` },
  { name: 'one_partition', make: `${PARTITIONS}; CREATE INDEX ON part_1 (r); CREATE INDEX ON part_2 (x)` },
  {
    name: 'partitioned_parent',
    make: `CREATE TABLE q (id int PRIMARY KEY) PARTITION BY RANGE (id); CREATE TABLE q_1 PARTITION OF q FOR VALUES FROM (-1) TO (6000);
      INSERT INTO q SELECT g FROM generate_series(0, 5000) g; ALTER TABLE c ADD FOREIGN KEY (r) REFERENCES q`,
  },
  {
    name: 'inherited',
    make: `CREATE TABLE heir () INHERITS (c); CREATE INDEX ON heir (r); ${REFERENCE}`,
  },
  {
    name: 'quoted',
    make: `CREATE TABLE ${LONG_TABLE} (${LONG_COLUMN} int, "of" int); INSERT INTO ${LONG_TABLE} SELECT r, s FROM c;
      ALTER TABLE ${LONG_TABLE} ADD FOREIGN KEY (${LONG_COLUMN}) REFERENCES p NOT VALID, ADD FOREIGN KEY ("of") REFERENCES p NOT VALID;
      CREATE INDEX ON ${LONG_TABLE} ("of") WHERE "of" IS NOT NULL`,
  },
  {
    name: 'period',
    make: `CREATE TABLE q (id int4range, at daterange, PRIMARY KEY (id, at WITHOUT OVERLAPS));
      CREATE TABLE k (id int4range, at daterange, FOREIGN KEY (id, PERIOD at) REFERENCES q (id, PERIOD at));
      SET session_replication_role = replica;
      INSERT INTO k SELECT int4range(r, r + 1), daterange('2026-01-01'::date + s, '2026-01-01'::date + s + 1) FROM c; CREATE INDEX ON k USING gist (id, at)`,
    since: 18,
  },
  {
    name: 'period_without',
    make: `CREATE TABLE q (id int4range, at daterange, PRIMARY KEY (id, at WITHOUT OVERLAPS));
      CREATE TABLE k (id int4range, at daterange, FOREIGN KEY (id, PERIOD at) REFERENCES q (id, PERIOD at));
      SET session_replication_role = replica;
      INSERT INTO k SELECT int4range(r, r + 1), daterange('2026-01-01'::date + s, '2026-01-01'::date + s + 1) FROM c`,
    since: 18,
  },
];
