import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { PlanPurgeInput } from '../../src/domain/plan-inputs.ts';
import type { PlanView } from '../../src/store/plans.ts';
import { makePlanning, OPERATOR, type Planning } from './planning.ts';

const purge = (table: string, change: Partial<PlanPurgeInput> = {}): PlanPurgeInput => ({
  database: 'shop',
  schema: 'public',
  table,
  where: { column: 'at', op: 'OLDER_THAN', age: 'P500D' },
  dependents: 'REFUSE',
  ...change,
});

const codes = (plan: PlanView) => plan.forecast.blockers.map(({ code }) => code);

describe('what a plan refuses', () => {
  let planning: Planning;
  beforeAll(async () => {
    planning = await makePlanning({
      sql: `
      CREATE TABLE t (id int PRIMARY KEY, at timestamptz DEFAULT now() - interval '1 year');
      INSERT INTO t SELECT generate_series(1, 2000);
      CREATE VIEW a_view AS SELECT * FROM t; CREATE MATERIALIZED VIEW a_matview AS SELECT * FROM t;
      CREATE TABLE parts (id int, at timestamptz) PARTITION BY RANGE (id); CREATE TABLE part_1 PARTITION OF parts FOR VALUES FROM (0) TO (100);
      INSERT INTO parts SELECT i, '2020-01-01' FROM generate_series(1, 10) i;
      CREATE FOREIGN DATA WRAPPER w; CREATE SERVER s FOREIGN DATA WRAPPER w; CREATE FOREIGN TABLE a_foreign (id int, at timestamptz) SERVER s;
      CREATE TABLE ruled (id int, at timestamptz); CREATE RULE r AS ON DELETE TO ruled DO INSTEAD NOTHING;
      CREATE TABLE published (id int, at timestamptz); CREATE PUBLICATION p FOR TABLE published;
      CREATE TABLE published_well (id int PRIMARY KEY, at timestamptz); CREATE PUBLICATION q FOR TABLE published_well;
      CREATE TABLE kept (id int, at timestamptz); INSERT INTO kept SELECT i, '2020-01-01' FROM generate_series(1, 5) i;
      CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
      CREATE TRIGGER keeper BEFORE DELETE ON kept FOR EACH ROW EXECUTE FUNCTION keep();
      CREATE TRIGGER sleeper AFTER DELETE ON kept EXECUTE FUNCTION keep(); ALTER TABLE kept DISABLE TRIGGER sleeper;
      CREATE SCHEMA declutter; CREATE TABLE declutter.run (id int, at timestamptz);
      CREATE TABLE big_child (id int, t_id int REFERENCES t); INSERT INTO big_child SELECT i, NULL FROM generate_series(1, 50000) i; ANALYZE;`,
    });
  });
  afterAll(() => planning.close());

  it.each([
    ['public', 'a_view', ['NOT_A_TABLE']],
    ['public', 'a_matview', ['NOT_A_TABLE']],
    ['public', 'a_foreign', ['NOT_A_TABLE']],
    ['public', 'parts', []],
    ['public', 'part_1', []],
    ['public', 'ruled', ['RULES']],
    ['public', 'published', ['PUBLICATION_IDENTITY']],
    ['public', 'published_well', []],
    ['declutter', 'run', ['UNSAFE_TABLE']],
  ])('is told as a blocker: %s.%s', async (schema, table, expected) => {
    const plan = await planning.plans.purge(purge(table, { schema }), OPERATOR);
    expect([codes(plan), plan.state]).toEqual([expected, expected.length === 0 ? 'READY' : 'BLOCKED']);
  });

  it.each([
    ['pg_catalog', 'pg_class'],
    ['information_schema', 'tables'],
  ])('includes the tables of PostgreSQL itself: %s.%s', async (schema, table) => {
    const where = {
      column: schema === 'pg_catalog' ? 'relname' : 'table_name',
      op: 'EQ',
      value: 'x',
    } as const;
    expect(codes(await planning.plans.purge(purge(table, { schema, where }), OPERATOR))).toEqual([
      'UNSAFE_TABLE',
    ]);
  });

  it('includes a large share unless it is meant, and more rows than allowed', async () => {
    const where = { not: { column: 'id', op: 'IS_NULL' } } as const;
    const limited = (limits?: PlanPurgeInput['limits']) =>
      planning.plans.purge(purge('t', { where, limits }), OPERATOR).then(codes);
    expect(await limited()).toEqual(['SHARE_LIMIT']);
    expect(await limited({ maxShare: 1 })).toEqual([]);
    expect(await limited({ maxShare: 1, maxRows: 1999 })).toEqual(['ROW_LIMIT']);
    expect(codes(await planning.plans.purge(purge('kept'), OPERATOR))).toEqual([]);
    await expect(limited({ maxShare: 0 })).rejects.toMatchObject({ code: 'BAD_USER_INPUT' });
    await expect(limited({ maxDuration: 'P1M' })).rejects.toMatchObject({ code: 'BAD_USER_INPUT' });
  });

  it('tells the triggers that would fire, and warns of one that may keep rows', async () => {
    const { forecast } = await planning.plans.purge(purge('kept'), OPERATOR);
    expect(forecast.effects).toEqual([
      {
        schema: 'public',
        table: 'kept',
        effect: 'TRIGGER',
        rows: 5,
        detail: 'BEFORE DELETE trigger keeper (each row) calls public.keep.',
      },
    ]);
    expect(forecast.warnings.map(({ code }) => code)).toEqual(['BEFORE_DELETE_TRIGGER']);
  });

  it('warns of a foreign key that no index serves', async () => {
    const { forecast } = await planning.plans.purge(
      purge('t', { where: { column: 'id', op: 'EQ', value: '7' } }),
      OPERATOR,
    );
    expect(forecast.warnings).toEqual([
      expect.objectContaining({
        code: 'MISSING_FOREIGN_KEY_INDEX',
        hint: 'CREATE INDEX CONCURRENTLY ON "public"."big_child" ("t_id");',
      }),
      expect.objectContaining({ code: 'MATERIALIZED_VIEWS' }),
    ]);
  });

  it('refuses filters and texts that cannot be meant', async () => {
    for (const change of [
      { where: {} },
      { where: { all: [] } },
      { where: { column: 'id', op: 'EQ', value: '9223372036854775808' } },
      { where: { column: 'at', op: 'OLDER_THAN', age: 'P0D' } },
      { where: { column: 'at', op: 'LT', value: 'infinity' } },
      { where: { column: 'nope', op: 'IS_NULL' } },
      { reason: 'x'.repeat(1001) },
      { reason: '\u001b[2J' },
      { throttle: { dutyCycle: 2 } },
    ] as Partial<PlanPurgeInput>[]) {
      await expect(planning.plans.purge(purge('t', change), OPERATOR)).rejects.toMatchObject({
        code: 'BAD_USER_INPUT',
      });
    }
    await expect(planning.plans.purge(purge('t', { database: 'absent' }), OPERATOR)).rejects.toMatchObject({
      code: 'NOT_FOUND',
    });
  });
});

