import type { Session } from '../target/session.ts';
import { ident, join, sql, type Sql } from '../target/sql.ts';
import type { AgedColumn } from './age-column.ts';
import { isRefusal, readCatalog } from './catalog-query.ts';
import type { MeasuredTable } from './define-analysis.ts';
import { staleness } from './estimate-heap.ts';

export const AGES = [30, 90, 365] as const;
export type AgeDays = (typeof AGES)[number];

/** How much of a table lies beyond each age, 0..1 of its rows. */
export interface Tail {
  readonly older: Readonly<Record<AgeDays, number>>;
  readonly method: 'STATISTICS' | 'SAMPLE';
}

interface Candidate {
  readonly table: MeasuredTable;
  readonly column: AgedColumn;
}

/** Sampling costs reads: so many tables in one analysis, so many pages each. */
const SAMPLED_TABLES = 20;
const SAMPLED_PAGES = 300;

/** By the table's OID. Statistics tell at no cost; where they are missing or stale, some pages are read. */
export async function readTails(
  session: Session,
  candidates: readonly Candidate[],
  now: Date,
): Promise<Map<number, Tail>> {
  if (candidates.length === 0) return new Map();
  const fresh = candidates.filter(({ table }) => staleness(table) === null && !table.countersLost);
  const tails = await tailsByStatistics(session, fresh, now);
  const others = candidates.filter(({ table }) => !tails.has(table.oid) && table.readable && !table.locked);
  others.sort((a, b) => b.table.heapBytes - a.table.heapBytes);
  for (const candidate of others.slice(0, SAMPLED_TABLES)) {
    const tail = await tailBySample(session, candidate, now);
    if (tail) tails.set(candidate.table.oid, tail);
  }
  return tails;
}

const cutoffs = (now: Date) => AGES.map((days) => new Date(now.getTime() - days * 86_400_000).toISOString());

interface StatisticsRow {
  oid: number;
  null_share: number;
  common_share: number;
  common_older: number[];
  bounds: number;
  bounds_older: number[];
}

async function tailsByStatistics(
  session: Session,
  candidates: readonly Candidate[],
  now: Date,
): Promise<Map<number, Tail>> {
  const instants = cutoffs(now);
  const wanted = [
    sql`pg_catalog.unnest(${candidates.map(({ table }) => String(table.oid))}::int8[])`,
    ...[
      candidates.map(({ table }) => table.schema),
      candidates.map(({ table }) => table.name),
      candidates.map(({ column }) => column.name),
    ].map((names) => sql`pg_catalog.unnest(${names}::text[])`),
  ];
  const ages = sql`pg_catalog.unnest(${instants}::timestamptz[]) WITH ORDINALITY g (cutoff, position)`;
  const rows = await readCatalog<StatisticsRow>(
    session,
    sql`SELECT w.oid::float8 AS oid, s.null_frac::float8 AS null_share,
               coalesce((SELECT pg_catalog.sum(f) FROM pg_catalog.unnest(s.most_common_freqs) f), 0)::float8 AS common_share,
               ARRAY(SELECT coalesce(pg_catalog.sum(m.share) FILTER (WHERE m.value < g.cutoff), 0)::float8 FROM ${ages} LEFT JOIN
                       ROWS FROM (pg_catalog.unnest(s.most_common_vals::text::timestamptz[]), pg_catalog.unnest(s.most_common_freqs)) m (value, share) ON true
                      GROUP BY g.position ORDER BY g.position) AS common_older,
               coalesce(pg_catalog.cardinality(h.bounds), 0) AS bounds,
               ARRAY(SELECT pg_catalog.count(b) FILTER (WHERE b < g.cutoff)::float8 FROM ${ages} LEFT JOIN pg_catalog.unnest(h.bounds) b ON true
                      GROUP BY g.position ORDER BY g.position) AS bounds_older
          FROM ROWS FROM (${join(wanted, ', ')}) w (oid, schema, name, attname)
          JOIN pg_catalog.pg_stats s ON s.schemaname = w.schema AND s.tablename = w.name AND s.attname = w.attname AND NOT s.inherited
         CROSS JOIN LATERAL (SELECT s.histogram_bounds::text::timestamptz[] AS bounds) h
         WHERE s.histogram_bounds IS NOT NULL OR s.most_common_vals IS NOT NULL`,
  );
  return new Map(rows.map((row) => [row.oid, tailOf(row)]));
}

/** Common values are counted one by one; the histogram cuts the rest into parts of equal size. */
function tailOf(row: StatisticsRow): Tail {
  const rest = Math.max(1 - row.null_share - row.common_share, 0);
  const shares = AGES.map((_, i) => {
    const below = row.bounds_older[i] ?? 0;
    const part =
      row.bounds < 2 || below === 0 ? 0 : below === row.bounds ? 1 : (below - 0.5) / (row.bounds - 1);
    return Math.min((row.common_older[i] ?? 0) + rest * part, 1);
  });
  return { older: byAge(shares), method: 'STATISTICS' };
}

const byAge = (shares: readonly number[]) => ({
  30: shares[0] ?? 0,
  90: shares[1] ?? 0,
  365: shares[2] ?? 0,
});

async function tailBySample(session: Session, { table, column }: Candidate, now: Date): Promise<Tail | null> {
  const share = Math.min(100, (100 * SAMPLED_PAGES) / Math.max(table.pages.count, 1));
  const counts = cutoffs(now).map(
    (cutoff): Sql =>
      sql`pg_catalog.count(*) FILTER (WHERE r.${ident(column.name)}::timestamptz < ${cutoff}::timestamptz)::float8`,
  );
  try {
    const [row] = await readCatalog<{ rows: number; older: number[] }>(
      session,
      sql`SELECT pg_catalog.count(*)::float8 AS rows, ARRAY[${join(counts, ', ')}] AS older
            FROM ONLY ${ident(table.schema, table.name)} AS r TABLESAMPLE system (${String(share)}::float4)`,
    );
    if (!row || row.rows === 0) return null;
    return { older: byAge(row.older.map((older) => older / row.rows)), method: 'SAMPLE' };
  } catch (error) {
    if (isRefusal(error)) return null;
    throw error;
  }
}
