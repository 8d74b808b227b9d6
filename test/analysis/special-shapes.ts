/** A table with a history of its own. */
export interface SpecialShape {
  readonly name: string;
  readonly make: string;
  /** each in a session of its own, after everything was vacuumed and analysed */
  readonly then?: readonly string[];
  /** ANALYZE is the last of it */
  readonly isAnalyzed?: boolean;
  /** most of its waste is dead rows that were not vacuumed */
  readonly isDead?: boolean;
}

const rows = (count: number) => `FROM generate_series(1, ${count}) g`;

export const SPECIAL_SHAPES: readonly SpecialShape[] = [
  { name: 'empty', make: 'CREATE TABLE empty (id int4, t text)' },
  { name: 'one_row', make: `CREATE TABLE one_row AS SELECT 1 id, 'x'::text t` },
  {
    name: 'few_pages',
    make: `CREATE TABLE few_pages AS SELECT g id, md5(g::text) t ${rows(600)}`,
    then: ['DELETE FROM few_pages WHERE id < 600', 'VACUUM few_pages'],
    isAnalyzed: true,
  },
  {
    name: 'all_deleted',
    make: `CREATE TABLE all_deleted AS SELECT g id, md5(g::text) t ${rows(30_000)}`,
    then: ['DELETE FROM all_deleted'],
    isDead: true,
  },
  {
    name: 'updated_in_whole',
    make: `CREATE TABLE updated_in_whole AS SELECT g id, md5(g::text) t ${rows(30_000)}`,
    then: [`UPDATE updated_in_whole SET t = md5(t)`, 'VACUUM updated_in_whole'],
    isAnalyzed: true,
  },
  {
    name: 'updated_twice',
    make: `CREATE TABLE updated_twice AS SELECT g id, md5(g::text) t ${rows(20_000)}`,
    then: [`UPDATE updated_twice SET t = md5(t)`, `UPDATE updated_twice SET t = md5(t)`],
    isDead: true,
  },
  {
    name: 'filled_again',
    make: `CREATE TABLE filled_again AS SELECT g id, md5(g::text) t ${rows(30_000)}`,
    then: [
      'DELETE FROM filled_again WHERE id % 2 = 0',
      'VACUUM filled_again',
      `INSERT INTO filled_again SELECT g, md5(g::text) ${rows(14_000)}`,
    ],
    isAnalyzed: true,
  },
  {
    name: 'toast_three_quarters',
    make: `CREATE TABLE toast_three_quarters (id int8, doc text); ALTER TABLE toast_three_quarters ALTER doc SET STORAGE EXTERNAL;
           INSERT INTO toast_three_quarters SELECT g, repeat(md5(g::text), 95) ${rows(2_000)}`,
    then: [`DELETE FROM toast_three_quarters WHERE id % 4 <> 0`, `VACUUM toast_three_quarters`],
    isAnalyzed: true,
  },
  {
    name: 'toast_only',
    make: `CREATE TABLE toast_only (id int8, doc text); ALTER TABLE toast_only ALTER doc SET STORAGE EXTERNAL;
           INSERT INTO toast_only SELECT g, repeat(md5(g::text), 95) ${rows(1_500)}`,
    then: [`UPDATE toast_only SET doc = 'short' WHERE id % 4 <> 0`, `VACUUM toast_only`],
    isAnalyzed: true,
  },
  {
    name: 'toast_dead',
    make: `CREATE TABLE toast_dead (id int8, doc text); ALTER TABLE toast_dead ALTER doc SET STORAGE EXTERNAL;
           INSERT INTO toast_dead SELECT g, repeat(md5(g::text), 95) ${rows(1_500)}`,
    then: [`UPDATE toast_dead SET doc = 'short' WHERE id % 4 <> 0`],
    isAnalyzed: true,
    isDead: true,
  },
  {
    name: 'fillfactor_lowered',
    make: `CREATE TABLE fillfactor_lowered AS SELECT g id, md5(g::text) t ${rows(20_000)}`,
    then: ['ALTER TABLE fillfactor_lowered SET (fillfactor = 50)'],
  },
  {
    name: 'fillfactor_raised',
    make: `CREATE TABLE fillfactor_raised (id int4, t text) WITH (fillfactor = 40); INSERT INTO fillfactor_raised SELECT g, md5(g::text) ${rows(20_000)}`,
    then: ['ALTER TABLE fillfactor_raised RESET (fillfactor)'],
  },
  {
    name: 'never_analyzed',
    make: '',
    then: [`CREATE TABLE never_analyzed AS SELECT g id, md5(g::text) t ${rows(20_000)}`],
  },
  {
    name: 'never_analyzed_half',
    make: '',
    then: [
      `CREATE TABLE never_analyzed_half AS SELECT g id, md5(g::text) t ${rows(20_000)}`,
      'DELETE FROM never_analyzed_half WHERE id % 2 = 0',
      'VACUUM never_analyzed_half',
    ],
  },
  {
    name: 'wider_now',
    make: `CREATE TABLE wider_now AS SELECT g id, 'x'::text t ${rows(20_000)}`,
    then: [`UPDATE wider_now SET t = repeat('z', 200)`, `VACUUM FULL wider_now`],
  },
  {
    name: 'narrower_now',
    make: `CREATE TABLE narrower_now AS SELECT g id, repeat('z', 200) t ${rows(20_000)}`,
    then: [`UPDATE narrower_now SET t = 'x'`, `VACUUM narrower_now`],
  },
  {
    name: 'swapped',
    make: `CREATE TABLE swapped AS SELECT g id, 'x'::text t ${rows(10_000)}`,
    then: [`TRUNCATE swapped`, `INSERT INTO swapped SELECT g, repeat('z', 300) ${rows(10_000)}`],
  },
  {
    name: 'counters_reset',
    make: `CREATE TABLE counters_reset AS SELECT g id, md5(g::text) t ${rows(20_000)}`,
    then: [
      'DELETE FROM counters_reset WHERE id % 2 = 0',
      `SELECT pg_stat_reset_single_table_counters('counters_reset'::regclass)`,
    ],
  },
  {
    name: 'counters_reset_later',
    make: `CREATE TABLE counters_reset_later AS SELECT g id, md5(g::text) t ${rows(20_000)}`,
    then: [
      'DELETE FROM counters_reset_later WHERE id % 2 = 0',
      'VACUUM counters_reset_later',
      `SELECT pg_stat_reset_single_table_counters('counters_reset_later'::regclass)`,
    ],
    isAnalyzed: true,
  },
  {
    name: 'counters_reset_then_used',
    make: `CREATE TABLE counters_reset_then_used AS SELECT g id, md5(g::text) t ${rows(20_000)}`,
    then: [
      `SELECT pg_stat_reset_single_table_counters('counters_reset_then_used'::regclass)`,
      `INSERT INTO counters_reset_then_used SELECT g, md5(g::text) ${rows(100)}`,
    ],
  },
  {
    name: 'few_made_wide',
    make: `CREATE TABLE few_made_wide AS SELECT g id, 'x'::text t ${rows(20_000)}`,
    then: [
      `UPDATE few_made_wide SET t = (SELECT string_agg(md5((few_made_wide.id + i)::text), '') FROM generate_series(1, 50) i) WHERE id % 12 = 0`,
    ],
  },
  {
    name: 'few_made_narrow',
    make: `CREATE TABLE few_made_narrow AS SELECT g id, CASE WHEN g % 12 = 0 THEN (SELECT string_agg(md5((g + i)::text), '') FROM generate_series(1, 50) i) ELSE 'x' END t ${rows(15_000)}`,
    then: [`UPDATE few_made_narrow SET t = 'x' WHERE id % 12 = 0`, `VACUUM few_made_narrow`],
  },
  {
    name: 'added_wide',
    make: `CREATE TABLE added_wide AS SELECT g id, 'x'::text t ${rows(20_000)}; ALTER TABLE added_wide ADD more text DEFAULT repeat('m', 100)`,
    then: ['DELETE FROM added_wide WHERE id % 2 = 0', 'VACUUM added_wide'],
    isAnalyzed: true,
  },
  {
    name: 'materialized',
    make: `CREATE MATERIALIZED VIEW materialized AS SELECT g id, md5(g::text) t ${rows(20_000)}`,
  },
  {
    name: 'partitioned',
    make: `CREATE TABLE partitioned (id int4, t text) PARTITION BY RANGE (id);
           CREATE TABLE partitioned_1 PARTITION OF partitioned FOR VALUES FROM (0) TO (20000);
           CREATE TABLE partitioned_2 PARTITION OF partitioned FOR VALUES FROM (20000) TO (40000) PARTITION BY RANGE (id);
           CREATE TABLE partitioned_2a PARTITION OF partitioned_2 FOR VALUES FROM (20000) TO (30000);
           CREATE TABLE partitioned_2b PARTITION OF partitioned_2 FOR VALUES FROM (30000) TO (40000);
           INSERT INTO partitioned SELECT g, md5(g::text) ${rows(39_000)}`,
  },
  {
    name: 'one_bad_leaf',
    make: `CREATE TABLE one_bad_leaf (id int4, t text) PARTITION BY RANGE (id);
           CREATE TABLE one_bad_leaf_1 PARTITION OF one_bad_leaf FOR VALUES FROM (0) TO (20000);
           CREATE TABLE one_bad_leaf_2 PARTITION OF one_bad_leaf FOR VALUES FROM (20000) TO (40000) PARTITION BY RANGE (id);
           CREATE TABLE one_bad_leaf_2a PARTITION OF one_bad_leaf_2 FOR VALUES FROM (20000) TO (30000);
           CREATE TABLE one_bad_leaf_2b PARTITION OF one_bad_leaf_2 FOR VALUES FROM (30000) TO (40000);
           INSERT INTO one_bad_leaf SELECT g, md5(g::text) ${rows(39_000)}`,
    then: ['DELETE FROM one_bad_leaf_2a WHERE id % 4 <> 0', 'VACUUM one_bad_leaf_2a'],
    isAnalyzed: true,
  },
];
