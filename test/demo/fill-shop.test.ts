import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { fillShop } from '../../src/demo/fill-shop.ts';
import { shopOf } from '../../src/demo/shop-rows.ts';
import { type TestDatabase, testDatabase } from '../support/postgres.ts';

const NOW = new Date('2026-03-01T12:00:00Z');
const SIZE = shopOf(0.02);

const TABLES = [
  'customers',
  'products',
  'orders',
  'order_lines',
  'events',
  'sessions',
  'carts',
  'notifications',
];

async function makeShop(): Promise<TestDatabase> {
  const database = await testDatabase();
  const { host, port, user, password } = database.address;
  await fillShop(
    { host, port, database: database.name, user, password: await password() },
    { now: NOW, size: SIZE },
  );
  return database;
}

const contents = (shop: TestDatabase) =>
  shop.run(
    TABLES.map(
      (table) =>
        `SELECT '${table}' AS name, count(*), sum(hashtextextended(t::text, 0)) AS sum FROM public.${table} AS t`,
    ).join(' UNION ALL '),
  );

describe('the demo shop', () => {
  let shop: TestDatabase;
  beforeAll(async () => {
    shop = await makeShop();
  }, 60_000);
  afterAll(() => shop.drop());

  it('has the same rows every time, for the same instant', async () => {
    const again = await makeShop();
    expect(await contents(again)).toEqual(await contents(shop));
    await again.drop();
  }, 60_000);

  it('has three years of events, almost half of them older than one', async () => {
    const [events] = await shop.run(`
      SELECT count(*)::int AS rows, count(*) FILTER (WHERE occurred_at < timestamptz '${NOW.toISOString()}' - interval '1 year')::int AS old,
             min(occurred_at) > timestamptz '${NOW.toISOString()}' - interval '1095 days' AS recent, bool_and(occurred_at <= '${NOW.toISOString()}') AS past
        FROM public.events`);
    expect(events).toMatchObject({ rows: SIZE.events, recent: true, past: true });
    expect(Number(events?.['old']) / SIZE.events).toBeCloseTo(0.44, 1);
  });

  it('has lines for orders that are there, and lets go of them with their order', async () => {
    await shop.run('DELETE FROM public.orders WHERE id = 7');
    const [lines] = await shop.run(`
      SELECT count(*)::int AS rows, count(*) FILTER (WHERE order_id = 7)::int AS gone FROM public.order_lines`);
    expect(lines?.['gone']).toBe(0);
    expect(Number(lines?.['rows'])).toBeLessThan(SIZE.orderLines);
  });

  it('goes on numbering behind the rows that are there', async () => {
    const [event] = await shop.run(`
      INSERT INTO public.events (occurred_at, kind, request_id, payload) VALUES (now(), 'login', gen_random_uuid(), '{}') RETURNING id`);
    expect(event?.['id']).toBe(String(SIZE.events + 1));
  });

  it('has tables and indexes that are mostly free space', async () => {
    const [found] = await shop.run(`
      CREATE EXTENSION pgstattuple;
      SELECT (SELECT dead_tuple_count FROM pgstattuple('public.sessions')) AS dead,
             (SELECT free_percent FROM pgstattuple('public.carts')) AS free,
             (SELECT free_percent FROM pgstattuple('public.notifications')) AS emptied`);
    expect(found?.['dead']).toEqual('0');
    expect(Number(found?.['free'])).toBeGreaterThan(60);
    expect(Number(found?.['emptied'])).toBeGreaterThan(60);
  });

  it('has one index twice', async () => {
    const [twins] = await shop.run(`
      SELECT count(*)::int AS twins FROM pg_index a JOIN pg_index b
          ON a.indrelid = b.indrelid AND a.indkey = b.indkey AND a.indexrelid < b.indexrelid
       WHERE a.indrelid = 'public.orders'::regclass`);
    expect(twins).toEqual({ twins: 1 });
  });
});
