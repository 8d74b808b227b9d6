/** A table that is hard to judge: how it is made, and what has happened to it since. */
export interface Shape {
  readonly name: string;
  readonly make: readonly string[];
  /** each in a session of its own, after everything was vacuumed and analysed */
  readonly then?: readonly string[];
  /** needs ANALYZE after that to be judged */
  readonly analyze?: boolean;
}

const rows = (count: number) => `FROM generate_series(1, ${count}) g`;

/** Each once fresh, and where it is told, after half or more of it has gone. */
export const SHAPES: readonly Shape[] = [
  {
    name: 'padded',
    make: [
      `CREATE TABLE padded AS SELECT (g % 3)::int2 a, g::int8 b, g % 2 = 0 c, g::int8 d, (g % 5)::int2 e, now() f ${rows(40_000)}`,
    ],
  },
  {
    name: 'padded_half',
    make: [
      `CREATE TABLE padded_half AS SELECT (g % 3)::int2 a, g::int8 b, g % 2 = 0 c, g::int8 d, (g % 5)::int2 e, now() f ${rows(40_000)}`,
    ],
    then: [`DELETE FROM padded_half WHERE b % 2 = 0`, `VACUUM padded_half`],
    analyze: true,
  },
  {
    name: 'half_full',
    make: [
      `CREATE TABLE half_full (id int8, t text) WITH (fillfactor = 50)`,
      `INSERT INTO half_full SELECT g, md5(g::text) ${rows(40_000)}`,
    ],
  },
  {
    name: 'outside',
    make: [
      `CREATE TABLE outside (id int8, doc text)`,
      `ALTER TABLE outside ALTER doc SET STORAGE EXTERNAL`,
      `INSERT INTO outside SELECT g, repeat(md5(g::text), 80 + g % 30) ${rows(3_000)}`,
    ],
  },
  {
    name: 'outside_quarter',
    make: [
      `CREATE TABLE outside_quarter (id int8, doc text)`,
      `ALTER TABLE outside_quarter ALTER doc SET STORAGE EXTERNAL`,
      `INSERT INTO outside_quarter SELECT g, repeat(md5(g::text), 95) ${rows(3_000)}`,
    ],
    then: [`DELETE FROM outside_quarter WHERE id % 4 <> 0`, `VACUUM outside_quarter`],
    analyze: true,
  },
  {
    name: 'dropped_column',
    make: [
      `CREATE TABLE dropped_column (id int8, t text, old text)`,
      `INSERT INTO dropped_column SELECT g, 'x', repeat('y', 300) ${rows(20_000)}`,
    ],
    then: [`ALTER TABLE dropped_column DROP COLUMN old`],
    analyze: true,
  },
  {
    name: 'sparse',
    make: [
      `CREATE TABLE sparse (a int8, b text, c timestamptz, d int4, e int2, f text, g text, h int8, i int8, j numeric, k uuid)`,
      `INSERT INTO sparse SELECT g, CASE WHEN g % 2 = 0 THEN 'abc' END, now(), NULL, g % 5, NULL, md5(g::text), NULL, g, g * 1.5, gen_random_uuid() ${rows(40_000)}`,
    ],
  },
  {
    name: 'many_columns',
    make: [
      `CREATE TABLE many_columns AS SELECT ${Array.from({ length: 20 }, (_, i) => `g::int${i % 2 ? 8 : 2} AS c${i}`).join(', ')} ${rows(10_000)}`,
    ],
    then: [`UPDATE many_columns SET c0 = 1 WHERE c1 % 2 = 0`, `VACUUM many_columns`],
    analyze: true,
  },
  {
    name: 'names_and_json',
    make: [
      `CREATE TABLE names_and_json (id name NOT NULL, j json)`,
      `INSERT INTO names_and_json SELECT 'n' || g, '{"a": 1}' ${rows(20_000)}`,
    ],
  },
  {
    name: 'wide_rows',
    make: [`CREATE TABLE wide_rows AS SELECT g id, repeat(md5(g::text), 10 + g % 20) t ${rows(8_000)}`],
  },
  {
    name: 'dead_rows',
    make: [`CREATE TABLE dead_rows AS SELECT g id, md5(g::text) t ${rows(40_000)}`],
    then: [`DELETE FROM dead_rows WHERE id % 2 = 0`],
  },
  {
    name: 'never_analysed',
    make: [],
    then: [`CREATE TABLE never_analysed AS SELECT g id, md5(g::text) t ${rows(20_000)}`],
  },
  {
    name: 'stale',
    make: [`CREATE TABLE stale AS SELECT g id, 'x'::text t ${rows(20_000)}`],
    then: [`UPDATE stale SET t = repeat('z', 200)`, `VACUUM FULL stale`],
  },
  { name: 'one_row', make: [`CREATE TABLE one_row AS SELECT 1 id, 'x'::text t`] },
];

