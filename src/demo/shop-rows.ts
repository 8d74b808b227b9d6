import { integer, type Sql, sql, typedValue } from '../target/sql.ts';

/** How many rows each table gets before the clutter is made. */
export interface ShopSize {
  readonly customers: number;
  readonly products: number;
  readonly orders: number;
  readonly orderLines: number;
  readonly events: number;
  readonly sessions: number;
  readonly carts: number;
  readonly notifications: number;
}

/** About one million rows, in all. */
export const FULL_SHOP: ShopSize = {
  customers: 40_000,
  products: 2_000,
  orders: 120_000,
  orderLines: 300_000,
  events: 350_000,
  sessions: 160_000,
  carts: 30_000,
  notifications: 150_000,
};

/** A shop of the same shape with fewer rows, for tests. */
export const shopOf = (share: number): ShopSize =>
  Object.fromEntries(
    Object.entries(FULL_SHOP).map(([table, rows]) => [
      table,
      Math.max(20, Math.round((rows as number) * share)),
    ]),
  ) as unknown as ShopSize;

/**
 * A number from 0 to below count that looks random and is the same on every machine: a Lehmer generator seeded by the
 * row's number n. Each column takes another multiplier, so that columns do not run in step.
 */
const pick = (multiplier: number, count: number): Sql =>
  sql`((n * ${integer(multiplier)} + ${integer(multiplier % 9_973)}) % 2147483647 % ${integer(count)})`;

/** An instant of the three years before now: row n of total, in order of time, busier towards the end. */
const moment = (now: string, total: number): Sql => sql`(${typedValue(now, 'timestamptz')}
    - interval '1095 days' * (1 - pg_catalog.sqrt(n::float8 / ${integer(total)})))`;

const numbers = (count: number): Sql => sql`pg_catalog.generate_series(1, ${integer(count)}::bigint) AS n`;

const word = (list: string, multiplier: number, count: number): Sql =>
  sql`(${typedValue(list, 'text[]')})[1 + ${pick(multiplier, count)}]`;

/** The rows' numbers are their keys, whatever order they come in; the sequences go on after them. */
export const shopSequences = (size: ShopSize): Sql[] =>
  (['customers', 'products', 'orders', 'events', 'carts', 'notifications'] as const).map(
    (table) =>
      sql`SELECT pg_catalog.setval(${`public.${table}_id_seq`}::pg_catalog.regclass, ${integer(size[table])})`,
  );

/** One INSERT for each table, the longest first; now is an instant as text. */
export function shopRows(size: ShopSize, now: string): Sql[] {
  return [
    events(size, now),
    sessions(size, now),
    orders(size, now),
    orderLines(size),
    notifications(size, now),
    customers(size, now),
    carts(size, now),
    products(size),
  ];
}

const customers = (size: ShopSize, now: string): Sql => sql`
  INSERT INTO public.customers
    (id, public_id, email, full_name, country, marketing_consent, preferences, created_at) OVERRIDING SYSTEM VALUE
  SELECT n, pg_catalog.md5('customer' || n)::uuid,
         'Customer' || n || '@example.com',
         ${word('{Ada,Grace,Edsger,Barbara,Alan,Frances,Donald,Radia}', 48271, 8)} || ' '
           || ${word('{Nováková,Müller,Dupont,Rossi,García,Kowalski,Jensen,Smith}', 69621, 8)},
         ${word('{CZ,DE,FR,IT,ES,PL,DK,GB}', 16807, 8)},
         ${pick(39373, 3)} = 0,
         pg_catalog.jsonb_build_object('language', ${word('{cs,de,fr,it,es,pl,da,en}', 16807, 8)},
           'newsletter', ${pick(39373, 3)} = 0, 'size', ${pick(69621, 6)}),
         ${moment(now, size.customers)}
    FROM ${numbers(size.customers)}`;

const products = (size: ShopSize): Sql => sql`
  INSERT INTO public.products (id, sku, title, price, tags, weight_kg, discontinued_on) OVERRIDING SYSTEM VALUE
  SELECT n, 'SKU-' || pg_catalog.lpad(n::text, 6, '0'),
         ${word('{Lamp,Chair,Shelf,Desk,Rug,Mirror,Clock}', 48271, 7)} || ' No. ' || n,
         (${pick(69621, 49_900)} + 100) / 100.0,
         ARRAY[${word('{home,office,garden}', 16807, 3)}, ${word('{oak,steel,wool,glass}', 39373, 4)}],
         ${pick(48271, 3_000)} / 100.0::float8,
         CASE WHEN n % 5 = 0 THEN date '2024-01-01' + ${pick(16807, 500)}::integer END
    FROM ${numbers(size.products)}`;

