import type { Session } from '../target/session.ts';
import { toText } from '../target/sql.ts';
import { FULL_SHOP, type ShopSize, shopRows, shopSequences } from './shop-rows.ts';
import { SHOP_FOREIGN_KEYS, SHOP_INDEXES, SHOP_KEYS, SHOP_TABLES } from './shop-tables.ts';

const NO_LIMITS = { lockTimeoutMs: 0, statementTimeoutMs: 0 };

const SETTINGS: readonly string[] = [
  `SET synchronous_commit = off`,
  `SET maintenance_work_mem = '128MB'`,
  `SET work_mem = '128MB'`,
  `SET jit = off`,
  `SET "TimeZone" = 'UTC'`,
];

/**
 * Years of changes in seconds. Sessions were refreshed, carts changed again and again, notifications deleted once read. VACUUM made
 * that space free for new rows but gave none back: files and indexes stay as large as they were.
 */
const CHANGES_BEFORE_INDEXES: readonly string[] = [
  `UPDATE public.sessions SET last_seen_at = created_at + interval '1 hour'`,
  `DO $$ BEGIN FOR i IN 1..3 LOOP UPDATE public.carts SET updated_at = updated_at + interval '1 minute'; END LOOP; END $$`,
];
const CHANGES_AFTER_INDEXES: readonly string[] = [
  `UPDATE public.sessions SET last_seen_at = created_at + interval '2 days' WHERE pg_catalog.hashtext(id::text) % 3 = 0`,
  `DELETE FROM public.notifications WHERE read_at IS NOT NULL`,
];

const CARE: readonly string[] = [
  `VACUUM (ANALYZE) public.sessions`,
  `VACUUM (ANALYZE) public.notifications`,
  `VACUUM (ANALYZE) public.carts`,
  `ANALYZE public.events`,
  `ANALYZE public.orders`,
  `ANALYZE public.order_lines`,
  `ANALYZE public.customers, public.products`,
];

export interface SeedOptions {
  /** The end of the shop's three years of history. */
  readonly now: Date;
  readonly size?: ShopSize;
}

/**
 * Fills an empty database with a realistically cluttered web shop: obsolete rows, bloat, unused and duplicate indexes.
 * The same size and now always give the same rows. The sessions (of a role that may create everything in public) share the work.
 */
export async function seedShop(sessions: readonly Session[], options: SeedOptions): Promise<void> {
  const size = options.size ?? FULL_SHOP;
  const rows = [...shopRows(size, options.now.toISOString()), ...shopSequences(size)].map(toText);
  await Promise.all(sessions.map((session) => inOrder(session, SETTINGS)));
  await inOrder(sessions[0] as Session, SHOP_TABLES);
  for (const stage of [
    rows,
    CHANGES_BEFORE_INDEXES,
    SHOP_KEYS,
    SHOP_INDEXES,
    SHOP_FOREIGN_KEYS,
    CHANGES_AFTER_INDEXES,
    CARE,
  ]) {
    await shared(sessions, stage);
  }
}

async function inOrder(session: Session, statements: Iterable<string>): Promise<void> {
  for (const statement of statements) await session.bare(statement, NO_LIMITS);
}

/** Each session takes the next statement as soon as it is free. */
async function shared(sessions: readonly Session[], statements: readonly string[]): Promise<void> {
  const queue = statements.values();
  await Promise.all(sessions.map((session) => inOrder(session, queue)));
}
