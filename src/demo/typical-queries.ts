import type { Session } from '../target/session.ts';
import { type Sql, sql } from '../target/sql.ts';

export interface QueryTime {
  readonly name: string;
  /** of the workload whose median is told; null: beside it */
  readonly shape: Shape | null;
  /** The fastest of several. */
  readonly ms: number;
  /** Of a calculation that no clutter touches, in turn with it: it takes longer only when the machine has other work. */
  readonly unitMs: number;
  /** Of the answer. */
  readonly sum: string;
}

/** The workload: one query of each shape, on tables that the clutter is in. */
export type Shape = keyof typeof WORKLOAD;

const WORKLOAD = {
  'range aggregate': 'events of a quarter by kind',
  scan: 'customers of this month',
  'look-up': 'orders of a customer',
  count: 'guests of this month',
} as const;

const shapeOf = (name: string): Shape | null =>
  (Object.keys(WORKLOAD) as Shape[]).find((shape) => WORKLOAD[shape] === name) ?? null;

/**
 * What the shop's application asks all day long. Tidying up may change none of the answers. Those that reach living rows by an
 * index hardly feel the clutter, and are there to show that.
 */
const typicalQueries = (now: string): Readonly<Record<string, Sql>> => ({
  'customers of this month': sql`
    SELECT count(DISTINCT customer_id) FROM public.sessions WHERE created_at > ${now}::timestamptz - interval '30 days'`,
  'guests of this month': sql`
    SELECT count(*) FROM public.sessions WHERE customer_id IS NULL AND created_at > ${now}::timestamptz - interval '30 days'`,
  'is this customer signed in': sql`
    SELECT id, expires_at FROM public.sessions WHERE expires_at > ${now}::timestamptz AND customer_id = 4711`,
  'sessions by device': sql`
    SELECT user_agent, count(*) FROM public.sessions WHERE expires_at > ${now}::timestamptz GROUP BY 1 ORDER BY 1`,
  'last seen customers': sql`
    SELECT customer_id, last_seen_at FROM public.sessions ORDER BY last_seen_at DESC, id LIMIT 50`,
  'events of a quarter by kind': sql`
    SELECT kind, count(*) FROM public.events
     WHERE occurred_at > ${now}::timestamptz - interval '90 days' GROUP BY 1 ORDER BY 1`,
  'slowest pages of a year': sql`
    SELECT payload->>'path' AS path, avg((payload->>'ms')::integer) AS ms FROM public.events
     WHERE occurred_at > ${now}::timestamptz - interval '360 days' GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 10`,
  'open carts of this month': sql`
    SELECT customer_id, items FROM public.carts
     WHERE state = 'open' AND updated_at > ${now}::timestamptz - interval '30 days' ORDER BY id`,
  'unread notifications': sql`
    SELECT customer_id, count(*) FROM public.notifications WHERE read_at IS NULL GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 20`,
  'orders of a customer': sql`
    SELECT o.id, o.total, count(*) FROM public.orders o JOIN public.order_lines l ON l.order_id = o.id
     WHERE o.customer_id = 4711 GROUP BY 1, 2 ORDER BY 1`,
});

const TIMES = 9;

const UNIT = sql`SELECT sum(n) FROM generate_series(1, 20000) AS n`;

/** @param now is an instant as text, the same before and after, so that the answers can be compared. */
export async function timeQueries(shop: Session, now: string): Promise<QueryTime[]> {
  const times: QueryTime[] = [];
  for (const [name, query] of Object.entries(typicalQueries(now)))
    times.push(await timeQuery(shop, name, query));
  await shop.query(sql`SELECT pg_catalog.pg_stat_force_next_flush()`); // so that others see which indexes were used
  return times;
}

async function timeQuery(shop: Session, name: string, query: Sql): Promise<QueryTime> {
  const { sum } = await shop.one<{ sum: string }>(
    sql`SELECT coalesce(md5(string_agg(answer::text, ';')), 'nothing') AS sum FROM (${query}) AS answer`,
  );
  const taken: number[] = [];
  const units: number[] = [];
  for (let i = 0; i < TIMES; i += 1) {
    units.push(await timed(shop, UNIT));
    taken.push(await timed(shop, query));
  }
  return { name, shape: shapeOf(name), sum, ms: Math.min(...taken), unitMs: Math.min(...units) };
}

async function timed(shop: Session, query: Sql): Promise<number> {
  const start = performance.now();
  await shop.query(query);
  return performance.now() - start;
}
