import type pg from 'pg';

/** What others answer about one relation: a share of waste; null is no answer, which reads as "no bloat" in most tools. */
export interface PeerAnswer {
  /** the formula that is passed around: rows times widths from pg_stats, in pages */
  readonly formula: number | null;
  /** free and dead room as pgstattuple counts it; what pgstatindex calls not dense */
  readonly reading: number | null;
}

/** By relation name, of everything in the schema public. */
export async function peerAnswers(client: pg.Client): Promise<Map<string, PeerAnswer>> {
  const { rows } = await client.query<{ name: string; formula: number | null; reading: number | null }>(
    `${TABLES} UNION ALL ${INDEXES}`,
  );
  return new Map(rows.map(({ name, formula, reading }) => [name, { formula, reading }]));
}

/** A row is its values, a header and a line pointer, both parts rounded up to 8 bytes; four chunks of TOAST make a page. */
const TABLES = `
  SELECT t.relname AS name,
         CASE WHEN t.width IS NOT NULL AND t.size > 0
              THEN greatest(1 - (ceil(t.rows / floor(8168 * t.fill / t.width)) + ceil(t.chunks / 4)) / t.size, 0) END::float8 AS formula,
         (SELECT (s.free_space + s.dead_tuple_len)::float8 / nullif(s.table_len, 0) FROM pgstattuple(t.oid) s WHERE t.relkind <> 'p') AS reading
    FROM (SELECT c.oid, c.relname, c.relkind, greatest(c.reltuples, 0) AS rows, c.relpages + coalesce(x.relpages, 0) AS size,
                 greatest(coalesce(x.reltuples, 0), 0) AS chunks,
                 coalesce(substring(array_to_string(c.reloptions, ',') FROM 'fillfactor=(\\d+)')::float8, 100) / 100 AS fill,
                 (SELECT 4 + 8 * ceil((23 + CASE WHEN max(s.null_frac) > 0 THEN c.relnatts / 8 ELSE 0 END) / 8.0)
                           + 8 * ceil(sum((1 - s.null_frac) * s.avg_width) / 8)
                    FROM pg_stats s WHERE s.schemaname = 'public' AND s.tablename = c.relname AND NOT s.inherited) AS width
            FROM pg_class c LEFT JOIN pg_class x ON x.oid = c.reltoastrelid
           WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'm', 'p')) t`;

const INDEXES = `
  SELECT i.relname,
         CASE WHEN i.width IS NOT NULL AND i.relpages > 0 AND i.amname = 'btree'
              THEN greatest(1 - (ceil(greatest(i.reltuples, 0) * (4 + 8 * ceil((8 + i.width) / 8)) / (8152 * i.fill)) + 1) / i.relpages, 0) END::float8,
         CASE WHEN i.amname = 'btree' THEN (SELECT nullif(1 - s.avg_leaf_density / 100, 'NaN') FROM pgstatindex(i.oid) s) END
    FROM (SELECT c.oid, c.relname, c.relpages, c.reltuples, m.amname,
                 coalesce(substring(array_to_string(c.reloptions, ',') FROM 'fillfactor=(\\d+)')::float8, 90) / 100 AS fill,
                 (SELECT sum((1 - s.null_frac) * s.avg_width) FROM pg_attribute a
                    JOIN pg_stats s ON s.schemaname = 'public' AND s.tablename = CASE WHEN x.indkey[a.attnum - 1] = 0 THEN c.relname ELSE t.relname END
                         AND s.attname = CASE WHEN x.indkey[a.attnum - 1] = 0 THEN a.attname
                             ELSE (SELECT k.attname FROM pg_attribute k WHERE k.attrelid = t.oid AND k.attnum = x.indkey[a.attnum - 1]) END
                   WHERE a.attrelid = c.oid) AS width
            FROM pg_class c JOIN pg_index x ON x.indexrelid = c.oid JOIN pg_class t ON t.oid = x.indrelid JOIN pg_am m ON m.oid = c.relam
           WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'i') i`;
