/** Indexes of one table (or two) that look as if one of them could go. Each shape has a schema of its own. */
export interface RedundantShape {
  readonly name: string;
  /** beside TABLE; statements joined by semicolons */
  readonly make: string;
  /** indexes that may go, each with the one that has to be named as the keeper */
  readonly mayGo: Readonly<Record<string, string>>;
  /** why those may go and the others may not */
  readonly why: string;
  /** answered by an index, in order, before and after those that may go are dropped */
  readonly query?: string;
  /** an index that must stay, and a query that is not answered by an index, or not in order, without it */
  readonly needs?: { readonly index: string; readonly query: string };
  /** an index that must stay, and rows of which only it forbids the last */
  readonly forbids?: { readonly index: string; readonly insert: string };
  /** major version */
  readonly since?: number;
}

/** Made in each schema first. */
export const TABLE = `
  CREATE TABLE t (id int NOT NULL, a int, b int, c int, s text, xs int[], ys int[], j jsonb, p point, r int4range, v tsvector);
  INSERT INTO t SELECT g, g % 500, g % 7, g, 's' || g, ARRAY[g], ARRAY[g], '{}', point(g, g), int4range(g, g + 1), 'x' FROM generate_series(1, 1000) g`;

const PARTITIONED = `
  CREATE TABLE part (a int, b int, c int) PARTITION BY RANGE (c);
  CREATE TABLE part_1 PARTITION OF part FOR VALUES FROM (0) TO (1000);
  CREATE TABLE part_2 PARTITION OF part FOR VALUES FROM (1000) TO (2000)`;