describe('a plan without the rights for its run', () => {
  it('names the GRANTs that help', async () => {
    const planning = await makePlanning({
      role: 'role_$db',
      sql: `CREATE ROLE role_$db LOGIN PASSWORD '$password'; CREATE TABLE t (id int PRIMARY KEY, at timestamptz); CREATE TABLE child (id int REFERENCES t);
        CREATE TABLE secured (id int, at timestamptz); ALTER TABLE secured ENABLE ROW LEVEL SECURITY; CREATE TABLE readable (id int, at timestamptz);
        INSERT INTO t VALUES (1, '2000-01-01'); GRANT SELECT, DELETE ON t, secured TO role_$db; GRANT SELECT ON readable TO role_$db;`,
    });
    const role = `"role_${planning.target.name}"`;
    const ledger = {
      code: 'LEDGER_RIGHTS',
      hint: `GRANT CREATE ON DATABASE "${planning.target.name}" TO ${role};`,
    };
    const blockersOf = (table: string) =>
      planning.plans.purge(purge(table), OPERATOR).then(({ forecast }) => forecast.blockers);
    expect(await blockersOf('readable')).toEqual([
      expect.objectContaining(ledger),
      expect.objectContaining({ code: 'NO_RIGHTS', hint: `GRANT DELETE ON "public"."readable" TO ${role};` }),
    ]);
    await planning.target.run(`GRANT CREATE ON DATABASE ${planning.target.name} TO ${role}`);
    expect(await blockersOf('secured')).toEqual([expect.objectContaining({ code: 'ROW_SECURITY' })]);
    expect(await blockersOf('t')).toEqual([
      expect.objectContaining({ code: 'NO_RIGHTS', hint: `GRANT SELECT ON "public"."child" TO ${role};` }),
    ]);
    await planning.target.run(
      `GRANT SELECT ON child TO ${role}; ALTER TABLE child DROP CONSTRAINT child_id_fkey, ADD FOREIGN KEY (id) REFERENCES t ON DELETE CASCADE`,
    );
    expect(await blockersOf('t')).toEqual([
      expect.objectContaining({ code: 'NO_RIGHTS', hint: `GRANT UPDATE ("id") ON "public"."t" TO ${role};` }),
    ]);
    await planning.target.run(`GRANT UPDATE (id) ON t TO ${role}`);
    expect(await blockersOf('t')).toEqual([]);
    await planning.target.run(`DROP OWNED BY ${role}; DROP ROLE ${role}`);
    await planning.close();
  });
});
