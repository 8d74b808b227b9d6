import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import pg from 'pg';
import { unvalidatedConstraint } from '../../../src/analysis/kinds/unvalidated-constraint.ts';
import { availableVersions, type TestDatabase, testDatabase } from '../../support/postgres.ts';
import { ask, inTurn } from '../support.ts';

const VERSIONS = availableVersions().filter((version) => version === 14 || version === 18);
const LONG = 'c'.repeat(63);

describe.each(VERSIONS)('UNVALIDATED_CONSTRAINT on PostgreSQL %i', (version) => {
  let database: TestDatabase;
  const role = `unvalidated_monitor_${version}`;

  /** The modes in which a statement of ours locks tables. */
  const locksOf = async (statement: string) => {
    const client = new pg.Client({ connectionString: database.url });
    await client.connect();
    await client.query(`BEGIN; ${statement}`);
    const { rows } = await client.query<{ name: string; mode: string }>(
      `SELECT c.relname AS name, l.mode FROM pg_locks l JOIN pg_class c ON c.oid = l.relation
        WHERE l.pid = pg_backend_pid() AND c.relkind = 'r' AND c.relnamespace <> 'pg_catalog'::regnamespace ORDER BY 1, 2`,
    );
    await client.query('COMMIT');
    await client.end();
    return rows.map(({ name, mode }) => `${name} ${mode}`);
  };

  beforeAll(async () => {
    database = await testDatabase(version);
    await inTurn(
      database,
      `CREATE SCHEMA "Odd ""Schema"""; CREATE DOMAIN percentage AS int;
       CREATE TABLE customer (id int PRIMARY KEY);
       CREATE TABLE orders (id int PRIMARY KEY CHECK (id > 0), customer_id int CONSTRAINT held REFERENCES customer, total int, state text);
       CREATE TABLE log (id int, day date) PARTITION BY RANGE (day);
       CREATE TABLE log_1 PARTITION OF log FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
       CREATE ROLE ${role}; GRANT pg_monitor TO ${role}`,
    );
  });

  afterAll(async () => {
    await database.run(`DROP ROLE ${role}`);
    await database.drop();
  });

  it('is silent about constraints that hold for all rows', async () => {
    expect(await ask(unvalidatedConstraint, database)).toEqual({ faults: [], unsure: [] });
  });

  it('finds CHECK and FOREIGN KEY constraints that are NOT VALID, those of partitions once', async () => {
    await inTurn(
      database,
      `INSERT INTO customer VALUES (1); INSERT INTO orders VALUES (1, 1, -5, 'new');
       ALTER TABLE orders ADD CONSTRAINT "${LONG}" CHECK (total > 0) NOT VALID, ADD CONSTRAINT total_small CHECK (total < 9) NOT VALID;
       ALTER TABLE orders ADD CONSTRAINT "To Customer" FOREIGN KEY (customer_id) REFERENCES customer NOT VALID;
       ALTER TABLE log ADD CONSTRAINT log_id CHECK (id > 0) NOT VALID;
       CREATE TABLE "Odd ""Schema"""."Other" (a int, b int); ALTER TABLE "Odd ""Schema"""."Other" ADD CHECK (a < b) NOT VALID;
       ALTER DOMAIN percentage ADD CONSTRAINT at_most CHECK (VALUE <= 100) NOT VALID`,
    );
    const { faults, unsure } = await ask(unvalidatedConstraint, database);
    expect(faults.map(({ schema, table, columns }) => [schema, table, ...columns])).toEqual([
      ['Odd "Schema"', 'Other', 'a', 'b'],
      ['public', 'log', 'id'],
      ['public', 'orders', 'customer_id'],
      ['public', 'orders', 'total'],
      ['public', 'percentage'],
    ]);
    expect(faults.every(({ severity }) => severity === 'NOTICE')).toBe(true);
    expect(unsure).toEqual([]);
    expect(faults[3]!.title).toContain(`${LONG}, total_small`);
    expect(faults[3]!.detail).toContain('WHERE NOT ((total > 0))');
    expect(faults[2]!.evidence).toEqual({
      constraints: [
        {
          name: 'To Customer',
          type: 'FOREIGN KEY',
          enforced: true,
          definition: 'FOREIGN KEY (customer_id) REFERENCES public.customer(id) NOT VALID',
        },
      ],
    });
  });

  it('sees as much with pg_monitor only', async () => {
    const { faults, unsure } = await ask(unvalidatedConstraint, database, { role });
    expect(faults).toHaveLength(5);
    expect(unsure).toEqual([]);
  });

  it('tells of a constraint whose table is locked, without its definition', async () => {
    const locker = new pg.Client({ connectionString: database.url });
    await locker.connect();
    await locker.query('BEGIN; LOCK TABLE orders IN ACCESS EXCLUSIVE MODE');
    const { faults } = await ask(unvalidatedConstraint, database);
    await locker.query('ROLLBACK');
    await locker.end();
    expect(faults).toHaveLength(5);
    expect(faults[3]!.evidence['constraints']).toContainEqual({
      name: LONG,
      type: 'CHECK',
      enforced: true,
      definition: null,
    });
  });

  it('gives statements that validate under the locks that it tells, and is silent after them', async () => {
    const { faults } = await ask(unvalidatedConstraint, database);
    const details = faults.map(({ detail }) => detail).join(' ');
    const broken = /SELECT \* FROM "public"."orders" WHERE NOT \(\(total > 0\)\)/.exec(details)![0];
    expect(await database.run(broken)).toHaveLength(1);
    await database.run('UPDATE orders SET total = 5');
    const statements = details.match(
      /ALTER (TABLE|DOMAIN) \S+ ?\S* VALIDATE CONSTRAINT "[^"]+"|ALTER TABLE "Odd ""Schema"""."Other" VALIDATE CONSTRAINT "[^"]+"/g,
    )!;
    expect(statements).toHaveLength(6);
    const key = statements.find((statement) => statement.includes('To Customer'))!;
    const locks = await locksOf(key);
    expect(locks).toContain('orders ShareUpdateExclusiveLock');
    expect(locks).toContain('customer RowShareLock');
    expect(locks.filter((lock) => /AccessExclusive|ShareRowExclusive| ShareLock/.test(lock))).toEqual([]);
    for (const statement of statements) await database.run(statement);
    expect(await ask(unvalidatedConstraint, database)).toEqual({ faults: [], unsure: [] });
  });

  if (version >= 18)
    it('finds what PostgreSQL 18 does not validate or enforce', async () => {
      await inTurn(
        database,
        `ALTER TABLE orders ADD CONSTRAINT state_known NOT NULL state NOT VALID;
       ALTER TABLE orders ADD CONSTRAINT free FOREIGN KEY (total) REFERENCES customer NOT ENFORCED;
       ALTER TABLE customer ADD CONSTRAINT wish CHECK (id < 1000) NOT ENFORCED`,
      );
      const { faults } = await ask(unvalidatedConstraint, database);
      expect(faults.map(({ table, columns, severity }) => [table, ...columns, severity])).toEqual([
        ['customer', 'id', 'INFO'],
        ['orders', 'total', 'INFO'],
        ['orders', 'state', 'NOTICE'],
      ]);
      expect(faults[0]!.detail).toContain('drop it and add it again NOT VALID');
      expect(faults[2]!.detail).toContain('WHERE "state" IS NULL');
      await database.run('INSERT INTO customer VALUES (5)');
      const enforce = /ALTER TABLE \S+ ALTER CONSTRAINT "free" ENFORCED/.exec(faults[1]!.detail)![0];
      const locks = await locksOf(enforce);
      expect(locks).toContain('orders ShareRowExclusiveLock');
      await inTurn(
        database,
        'ALTER TABLE orders VALIDATE CONSTRAINT state_known; ALTER TABLE customer DROP CONSTRAINT wish',
      );
      expect(await ask(unvalidatedConstraint, database)).toEqual({ faults: [], unsure: [] });
    });
});
