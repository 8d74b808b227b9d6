/** An index that is hard to judge, on a table of its own whose column `id` counts the rows from 1. */
export interface IndexShape {
  readonly name: string;
  readonly rows: number;
  /** column definitions after `id int4` */
  readonly columns?: string;
  readonly values?: string;
  /** what stands after CREATE INDEX name ON table */
  readonly definition: string;
  readonly isUnique?: boolean;
  /** statements before it is made; $_more is a name of its own */
  readonly before?: string;
}

export const INDEX_SHAPES: readonly IndexShape[] = [
  { name: 'unique_key', rows: 60_000, definition: '(id)', isUnique: true },
  { name: 'plain_key', rows: 60_000, definition: '(id)' },
  { name: 'few_values', rows: 150_000, columns: 'k int4', values: 'g % 20', definition: '(k)' },
  { name: 'one_value', rows: 100_000, columns: 'k int4', values: '1', definition: '(k)' },
  {
    name: 'skewed',
    rows: 100_000,
    columns: 'k int4',
    values: 'CASE WHEN g % 10 < 8 THEN 0 ELSE g END',
    definition: '(k)',
  },
  { name: 'thousand_values', rows: 100_000, columns: 'k int4', values: 'g % 1000', definition: '(k)' },
  { name: 'three_each', rows: 200_000, columns: 'k int4', values: 'g / 3', definition: '(k)' },
  { name: 'two_each_few_rows', rows: 25_000, columns: 'k int4', values: 'g / 2', definition: '(k)' },
  { name: 'half_full', rows: 50_000, definition: '(id) WITH (fillfactor = 50)' },
  {
    name: 'half_full_few_values',
    rows: 150_000,
    columns: 'k int4',
    values: 'g % 20',
    definition: '(k) WITH (fillfactor = 50)',
  },
  { name: 'text_key', rows: 30_000, columns: 't text', values: 'md5(g::text)', definition: '(t)' },
  {
    name: 'text_in_order',
    rows: 30_000,
    columns: 't text',
    values: `lpad(g::text, 12, '0')`,
    definition: '(t)',
  },
  { name: 'wide_text', rows: 8_000, columns: 't text', values: 'repeat(md5(g::text), 6)', definition: '(t)' },
  { name: 'expression', rows: 30_000, columns: 't text', values: 'md5(g::text)', definition: '(upper(t))' },
  {
    name: 'two_columns',
    rows: 100_000,
    columns: 'a int4, b text',
    values: `g % 5, 'status' || g % 3`,
    definition: '(a, b)',
  },
  {
    name: 'tenant_and_time',
    rows: 60_000,
    columns: 'tenant int4, at timestamptz',
    values: `g % 50, timestamptz '2024-01-01' + g * interval '1 minute'`,
    definition: '(tenant, at DESC)',
  },
  {
    name: 'mostly_null',
    rows: 100_000,
    columns: 'k int4',
    values: 'CASE WHEN g % 10 = 0 THEN g END',
    definition: '(k)',
  },
  { name: 'uuids', rows: 40_000, columns: 'u uuid', values: 'md5(g::text)::uuid', definition: '(u)' },
  { name: 'numerics', rows: 40_000, columns: 'n numeric', values: 'g % 100', definition: '(n)' },
  {
    name: 'alone',
    rows: 80_000,
    columns: 'k int4',
    values: 'g % 20',
    definition: '(k) WITH (deduplicate_items = off)',
  },
  {
    name: 'included',
    rows: 40_000,
    columns: 't text',
    values: 'md5(g::text)',
    definition: '(id) INCLUDE (t)',
  },
  {
    name: 'partial',
    rows: 80_000,
    columns: 'is_open bool',
    values: 'g % 4 < 2',
    definition: '(id) WHERE is_open',
    isUnique: true,
  },
  {
    name: 'characters',
    rows: 30_000,
    columns: 'c char(24)',
    values: `'c' || g`,
    definition: '(c)',
  },
  {
    name: 'enums',
    rows: 120_000,
    before: `CREATE TYPE $_state AS ENUM ('new', 'paid', 'sent')`,
    columns: 's $_state',
    values: `(ARRAY['new', 'paid', 'sent'])[1 + g % 3]::$_state`,
    definition: '(s)',
  },
  {
    name: 'times',
    rows: 60_000,
    columns: 'at timestamptz',
    values: `now() - g * interval '1 second'`,
    definition: '(at)',
  },
  { name: 'hashed', rows: 40_000, definition: 'USING hash (id)' },
  {
    name: 'inverted',
    rows: 20_000,
    columns: 'a int4[]',
    values: 'ARRAY[g % 100, g % 7]',
    definition: 'USING gin (a)',
  },
  { name: 'block_ranges', rows: 40_000, definition: 'USING brin (id)' },
  { name: 'points', rows: 10_000, columns: 'p point', values: 'point(g, g)', definition: 'USING gist (p)' },
  { name: 'tiny', rows: 20, definition: '(id)' },
];