/** At least one index may go. */
export const SAFE_SHAPES: readonly RedundantShape[] = [
  {
    name: 'twin',
    make: 'CREATE INDEX one ON t (a); CREATE INDEX two ON t (a)',
    mayGo: { two: 'one' },
    why: 'the same index twice; the older one stays',
    query: 'SELECT 1 FROM t WHERE a = 5',
  },
  {
    name: 'prefix',
    make: 'CREATE INDEX short ON t (a); CREATE INDEX long ON t (a, b)',
    mayGo: { short: 'long' },
    why: 'entries of (a, b) are sorted by a',
    query: 'SELECT 1 FROM t WHERE a > 5 ORDER BY a LIMIT 5',
  },
  {
    name: 'prefix_of_key',
    make: 'CREATE INDEX short ON t (a); DELETE FROM t WHERE id > 500; ALTER TABLE t ADD CONSTRAINT key PRIMARY KEY (a, b)',
    mayGo: { short: 'key' },
    why: 'a primary key is an index as well',
    query: 'SELECT 1 FROM t WHERE a = 5',
  },
  {
    name: 'prefix_of_deferrable',
    make: 'CREATE INDEX short ON t (c); ALTER TABLE t ADD CONSTRAINT late UNIQUE (c, b) DEFERRABLE INITIALLY DEFERRED',
    mayGo: { short: 'late' },
    why: 'a deferrable constraint looks late, but its index finds as well as any',
    query: 'SELECT 1 FROM t WHERE c = 5',
  },
  {
    name: 'chain',
    make: 'CREATE INDEX one ON t (a); CREATE INDEX two ON t (a, b); CREATE INDEX three ON t (a, b, c)',
    mayGo: { one: 'three', two: 'three' },
    why: 'the keeper is one that stays, not one that goes as well',
    query: 'SELECT 1 FROM t WHERE a = 5 ORDER BY b',
  },
  {
    name: 'plain_beside_unique',
    make: 'CREATE INDEX plain ON t (c); CREATE UNIQUE INDEX strict ON t (c)',
    mayGo: { plain: 'strict' },
    why: 'a unique index finds what a plain one does',
    query: 'SELECT 1 FROM t WHERE c = 5',
  },
  {
    name: 'include_in_key',
    make: 'CREATE INDEX covering ON t (a) INCLUDE (b); CREATE INDEX longer ON t (a, b)',
    mayGo: { covering: 'longer' },
    why: 'a key column comes back from a B-tree as an INCLUDE column does',
    query: 'SELECT a, b FROM t WHERE a = 5',
  },
  {
    name: 'include_less',
    make: 'CREATE INDEX bare ON t (a); CREATE INDEX covering ON t (a) INCLUDE (b)',
    mayGo: { bare: 'covering' },
    why: 'INCLUDE columns only add',
    query: 'SELECT 1 FROM t WHERE a = 5 ORDER BY a',
  },
  {
    name: 'unique_include',
    make: 'CREATE UNIQUE INDEX bare ON t (c); CREATE UNIQUE INDEX covering ON t (c) INCLUDE (b)',
    mayGo: { bare: 'covering' },
    why: 'INCLUDE columns are no part of what is unique',
    query: 'SELECT 1 FROM t WHERE c = 5',
  },
  {
    name: 'backwards',
    make: 'CREATE INDEX down ON t (a DESC); CREATE INDEX up ON t (a, b)',
    mayGo: { down: 'up' },
    why: 'a B-tree is read from either end: DESC NULLS FIRST is the other way round of ASC NULLS LAST',
    query: 'SELECT 1 FROM t ORDER BY a DESC LIMIT 5',
  },
  {
    name: 'backwards_two',
    make: 'CREATE INDEX down ON t (a DESC, b); CREATE INDEX up ON t (a, b DESC, c)',
    mayGo: { down: 'up' },
    why: 'each key is turned',
    query: 'SELECT 1 FROM t ORDER BY a DESC, b LIMIT 5',
  },
  {
    name: 'same_expression',
    make: 'CREATE INDEX short ON t (lower(s)); CREATE INDEX long ON t (  pg_catalog.lower( s ), a)',
    mayGo: { short: 'long' },
    why: 'written differently, the same expression',
    query: `SELECT 1 FROM t WHERE lower(s) = 's5'`,
  },
  {
    name: 'same_predicate',
    make: `CREATE INDEX short ON t (a) WHERE b > 5 AND s = 'x AND y'; CREATE INDEX long ON t (a, c) WHERE s = 'x AND y' AND b > 5`,
    mayGo: { short: 'long' },
    why: 'AND has no order',
    query: `SELECT 1 FROM t WHERE a = 5 AND b > 5 AND s = 'x AND y'`,
  },
  {
    name: 'not_null_key',
    make: 'CREATE INDEX part ON t (a) WHERE a IS NOT NULL; CREATE INDEX whole ON t (a, b)',
    mayGo: { part: 'whole' },
    why: 'a first key that IS NOT NULL is one end of a scan of the whole index',
    query: 'SELECT 1 FROM t WHERE a IS NOT NULL ORDER BY a LIMIT 5',
  },
  {
    name: 'never_null',
    make: 'CREATE INDEX part ON t (a) WHERE id IS NOT NULL; CREATE INDEX whole ON t (a, b)',
    mayGo: { part: 'whole' },
    why: 'the column is declared NOT NULL, so that the predicate leaves nothing out',
    query: 'SELECT 1 FROM t WHERE a = 5 AND id IS NOT NULL',
  },
  {
    name: 'hash_beside_btree',
    make: 'CREATE INDEX hashed ON t USING hash (a); CREATE INDEX sorted ON t (a, b)',
    mayGo: { hashed: 'sorted' },
    why: 'a B-tree finds equal values, and more',
    query: 'SELECT 1 FROM t WHERE a = 5',
  },
  {
    name: 'gin_columns',
    make: 'CREATE INDEX one ON t USING gin (xs); CREATE INDEX pair ON t USING gin (ys, xs)',
    mayGo: { one: 'pair' },
    why: 'GIN keeps each column by itself: their order means nothing',
    query: 'SELECT 1 FROM t WHERE xs @> ARRAY[5]',
  },
  {
    name: 'brin_columns',
    make: 'CREATE INDEX one ON t USING brin (c); CREATE INDEX pair ON t USING brin (a, c)',
    mayGo: { one: 'pair' },
    why: 'BRIN sums up each column by itself',
    query: 'SELECT 1 FROM t WHERE c = 5',
  },
  {
    name: 'gist_prefix',
    make: 'CREATE INDEX short ON t USING gist (p); CREATE INDEX long ON t USING gist (p, r)',
    mayGo: { short: 'long' },
    why: 'a GiST tree is built by its first column first',
    query: `SELECT 1 FROM t WHERE p <@ box '((1,1),(2,2))'`,
  },
  {
    name: 'two_names_of_a_class',
    make: 'CREATE INDEX short ON t (s); CREATE INDEX long ON t (s varchar_ops, a)',
    mayGo: { short: 'long' },
    why: 'varchar_ops and text_ops are one order under two names',
    query: `SELECT 1 FROM t WHERE s > 's5' ORDER BY s LIMIT 5`,
  },
  {
    name: 'same_collation',
    make: 'CREATE INDEX short ON t (s COLLATE "C"); CREATE INDEX long ON t (s COLLATE "C", a)',
    mayGo: { short: 'long' },
    why: 'the same collation, if not the default one',
    query: `SELECT 1 FROM t WHERE s COLLATE "C" > 's5' ORDER BY s COLLATE "C" LIMIT 5`,
  },
  {
    name: 'storage_only',
    make: 'CREATE INDEX loose ON t (a) WITH (fillfactor = 50, deduplicate_items = off); CREATE INDEX tight ON t (a)',
    mayGo: { loose: 'tight' },
    why: 'how a B-tree is stored changes no answer; the smaller one stays',
    query: 'SELECT 1 FROM t WHERE a = 5',
  },
  {
    name: 'beside_exclusion',
    make: 'CREATE INDEX plain ON t USING gist (r); ALTER TABLE t ADD CONSTRAINT apart EXCLUDE USING gist (r WITH &&)',
    mayGo: { plain: 'apart' },
    why: 'the index of an exclusion constraint finds as well; the constraint stays',
    query: `SELECT 1 FROM t WHERE r && int4range(5, 6)`,
  },
  {
    name: 'nulls_distinct',
    make: 'CREATE UNIQUE INDEX loose ON t (c); CREATE UNIQUE INDEX strict ON t (c) NULLS NOT DISTINCT; ALTER TABLE t ADD CONSTRAINT strict UNIQUE USING INDEX strict',
    mayGo: { loose: 'strict' },
    why: 'who forbids a second NULL forbids more',
    query: 'SELECT 1 FROM t WHERE c = 5',
    since: 15,
  },
  {
    name: 'leaf_of_its_own',
    make: `${PARTITIONED}; CREATE INDEX own ON part_1 (a); CREATE INDEX whole ON part (a, b)`,
    mayGo: { own: 'part_1_a_b_idx' },
    why: 'the partition has the index of the partitioned table, and one more of its own',
  },
  {
    name: 'partitioned_prefix',
    make: `${PARTITIONED}; CREATE INDEX short ON part (a); CREATE INDEX long ON part (a, b)`,
    mayGo: { short: 'long' },
    why: 'the index of the partitioned table goes with all its parts; parts are not named by themselves',
  },
  {
    name: 'Quoted "Names"',
    make: `CREATE TABLE "T ON ONLY USING " ("Ä AND ""b""" int, b int);
      CREATE INDEX "${'x'.repeat(59)}one" ON "T ON ONLY USING " ("Ä AND ""b""") WHERE "Ä AND ""b""" IS NOT NULL;
      CREATE INDEX "${'x'.repeat(59)}two" ON "T ON ONLY USING " ("Ä AND ""b""", b)`,
    mayGo: { [`${'x'.repeat(59)}one`]: `${'x'.repeat(59)}two` },
    why: 'names may be of any characters, 63 bytes long',
  },
];