const orders = (size: ShopSize, now: string): Sql => sql`
  INSERT INTO public.orders
    (id, customer_id, status, placed_at, shipped_at, total, currency, shipping_address, note) OVERRIDING SYSTEM VALUE
  SELECT n, 1 + ${pick(48271, size.customers)},
         (CASE WHEN n > ${integer(size.orders)} * 0.98 THEN 'pending'
               WHEN ${pick(69621, 20)} = 0 THEN 'cancelled'
               WHEN ${pick(69621, 20)} = 1 THEN 'refunded' ELSE 'delivered' END)::public.order_status,
         ${moment(now, size.orders)},
         ${moment(now, size.orders)} + interval '1 hour' * (${pick(16807, 96)} + 2),
         (${pick(39373, 99_900)} + 100) / 100.0,
         ${word('{EUR,EUR,EUR,CZK,GBP}', 16807, 5)},
         ('{"street": "Main Street ' || ${pick(48271, 200)} || '", "zip": ' || ${pick(39373, 89_999)} + 10000
           || ', "city": "' || ${word('{Praha,Berlin,Paris,Roma,Madrid}', 69621, 5)} || '"}')::jsonb,
         CASE WHEN n % 7 = 0 THEN 'Leave it with the neighbour, please.' END
    FROM ${numbers(size.orders)}`;

/** Two or three lines for each order; the line's number within its order comes from its place in the series. */
const orderLines = (size: ShopSize): Sql => sql`
  INSERT INTO public.order_lines (order_id, line_number, product_id, quantity, unit_price, discount)
  SELECT 1 + (n - 1) % ${integer(size.orders)},
         1 + (n - 1) / ${integer(size.orders)},
         1 + ${pick(48271, size.products)},
         1 + ${pick(69621, 4)},
         (${pick(16807, 49_900)} + 100) / 100.0,
         ${pick(39373, 4)} * 0.05
    FROM ${numbers(size.orderLines)}`;

const events = (size: ShopSize, now: string): Sql => sql`
  INSERT INTO public.events (id, occurred_at, customer_id, kind, request_id, payload) OVERRIDING SYSTEM VALUE
  SELECT n, ${moment(now, size.events)},
         CASE WHEN n % 4 > 0 THEN 1 + ${pick(48271, size.customers)} END,
         ${word('{page_view,page_view,page_view,search,add_to_cart,checkout,login}', 69621, 7)},
         pg_catalog.md5('request' || n)::uuid,
         payloads.payload
    FROM ${numbers(size.events)}
    JOIN (SELECT n AS number,
                 pg_catalog.jsonb_build_object('path', '/products/' || n, 'ms', ${pick(39373, 900)},
                   'referrer', ${word('{search,mail,direct,partner}', 16807, 4)},
                   'device', ${word('{phone,tablet,desktop}', 48271, 3)}) AS payload
            FROM ${numbers(size.products)}) AS payloads ON payloads.number = 1 + ${pick(16807, size.products)}
   ORDER BY 1`;

/** A session lives for two weeks; nobody removes it afterwards. */
const sessions = (size: ShopSize, now: string): Sql => sql`
  INSERT INTO public.sessions (id, customer_id, created_at, last_seen_at, expires_at, address, user_agent, data)
  SELECT pg_catalog.md5('session' || n)::uuid,
         CASE WHEN n % 3 > 0 THEN 1 + ${pick(48271, size.customers)} END,
         created, created, created + interval '14 days',
         ('10.' || ${pick(69621, 256)} || '.' || ${pick(16807, 256)} || '.' || ${pick(39373, 256)})::inet,
         'Mozilla/5.0 (X11; Linux x86_64) Gecko/20100101 Firefox/' || 100 + ${pick(48271, 30)},
         ('{"visits": ' || ${pick(39373, 50)} || ', "theme": "' || ${word('{light,dark}', 16807, 2)} || '"}')::jsonb
    FROM ${numbers(size.sessions)}, LATERAL (SELECT ${moment(now, size.sessions)} AS created) AS at`;

const carts = (size: ShopSize, now: string): Sql => sql`
  INSERT INTO public.carts (id, customer_id, state, items, reserved_for, updated_at) OVERRIDING SYSTEM VALUE
  SELECT n, 1 + ${pick(48271, size.customers)},
         ${word('{open,abandoned,abandoned,ordered}', 69621, 4)},
         pg_catalog.jsonb_build_array(
           pg_catalog.jsonb_build_object('product', 1 + ${pick(16807, size.products)}, 'quantity', 1 + ${pick(39373, 3)}),
           pg_catalog.jsonb_build_object('product', 1 + ${pick(39373, size.products)}, 'quantity', 1)),
         interval '30 minutes' * (1 + ${pick(16807, 4)}),
         ${moment(now, size.carts)}
    FROM ${numbers(size.carts)}`;

const notifications = (size: ShopSize, now: string): Sql => sql`
  INSERT INTO public.notifications (id, customer_id, channel, body, created_at, read_at) OVERRIDING SYSTEM VALUE
  SELECT n, 1 + ${pick(48271, size.customers)},
         ${word('{mail,push,sms}', 69621, 3)},
         'Your order ' || ${pick(16807, size.orders)} || ' is on its way. Thank you for shopping with us!',
         created,
         CASE WHEN n % 6 > 0 THEN created + interval '1 minute' * ${pick(39373, 5_000)} END
    FROM ${numbers(size.notifications)}, LATERAL (SELECT ${moment(now, size.notifications)} AS created) AS at`;