/** B-trees by name, on tables of their own. */
export const INDEX_SHAPES: readonly Shape[] = [
  {
    name: 'unique_key',
    make: [
      `CREATE TABLE t_unique_key AS SELECT g id ${rows(80_000)}`,
      `CREATE UNIQUE INDEX unique_key ON t_unique_key (id)`,
    ],
  },
  {
    name: 'unique_key_half',
    make: [
      `CREATE TABLE t_unique_key_half AS SELECT g id ${rows(80_000)}`,
      `CREATE UNIQUE INDEX unique_key_half ON t_unique_key_half (id)`,
    ],
    then: [`DELETE FROM t_unique_key_half WHERE id % 2 = 0`, `VACUUM t_unique_key_half`],
    analyze: true,
  },
  {
    name: 'few_values',
    make: [
      `CREATE TABLE t_few_values AS SELECT g id, g % 20 k ${rows(200_000)}`,
      `CREATE INDEX few_values ON t_few_values (k)`,
    ],
  },
  {
    name: 'few_values_third',
    make: [
      `CREATE TABLE t_few_values_third AS SELECT g id, g % 20 k ${rows(200_000)}`,
      `CREATE INDEX few_values_third ON t_few_values_third (k)`,
    ],
    then: [`DELETE FROM t_few_values_third WHERE id % 3 <> 0`, `VACUUM t_few_values_third`],
    analyze: true,
  },
  {
    name: 'half_full_index',
    make: [
      `CREATE TABLE t_half_full_index AS SELECT g id ${rows(60_000)}`,
      `CREATE INDEX half_full_index ON t_half_full_index (id) WITH (fillfactor = 50)`,
    ],
  },
  {
    name: 'text_key',
    make: [
      `CREATE TABLE t_text_key AS SELECT md5(g::text) t ${rows(30_000)}`,
      `CREATE INDEX text_key ON t_text_key (t)`,
    ],
  },
  {
    name: 'expression_key',
    make: [
      `CREATE TABLE t_expression_key AS SELECT md5(g::text) t ${rows(30_000)}`,
      `CREATE INDEX expression_key ON t_expression_key (upper(t))`,
    ],
  },
  {
    name: 'two_columns',
    make: [
      `CREATE TABLE t_two_columns AS SELECT g % 5 a, 'status' || g % 3 b ${rows(100_000)}`,
      `CREATE INDEX two_columns ON t_two_columns (a, b)`,
    ],
  },
  {
    name: 'mostly_null',
    make: [
      `CREATE TABLE t_mostly_null AS SELECT CASE WHEN g % 10 = 0 THEN g END k ${rows(100_000)}`,
      `CREATE INDEX mostly_null ON t_mostly_null (k)`,
    ],
  },
  {
    name: 'three_each',
    make: [
      `CREATE TABLE t_three_each AS SELECT g / 3 k ${rows(150_000)}`,
      `CREATE INDEX three_each ON t_three_each (k)`,
    ],
  },
];
