/**
 * A table that is hard to judge: how it is made and filled. `g` counts its rows from 1; so does its column `id`, unless
 * `count` says otherwise. In statements $ is the table, $_more a name of its own.
 */
export interface TableShape {
  readonly name: string;
  readonly rows: number;
  /** column definitions */
  readonly columns: string;
  /** one expression a column; the last columns may go without */
  readonly values: string;
  /** what stands after the columns */
  readonly options?: string;
  readonly kind?: 'UNLOGGED';
  /** statements before it is made, before and after it is filled */
  readonly types?: string;
  readonly before?: string;
  readonly after?: string;
  /** an expression that counts the rows */
  readonly count?: string;
  /** its names are as long as names may be */
  readonly isLong?: boolean;
}

const columns = (count: number, of: (i: number) => string) =>
  Array.from({ length: count }, (_, i) => of(i)).join(', ');

export const TABLE_SHAPES: readonly TableShape[] = [
  { name: 'narrow', rows: 60_000, columns: 'id int8', values: 'g' },
  {
    name: 'padded',
    rows: 30_000,
    columns: 'a int2, id int8, c bool, d int8, e int2, f timestamptz',
    values: 'g % 3, g, g % 2 = 0, g, g % 5, now()',
  },
  { name: 'short_text', rows: 30_000, columns: 'id int4, t text', values: 'g, md5(g::text)' },
  {
    name: 'empty_text',
    rows: 40_000,
    columns: 'id int4, a text, b text, c int2',
    values: `g, CASE WHEN g % 3 = 0 THEN 'abc' ELSE '' END, 'x', 1`,
  },
  {
    name: 'sparse',
    rows: 25_000,
    columns:
      'id int8, b text, c timestamptz, d int4, e int2, f text, g text, h int8, i int8, j numeric, k uuid',
    values: `g, CASE WHEN g % 2 = 0 THEN 'abc' END, now(), NULL, g % 5, NULL, md5(g::text), NULL, g, g * 1.5, gen_random_uuid()`,
  },
  {
    name: 'many_columns',
    rows: 12_000,
    columns: `id int8, ${columns(20, (i) => `c${i} int${i % 2 ? 8 : 2}`)}`,
    values: `g, ${columns(20, () => 'g % 30000')}`,
  },
  {
    name: 'many_nulls',
    rows: 25_000,
    columns: `id int8, ${columns(60, (i) => `c${i} int8`)}`,
    values: `g, ${columns(60, (i) => `CASE WHEN g % 60 = ${i} THEN g END`)}`,
  },
  {
    name: 'half_full',
    rows: 20_000,
    columns: 'id int8, t text',
    values: 'g, md5(g::text)',
    options: 'WITH (fillfactor = 50)',
  },
  {
    name: 'fill_70_wide',
    rows: 6_000,
    columns: 'id int8, t text',
    values: 'g, repeat(md5(g::text), 6)',
    options: 'WITH (fillfactor = 70)',
  },
  {
    name: 'wide_rows',
    rows: 5_000,
    columns: 'id int4, t text',
    values: 'g, repeat(md5(g::text), 10 + g % 20)',
    before: 'ALTER TABLE $ ALTER t SET STORAGE EXTERNAL',
  },
  {
    name: 'small_and_large',
    rows: 5_000,
    columns: 'id int4, t text',
    values: `g, CASE WHEN g * 7919 % 10 < 3 THEN repeat(md5(g::text), 58) ELSE 'x' END`,
    before: 'ALTER TABLE $ ALTER t SET STORAGE EXTERNAL',
  },
  {
    name: 'outside',
    rows: 1_500,
    columns: 'id int8, doc text',
    values: 'g, repeat(md5(g::text), 80 + g % 30)',
    before: 'ALTER TABLE $ ALTER doc SET STORAGE EXTERNAL',
  },
  {
    name: 'some_outside',
    rows: 10_000,
    columns: 'id int8, doc text',
    values: `g, CASE WHEN g * 7919 % 10 = 0 THEN repeat(md5(g::text), 130) ELSE md5(g::text) END`,
    before: 'ALTER TABLE $ ALTER doc SET STORAGE EXTERNAL',
  },
  {
    name: 'compressed',
    rows: 1_200,
    columns: 'id int8, doc text',
    values: `g, (SELECT string_agg(md5((g * 1000 + i)::text) || repeat('.', 40), '') FROM generate_series(1, 120) i)`,
  },
  {
    name: 'squeezed_inline',
    rows: 12_000,
    columns: 'id int8, doc text',
    values: `g, repeat(md5(g::text), 100)`,
  },
  {
    name: 'names_and_json',
    rows: 12_000,
    columns: 'id name NOT NULL, j json',
    values: `'n' || g, '{"a": 1}'`,
    count: `substr(id::text, 2)::int`,
  },
  {
    name: 'documents',
    rows: 8_000,
    columns: 'id int8, j jsonb',
    values: `g, jsonb_build_object('id', g, 'user', md5(g::text), 'tags', ARRAY['a', 'b'], 'note', repeat('z', g % 90))`,
  },
  {
    name: 'uuids',
    rows: 25_000,
    columns: 'id int4, u uuid, at timestamptz, day date',
    values: 'g, gen_random_uuid(), now(), current_date',
  },
  {
    name: 'numerics',
    rows: 30_000,
    columns: 'id int4, a numeric, b numeric(12,2), c money, d float4',
    values: 'g, g * 1.00001, g, g::numeric::money, g',
  },
  {
    name: 'arrays',
    rows: 12_000,
    columns: 'id int4, a int[], b text[]',
    values: `g, ARRAY[g, g + 1, g % 7], ARRAY['a', md5(g::text)]`,
  },
  {
    name: 'characters',
    rows: 10_000,
    columns: 'id int4, a char(20), b varchar(50), c char(150), d "char"',
    values: `g, 'a', md5(g::text), 'b', 'x'`,
  },
  {
    name: 'own_types',
    rows: 20_000,
    types: `CREATE TYPE $_mood AS ENUM ('sad', 'ok'); CREATE DOMAIN $_code AS text CHECK (VALUE <> ''); CREATE TYPE $_pair AS (x int4, y text)`,
    columns: 'id int4, m $_mood, c $_code, p $_pair',
    values: `g, 'ok', 'c' || g, ROW(g, 'y')::$_pair`,
  },
  {
    name: 'bytes',
    rows: 10_000,
    columns: 'id int4, b bytea, v varbit',
    values: `g, decode(repeat(md5(g::text), 1 + g % 8), 'hex'), B'101'`,
  },
  {
    name: 'ranges',
    rows: 12_000,
    columns: 'id int4, r int4range, t tsvector, p point, n inet, i interval',
    values: `g, int4range(g, g + 5), to_tsvector('simple', 'word ' || g), point(g, g), '10.0.0.1', '1 day'`,
  },
  {
    name: 'one_a_page',
    rows: 300,
    columns: 'id int4, t text',
    values: 'g, repeat(md5(g::text), 150)',
    before: 'ALTER TABLE $ ALTER t SET STORAGE PLAIN',
  },
  {
    name: 'three_a_page',
    rows: 900,
    columns: 'id int4, t text',
    values: 'g, repeat(md5(g::text), 82)',
    before: 'ALTER TABLE $ ALTER t SET STORAGE PLAIN',
  },
  {
    name: 'fixed_and_wide',
    rows: 900,
    columns: `id int8 NOT NULL, ${columns(330, (i) => `c${i} int8 NOT NULL`)}`,
    values: `g, ${columns(330, () => 'g')}`,
  },
  {
    name: 'kept_in_row',
    rows: 900,
    columns: 'id int4, t text',
    values: 'g, repeat(md5(g::text), 60 + g % 80)',
    before: 'ALTER TABLE $ ALTER t SET STORAGE EXTERNAL; ALTER TABLE $ SET (toast_tuple_target = 8160)',
  },
  {
    name: 'pushed_out',
    rows: 5_000,
    columns: 'id int4, t text',
    values: 'g, repeat(md5(g::text), 66)',
    before: 'ALTER TABLE $ ALTER t SET STORAGE EXTERNAL; ALTER TABLE $ SET (toast_tuple_target = 128)',
  },
  {
    name: 'unlogged',
    rows: 30_000,
    kind: 'UNLOGGED',
    columns: 'id int4, t text',
    values: 'g, md5(g::text)',
  },
  {
    name: 'generated',
    rows: 25_000,
    columns:
      'id int8, n int8 GENERATED ALWAYS AS (id * 2) STORED, s text GENERATED ALWAYS AS (upper(id::int4::text)) STORED',
    values: 'g',
  },
  {
    name: 'dropped_column',
    rows: 10_000,
    columns: 'id int8, t text, old text',
    values: `g, 'x', repeat('y', 300)`,
    after: 'ALTER TABLE $ DROP COLUMN old',
  },
  {
    name: 'dropped_narrow',
    rows: 30_000,
    columns: 'id int8, old int8, t text',
    values: `g, g, 'abcdefghijkl'`,
    after: 'ALTER TABLE $ DROP COLUMN old',
  },
  {
    name: 'added_column',
    rows: 30_000,
    columns: 'id int8, t text',
    values: `g, 'abc'`,
    after: `ALTER TABLE $ ADD COLUMN more int8 DEFAULT 5, ADD COLUMN note text`,
  },
  {
    name: 'parent',
    rows: 20_000,
    columns: 'id int4, t text',
    values: 'g, md5(g::text)',
    after: `CREATE TABLE $_child () INHERITS ($); INSERT INTO $_child SELECT g, repeat('c', 200) FROM generate_series(1, 5000) g`,
  },
  {
    name: 'Groß "und" klein',
    isLong: true,
    rows: 30_000,
    columns: '"ID ""x""" int4, "t T" text',
    values: 'g, md5(g::text)',
    count: '"ID ""x"""',
  },
];

/** What happens to a table after it was filled, vacuumed and analysed. */
export interface State {
  readonly name: string;
  /** $ is the table, # counts its rows, @ is how many there are */
  readonly change?: string;
  readonly isVacuumed: boolean;
  readonly isAnalyzed: boolean;
}

export const STATES: readonly State[] = [
  { name: 'fresh', isVacuumed: true, isAnalyzed: true },
  { name: 'scattered', change: 'DELETE FROM ONLY $ WHERE # % 2 = 0', isVacuumed: true, isAnalyzed: true },
  { name: 'older_gone', change: 'DELETE FROM ONLY $ WHERE # < @ * 0.66', isVacuumed: true, isAnalyzed: true },
  { name: 'newer_gone', change: 'DELETE FROM ONLY $ WHERE # > @ * 0.5', isVacuumed: true, isAnalyzed: true },
  { name: 'dead', change: 'DELETE FROM ONLY $ WHERE # % 2 = 0', isVacuumed: false, isAnalyzed: false },
  {
    name: 'dead_analyzed',
    change: 'DELETE FROM ONLY $ WHERE # % 2 = 0',
    isVacuumed: false,
    isAnalyzed: true,
  },
];
