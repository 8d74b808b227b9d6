import type { BenchServer } from './bench-server.ts';

/** What one would send by hand for the same figures: sizes and counters, column statistics, indexes, bloat by the usual formula. */
const BARE = [
  `SELECT n.nspname, c.relname, pg_table_size(c.oid), pg_relation_size(c.oid), pg_indexes_size(c.oid), pg_total_relation_size(c.oid),
          pg_relation_size(nullif(c.reltoastrelid, 0)) AS toast, c.relpages, c.reltuples, c.reloptions,
          s.n_live_tup, s.n_dead_tup, s.n_mod_since_analyze, s.last_vacuum, s.last_autovacuum, s.last_analyze, s.last_autoanalyze
     FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace LEFT JOIN pg_stat_all_tables s ON s.relid = c.oid
    WHERE c.relkind IN ('r', 'm', 'p') AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')
    ORDER BY n.nspname, c.relname`,
  `SELECT a.attrelid, a.attnum, a.attname, a.atttypid, a.attlen, a.attalign, a.attstorage, a.attnotnull, a.attisdropped,
          s.null_frac, s.avg_width, s.n_distinct, s.most_common_freqs
     FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
     LEFT JOIN pg_stats s ON s.schemaname = n.nspname AND s.tablename = c.relname AND s.attname = a.attname
    WHERE c.relkind IN ('r', 'm') AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')
    ORDER BY a.attrelid, a.attnum`,
  `SELECT i.indrelid, x.relname, m.amname, pg_get_indexdef(i.indexrelid) AS definition, pg_relation_size(i.indexrelid), x.relpages, x.reltuples,
          x.reloptions, i.indisunique, i.indisprimary, i.indisvalid, i.indisreplident, i.indisclustered, i.indkey::text, i.indclass::text,
          i.indcollation::text, i.indoption::text, s.idx_scan, k.conname
     FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid JOIN pg_namespace n ON n.oid = x.relnamespace JOIN pg_am m ON m.oid = x.relam
     LEFT JOIN pg_stat_all_indexes s ON s.indexrelid = i.indexrelid LEFT JOIN pg_constraint k ON k.conindid = i.indexrelid
    WHERE n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')
    ORDER BY i.indrelid, x.relname`,
  `SELECT t.*, ceil(t.reltuples / nullif(floor(8168 / t.width), 0)) AS needed_pages
     FROM (SELECT n.nspname, c.relname, c.reltuples, c.relpages, 4 + 8 * ceil((23 + CASE WHEN max(s.null_frac) > 0 THEN c.relnatts / 8 ELSE 0 END) / 8.0)
                  + 8 * ceil(sum((1 - s.null_frac) * s.avg_width) / 8) AS width
             FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
             JOIN pg_stats s ON s.schemaname = n.nspname AND s.tablename = c.relname AND NOT s.inherited
            WHERE c.relkind IN ('r', 'm') AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')
            GROUP BY n.nspname, c.oid) t
    ORDER BY t.nspname, t.relname`,
  `SELECT n.nspname, x.relname, x.relpages, ceil(x.reltuples * (4 + 8 * ceil((8 + sum((1 - s.null_frac) * s.avg_width)) / 8)) / (8152 * 0.9)) + 1 AS needed_pages
     FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid JOIN pg_class c ON c.oid = i.indrelid JOIN pg_namespace n ON n.oid = c.relnamespace
     JOIN pg_am m ON m.oid = x.relam AND m.amname = 'btree'
     JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey)
     JOIN pg_stats s ON s.schemaname = n.nspname AND s.tablename = c.relname AND s.attname = a.attname
    WHERE n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')
    GROUP BY n.nspname, x.oid
    ORDER BY n.nspname, x.relname`,
];

/** Seconds, on a connection of its own, with all rows fetched. */
export async function bareQueries(server: BenchServer, database: string): Promise<number> {
  const client = await server.connect(database);
  const started = performance.now();
  for (const query of BARE) await client.query(query);
  const seconds = (performance.now() - started) / 1000;
  await client.end();
  return seconds;
}
