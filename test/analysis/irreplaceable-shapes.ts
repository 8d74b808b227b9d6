import type { RedundantShape } from './redundant-shapes.ts';

const stays = (shape: Omit<RedundantShape, 'mayGo'>): RedundantShape => ({ mayGo: {}, ...shape });

/** Traps: they look redundant, but a query, a constraint or replication would miss them. */
export const IRREPLACEABLE_SHAPES: readonly RedundantShape[] = [
  stays({
    name: 'swapped',
    make: 'CREATE INDEX one ON t (a, b); CREATE INDEX two ON t (b, a)',
    why: 'the order of key columns is the order of the entries',
    needs: { index: 'two', query: 'SELECT 1 FROM t ORDER BY b, a LIMIT 5' },
  }),
  stays({
    name: 'second_position',
    make: 'CREATE INDEX first ON t (b); CREATE INDEX second ON t (a, b)',
    why: 'entries of (a, b) are not sorted by b',
    needs: { index: 'first', query: 'SELECT 1 FROM t ORDER BY b LIMIT 5' },
  }),
  stays({
    name: 'unique_beside_longer',
    make: 'CREATE UNIQUE INDEX strict ON t (c); CREATE INDEX longer ON t (c, b)',
    why: 'a longer index forbids nothing',
    forbids: { index: 'strict', insert: 'INSERT INTO t (id, c) VALUES (0, 5)' },
  }),
  stays({
    name: 'unique_beside_longer_unique',
    make: 'CREATE UNIQUE INDEX strict ON t (c); CREATE UNIQUE INDEX longer ON t (c, b)',
    why: 'what is unique in two columns need not be in one',
    forbids: { index: 'strict', insert: 'INSERT INTO t (id, c, b) VALUES (0, 5, -1)' },
  }),
  stays({
    name: 'unique_include_beside_key',
    make: 'CREATE UNIQUE INDEX strict ON t (c) INCLUDE (b); CREATE UNIQUE INDEX longer ON t (c, b)',
    why: 'INCLUDE columns are no part of what is unique: (c, b) allows what (c) forbids',
    forbids: { index: 'strict', insert: 'INSERT INTO t (id, c, b) VALUES (0, 5, -1)' },
  }),
  stays({
    name: 'descending',
    make: 'CREATE INDEX mixed ON t (a, b DESC); CREATE INDEX longer ON t (a, b, c)',
    why: '(a, b) is not sorted by a, b DESC, from neither end',
    needs: { index: 'mixed', query: 'SELECT 1 FROM t ORDER BY a, b DESC LIMIT 5' },
  }),
  stays({
    name: 'nulls_first',
    make: 'CREATE INDEX early ON t (a NULLS FIRST); CREATE INDEX longer ON t (a, b)',
    why: 'NULLs are at the other end',
    needs: { index: 'early', query: 'SELECT 1 FROM t ORDER BY a NULLS FIRST LIMIT 5' },
  }),
  stays({
    name: 'partial_beside_whole',
    make: `CREATE INDEX few ON t (a) WHERE s = 's77'; CREATE INDEX whole ON t (a, b)`,
    why: 'the few rows of a predicate are found without looking at the others',
  }),
  stays({
    name: 'whole_beside_partial',
    make: 'CREATE INDEX whole ON t (a); CREATE INDEX part ON t (a, b) WHERE b > 5',
    why: 'a partial index has not all rows',
    needs: { index: 'whole', query: 'SELECT 1 FROM t WHERE a = 5' },
  }),
  stays({
    name: 'other_predicate',
    make: 'CREATE INDEX one ON t (a) WHERE b > 5; CREATE INDEX two ON t (a) WHERE b > 6',
    why: 'each has rows that the other lacks, or too many',
    needs: { index: 'one', query: 'SELECT 1 FROM t WHERE a = 5 AND b > 5' },
  }),
  stays({
    name: 'not_null_of_another',
    make: 'CREATE INDEX part ON t (a) WHERE b IS NOT NULL; CREATE INDEX whole ON t (a, c)',
    why: 'the longer one does not know b: it would have to look at the rows',
  }),
  stays({
    name: 'not_null_keeper',
    make: 'CREATE INDEX whole ON t (a); CREATE INDEX part ON t (a, b) WHERE a IS NOT NULL',
    why: 'rows without a are in the whole index only',
    needs: { index: 'whole', query: 'SELECT 1 FROM t WHERE a IS NULL' },
  }),
  stays({
    name: 'pattern_class',
    make: 'CREATE INDEX pattern ON t (s text_pattern_ops); CREATE INDEX plain ON t (s, a)',
    why: 'text_pattern_ops sorts for LIKE, text_ops for everything else',
    needs: { index: 'plain', query: `SELECT 1 FROM t WHERE s > 's5' ORDER BY s LIMIT 5` },
  }),
  stays({
    name: 'other_collation',
    make: 'CREATE INDEX c_sorted ON t (s COLLATE "C"); CREATE INDEX sorted ON t (s, a)',
    why: 'another collation is another order',
    needs: {
      index: 'c_sorted',
      query: `SELECT 1 FROM t WHERE s COLLATE "C" > 's5' ORDER BY s COLLATE "C" LIMIT 5`,
    },
  }),
  stays({
    name: 'loose_collation',
    make: `CREATE COLLATION loose (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
      CREATE INDEX equal ON t (s COLLATE loose); CREATE INDEX sorted ON t (s, a)`,
    why: 'under a nondeterministic collation other texts are equal',
    needs: { index: 'equal', query: `SELECT 1 FROM t WHERE s = 'S5' COLLATE loose` },
  }),
  stays({
    name: 'expression',
    make: 'CREATE INDEX low ON t (lower(s)); CREATE INDEX up ON t (upper(s)); CREATE INDEX plain ON t (s)',
    why: 'an expression is not its column, and not another expression',
    needs: { index: 'low', query: `SELECT 1 FROM t WHERE lower(s) = 's5'` },
  }),
  stays({
    name: 'key_beside_include',
    make: 'CREATE INDEX keyed ON t (a, c); CREATE INDEX covering ON t (a) INCLUDE (b)',
    why: 'neither has the columns of the other',
    needs: { index: 'keyed', query: 'SELECT 1 FROM t WHERE a = 5 ORDER BY c' },
  }),
  stays({
    name: 'primary_key',
    make: 'ALTER TABLE t ADD CONSTRAINT key PRIMARY KEY (id); CREATE INDEX longer ON t (id, a)',
    why: 'a primary key is one, whatever else there is',
    forbids: { index: 'key', insert: 'INSERT INTO t (id) VALUES (5)' },
  }),
  {
    name: 'replica_identity',
    make: `CREATE UNIQUE INDEX plain ON t (id); CREATE UNIQUE INDEX identity ON t (id); ALTER TABLE t REPLICA IDENTITY USING INDEX identity`,
    mayGo: { plain: 'identity' },
    why: 'DROP INDEX would succeed, and replication would lose its key: the younger one stays',
  },
  {
    name: 'foreign_key_target',
    make: `CREATE UNIQUE INDEX target ON t (id); CREATE TABLE child (id int REFERENCES t (id)); CREATE UNIQUE INDEX other ON t (id)`,
    mayGo: { other: 'target' },
    why: 'a foreign key depends on the index that it found, not on its columns',
  },
  stays({
    name: 'clustered',
    make: 'CREATE INDEX clustered ON t (a); ALTER TABLE t CLUSTER ON clustered; CREATE INDEX longer ON t (a, b)',
    why: 'CLUSTER without a name sorts by it',
  }),
  stays({
    name: 'own_statistics',
    make: 'CREATE INDEX counted ON t ((a + b)); ALTER INDEX counted ALTER COLUMN 1 SET STATISTICS 500; CREATE INDEX longer ON t ((a + b), c)',
    why: 'somebody asked for better statistics of the expression, and they live in this index',
  }),
  stays({
    name: 'part_by_itself',
    make: `CREATE TABLE part (a int, b int) PARTITION BY RANGE (b); CREATE TABLE part_1 PARTITION OF part DEFAULT;
      CREATE INDEX whole ON part (a); CREATE INDEX own ON part_1 (a, b)`,
    why: 'a part cannot be dropped without its partitioned index, and another partition may need that one',
  }),
  stays({
    name: 'incomplete_keeper',
    make: `CREATE TABLE part (a int, b int) PARTITION BY RANGE (b); CREATE TABLE part_1 PARTITION OF part DEFAULT;
      CREATE INDEX short ON part (a); CREATE INDEX long ON ONLY part (a, b)`,
    why: 'a partitioned index that lacks a part does not help there',
  }),
  stays({
    name: 'invalid_keeper',
    make: `CREATE INDEX short ON t (a); CREATE INDEX long ON t (a, b); UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'long'::regclass`,
    why: 'no query uses an invalid index',
    needs: { index: 'short', query: 'SELECT 1 FROM t WHERE a = 5' },
  }),
  stays({
    name: 'exclusion_beside_longer',
    make: 'ALTER TABLE t ADD CONSTRAINT apart EXCLUDE USING gist (r WITH &&); CREATE INDEX longer ON t USING gist (r, p)',
    why: 'a longer index excludes nothing',
    forbids: { index: 'apart', insert: 'INSERT INTO t (id, r) VALUES (0, int4range(5, 6))' },
  }),
  stays({
    name: 'class_parameters',
    make: 'CREATE INDEX rough ON t USING gist (v); CREATE INDEX fine ON t USING gist (v tsvector_ops (siglen = 500))',
    why: 'longer signatures are more exact',
  }),
  stays({
    name: 'brin_ranges',
    make: 'CREATE INDEX coarse ON t USING brin (c); CREATE INDEX fine ON t USING brin (c) WITH (pages_per_range = 4)',
    why: 'smaller ranges are more exact',
  }),
  stays({
    name: 'brin_beside_btree',
    make: 'CREATE INDEX small ON t USING brin (c); CREATE INDEX sorted ON t (c)',
    why: 'BRIN costs next to nothing and reads a long range in one go',
  }),
  stays({
    name: 'hash_of_another_equality',
    make: `CREATE COLLATION loose (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
      CREATE INDEX hashed ON t USING hash (s COLLATE loose); CREATE INDEX sorted ON t (s)`,
    why: 'equal does not mean the same in both',
    needs: { index: 'hashed', query: `SELECT 1 FROM t WHERE s = 'S5' COLLATE loose` },
  }),
  stays({
    name: 'hash_beside_second',
    make: 'CREATE INDEX hashed ON t USING hash (b); CREATE INDEX sorted ON t (a, b)',
    why: 'a B-tree finds by its first key',
  }),
  stays({
    name: 'json_classes',
    make: 'CREATE INDEX any_key ON t USING gin (j); CREATE INDEX paths ON t USING gin (j jsonb_path_ops)',
    why: 'jsonb_path_ops knows @>, but not ?',
    needs: { index: 'any_key', query: `SELECT 1 FROM t WHERE j ? 'x'` },
  }),
  stays({
    name: 'gist_second',
    make: 'CREATE INDEX first ON t USING gist (r); CREATE INDEX second ON t USING gist (p, r)',
    why: 'a GiST tree is hardly ordered by its second column',
  }),
  stays({
    name: 'other_method',
    make: 'CREATE INDEX quads ON t USING spgist (p); CREATE INDEX boxes ON t USING gist (p)',
    why: 'two methods have two costs, and not the same operators',
  }),
  stays({
    name: 'deferrable',
    make: 'CREATE UNIQUE INDEX strict ON t (c); ALTER TABLE t ADD CONSTRAINT late UNIQUE (c) DEFERRABLE INITIALLY DEFERRED',
    why: 'the constraint looks at COMMIT only; ON CONFLICT needs one that looks at once',
    forbids: { index: 'strict', insert: 'INSERT INTO t (id, c) VALUES (0, 5)' },
  }),
  stays({
    name: 'nulls_not_distinct',
    make: 'INSERT INTO t (id) VALUES (0); CREATE UNIQUE INDEX strict ON t (c) NULLS NOT DISTINCT; ALTER TABLE t ADD CONSTRAINT loose UNIQUE (c)',
    why: 'only one of them forbids a second NULL',
    forbids: { index: 'strict', insert: 'INSERT INTO t (id, c) VALUES (0, NULL)' },
    since: 15,
  }),
  stays({
    name: 'inherited',
    make: 'CREATE TABLE child () INHERITS (t); CREATE INDEX mine ON child (a); CREATE INDEX theirs ON t (a, b)',
    why: 'an index holds the rows of one table, not those of its heirs',
  }),
];
