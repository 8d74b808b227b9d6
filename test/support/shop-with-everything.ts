import type { TestDatabase } from './postgres.ts';

/**
 * Every way to reference: plain, RESTRICT, CASCADE, SET NULL (of a composite key too), SET DEFAULT, a tree, a circle of two tables,
 * composite keys, a partitioned table with dependents of its own, columns that make themselves. Every fourth customer is old.
 */
const SCHEMA = `
  CREATE TABLE customers (id int PRIMARY KEY, old boolean, referred_by int REFERENCES customers, last_region int, last_order int,
    name text COLLATE "C", upper_name text GENERATED ALWAYS AS (upper(name)) STORED);
  CREATE TABLE orders (region int, id int, customer int NOT NULL REFERENCES customers ON DELETE RESTRICT, total numeric(12, 3), PRIMARY KEY (region, id));
  ALTER TABLE customers ADD FOREIGN KEY (last_region, last_order) REFERENCES orders;
  CREATE TABLE lines (id int PRIMARY KEY, region int NOT NULL, "order" int NOT NULL, customer int REFERENCES customers,
    FOREIGN KEY (region, "order") REFERENCES orders ON DELETE CASCADE) PARTITION BY RANGE (id);
  CREATE TABLE lines_low ("order" int NOT NULL, customer int, region int NOT NULL, id int NOT NULL);
  ALTER TABLE lines ATTACH PARTITION lines_low FOR VALUES FROM (MINVALUE) TO (700);
  CREATE TABLE lines_high PARTITION OF lines FOR VALUES FROM (700) TO (MAXVALUE) PARTITION BY HASH (id);
  CREATE TABLE lines_high_0 PARTITION OF lines_high FOR VALUES WITH (MODULUS 2, REMAINDER 0);
  CREATE TABLE lines_high_1 PARTITION OF lines_high FOR VALUES WITH (MODULUS 2, REMAINDER 1);
  CREATE TABLE "Line notes" (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, line int REFERENCES lines, "a ""note""" text);
  CREATE TABLE tasks (id int PRIMARY KEY, customer int REFERENCES customers ON DELETE SET NULL, line int DEFAULT 4 REFERENCES lines ON DELETE SET DEFAULT);
  CREATE TABLE papers (tenant int, id int, region int, "order" int, PRIMARY KEY (tenant, id), FOREIGN KEY (region, "order") REFERENCES orders ON DELETE SET NULL);
  INSERT INTO customers SELECT i, i % 4 = 1, CASE WHEN i % 4 = 2 AND i > 200 THEN i - 1 WHEN i % 4 = 1 AND i % 5 = 0 THEN i - 4 END, NULL, NULL,
    CASE WHEN i % 7 > 0 THEN E'näme\\t\\\\N ' || i END FROM generate_series(1, 400) i ORDER BY i;
  INSERT INTO orders SELECT i % 3, i, i % 400 + 1, i * 1.001 FROM generate_series(1, 800) i;
  UPDATE customers c SET (last_region, last_order) = (SELECT region, id FROM orders o WHERE o.customer = c.id ORDER BY id DESC LIMIT 1);
  INSERT INTO lines SELECT i, (i % 800 + 1) % 3, i % 800 + 1, CASE WHEN i % 11 = 0 THEN i % 400 + 1 END FROM generate_series(1, 1600) i;
  INSERT INTO "Line notes" (line, "a ""note""") SELECT i, repeat('n', i % 50) FROM generate_series(1, 1600, 3) i;
  INSERT INTO tasks SELECT i, i % 400 + 1, i FROM generate_series(1, 600) i;
  INSERT INTO papers SELECT i % 2, i, i % 3, i FROM generate_series(1, 500) i;
  CREATE INDEX ON customers (referred_by); CREATE INDEX ON customers (last_region, last_order); CREATE INDEX ON orders (customer);
  CREATE INDEX ON lines (region, "order"); CREATE INDEX ON lines (customer); CREATE INDEX ON "Line notes" (line); CREATE INDEX ON tasks (customer);
  CREATE INDEX ON tasks (line); CREATE INDEX ON papers (region, "order"); ANALYZE;`;

/** What must go with the old customers, by a way of its own: rounds until nothing is added. */
const EXPECT = `
  CREATE TABLE gone (t text, key text, PRIMARY KEY (t, key));
  INSERT INTO gone SELECT 'customers', id::text FROM customers WHERE old;
  DO $do$ DECLARE n int := 1; BEGIN WHILE n > 0 LOOP
    INSERT INTO gone
      SELECT 'customers', id::text FROM customers WHERE referred_by::text IN (SELECT key FROM gone WHERE t = 'customers')
          OR last_region || '/' || last_order IN (SELECT key FROM gone WHERE t = 'orders')
      UNION SELECT 'orders', region || '/' || id FROM orders WHERE customer::text IN (SELECT key FROM gone WHERE t = 'customers')
      UNION SELECT 'lines', id::text FROM lines WHERE region || '/' || "order" IN (SELECT key FROM gone WHERE t = 'orders')
          OR customer::text IN (SELECT key FROM gone WHERE t = 'customers')
      UNION SELECT 'Line notes', id::text FROM "Line notes" WHERE line::text IN (SELECT key FROM gone WHERE t = 'lines')
      EXCEPT SELECT t, key FROM gone;
    GET DIAGNOSTICS n = ROW_COUNT; END LOOP; END $do$;`;

export const TABLES = ['customers', 'orders', 'lines', 'Line notes', 'tasks', 'papers'] as const;

/** Every row of every table, as text. */
export const EVERY_ROW = TABLES.map(
  (table) => `SELECT '${table}' AS t, x::text AS row FROM "${table}" x`,
).join(' UNION ALL ');

/** Rows that are still there, by their keys. */
const LEFT = `SELECT 'customers' AS t, id::text AS key FROM customers UNION ALL SELECT 'orders', region || '/' || id FROM orders
  UNION ALL SELECT 'lines', id::text FROM lines UNION ALL SELECT 'Line notes', id::text FROM "Line notes"`;

export async function makeShop(database: TestDatabase): Promise<void> {
  await database.run(`${SCHEMA}${EXPECT}`);
  await database.run(`CREATE TABLE was AS ${LEFT}`);
}

const count = async (database: TestDatabase, rows: string): Promise<number> =>
  (await database.run(`SELECT count(*)::int AS n FROM (${rows}) x`))[0]?.['n'] as number;

export const expectedToGo = (database: TestDatabase): Promise<number> => count(database, 'SELECT FROM gone');

/** Rows that went and should not have, or stayed and should not have. */
export const wronglyTreated = (database: TestDatabase): Promise<number> =>
  count(
    database,
    `(SELECT * FROM was EXCEPT SELECT * FROM gone EXCEPT (${LEFT})) UNION ALL ((${LEFT}) INTERSECT SELECT * FROM gone)`,
  );

/** Old customers that are still there, without one of their orders. */
export const partedCustomers = (database: TestDatabase): Promise<number> =>
  count(
    database,
    `SELECT FROM customers c WHERE old AND (SELECT count(*) FROM orders o WHERE o.customer = c.id) <> (SELECT count(*) FROM was WHERE t = 'orders' AND split_part(key, '/', 2)::int % 400 + 1 = c.id)`,
  );
