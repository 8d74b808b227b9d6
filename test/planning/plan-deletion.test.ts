import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { PlanArchiveInput, PlanPurgeInput } from '../../src/planning/plan-inputs.ts';
import type { PlanView } from '../../src/store/plans.ts';
import { availableVersions } from '../support/postgres.ts';
import { makePlanning, OPERATOR, type Planning } from './planning.ts';

const SCHEMA = `
  CREATE TABLE customers (id bigint PRIMARY KEY, name text);
  CREATE TABLE "Old orders" (id bigint PRIMARY KEY, customer_id bigint REFERENCES customers, at timestamptz NOT NULL, note text);
  CREATE TABLE lines (id bigint PRIMARY KEY, order_id int8 REFERENCES "Old orders" ON DELETE CASCADE);
  CREATE TABLE line_notes (id bigint PRIMARY KEY, line_id bigint REFERENCES lines ON DELETE CASCADE, order_id bigint REFERENCES "Old orders" ON DELETE CASCADE);
  CREATE TABLE coupons (id bigint PRIMARY KEY, order_id bigint REFERENCES "Old orders" ON DELETE SET NULL, line_id bigint REFERENCES lines ON DELETE SET NULL);
  CREATE TABLE labels (id bigint PRIMARY KEY, order_id bigint DEFAULT 50 REFERENCES "Old orders" ON DELETE SET DEFAULT);
  CREATE TABLE events (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, at timestamptz NOT NULL, kind text, payload jsonb);
  INSERT INTO customers SELECT i, 'c' || i FROM generate_series(1, 100) i;
  INSERT INTO "Old orders" SELECT i, i % 100 + 1, now() - i * interval '1 day' + interval '12 hours', 'n' FROM generate_series(1, 1000) i;
  INSERT INTO lines SELECT i, (i % 1000) + 1 FROM generate_series(1, 3000) i;
  INSERT INTO line_notes SELECT i, i, i % 1000 + 1 FROM generate_series(1, 3000) i;
  INSERT INTO coupons SELECT i, i % 1000 + 1, i FROM generate_series(1, 2000) i;
  INSERT INTO labels SELECT i, i FROM generate_series(1, 1000) i;
  INSERT INTO events (at, kind, payload) SELECT now() - i * interval '1 hour' + interval '30 minutes', 'k' || i % 7, jsonb_build_object('i', i) FROM generate_series(1, 20000) i;
  CREATE INDEX events_at ON events (at);
  ANALYZE;`;

const purge = (table: string, change: Partial<PlanPurgeInput> = {}): PlanPurgeInput => ({
  database: 'shop',
  schema: 'public',
  table,
  where: { column: 'at', op: 'OLDER_THAN', age: 'P500D' },
  dependents: 'REFUSE',
  ...change,
});

const codes = (plan: PlanView) => plan.forecast.blockers.map(({ code }) => code);

describe.each(availableVersions())('the plan of a purge on PostgreSQL %i', (version) => {
  let planning: Planning;
  beforeAll(async () => {
    planning = await makePlanning({ version, sql: SCHEMA });
  });
  afterAll(() => planning.close());

  it('counts exactly, shows rows as they are, and changes nothing', async () => {
    const before = await planning.target.run(
      `SELECT pg_current_xact_id_if_assigned() AS none, (SELECT xmin::text || count(*) OVER () FROM events LIMIT 1) AS rows`,
    );
    const plan = await planning.plans.purge(purge('events'), OPERATOR);
    expect(plan).toMatchObject({
      kind: 'PURGE',
      state: 'READY',
      schema: 'public',
      table: 'events',
      requestedBy: 'olga',
    });
    const { impact, steps, sample, locks } = plan.forecast;
    expect(impact).toMatchObject({ rows: 8000, rowsAreExact: true, share: 0.4 });
    expect(impact.bytes).toBeGreaterThan(8000 * 40);
    expect(plan.cutoff!.getTime()).toBe(plan.createdAt.getTime() - 500 * 86_400_000);
    expect(sample).toHaveLength(100);
    expect(JSON.parse(sample[0]!)).toMatchObject({
      id: expect.any(Number),
      payload: { i: expect.any(Number) },
    });
    expect(steps.map(({ sql }) => sql).join()).toContain('DELETE FROM ONLY "public"."events" WHERE ctid >=');
    expect(locks[0]).toMatchObject({
      relation: 'public.events',
      mode: expect.stringContaining('ROW EXCLUSIVE'),
    });
    const after = await planning.target.run(
      `SELECT pg_current_xact_id_if_assigned() AS none, (SELECT xmin::text || count(*) OVER () FROM events LIMIT 1) AS rows`,
    );
    expect(after).toEqual(before);
    expect(
      await planning.target.run(`SELECT count(*)::int AS n FROM pg_namespace WHERE nspname = 'declutter'`),
    ).toEqual([{ n: 0 }]);
  });

  it('takes the index for a small share, and the heap for a large one', async () => {
    const small = await planning.plans.purge(
      purge('events', { where: { column: 'at', op: 'OLDER_THAN', age: 'P830D' } }),
      OPERATOR,
    );
    const large = await planning.plans.purge(purge('events'), OPERATOR);
    const unindexed = await planning.plans.purge(
      purge('events', { where: { column: 'id', op: 'EQ', value: '5' } }),
      OPERATOR,
    );
    const noIndex = await planning.plans.purge(
      purge('events', {
        where: {
          all: [
            { column: 'kind', op: 'EQ', value: 'k1' },
            { column: 'kind', op: 'EQ', value: 'k2' },
          ],
        },
      }),
      OPERATOR,
    );
    const picks = [small, large, unindexed, noIndex].map(
      ({ spec }) => (spec.operation as { pick: string }).pick,
    );
    expect(picks).toEqual(['INDEX', 'HEAP_RANGES', 'INDEX', 'HEAP_RANGES']);
    expect(JSON.stringify(small.forecast.steps)).toContain('events_at');
  });

  it('tells the effects on all levels, each row once, and refuses what rows reference', async () => {
    const plan = await planning.plans.purge(purge('Old orders'), OPERATOR);
    expect(plan.forecast.impact.rows).toBe(500);
    const truth = await planning.target.run(`
      WITH o AS (SELECT id FROM "Old orders" WHERE at < now() - interval '500 days'), l AS (SELECT id FROM lines WHERE order_id IN (SELECT id FROM o))
      SELECT (SELECT count(*)::int FROM l) AS lines,
             (SELECT count(*)::int FROM line_notes WHERE line_id IN (SELECT id FROM l) OR order_id IN (SELECT id FROM o)) AS line_notes,
             (SELECT count(*)::int FROM coupons WHERE line_id IN (SELECT id FROM l) OR order_id IN (SELECT id FROM o)) AS coupons,
             (SELECT count(*)::int FROM labels WHERE order_id IN (SELECT id FROM o)) AS labels`);
    const found = Object.fromEntries(
      plan.forecast.effects.map(({ table, effect, rows }) => [`${table} ${effect}`, rows]),
    );
    const { lines, line_notes: notes, coupons, labels } = truth[0] as Record<string, number>;
    expect(found).toEqual({
      'lines DELETE_CASCADE': lines,
      'line_notes DELETE_CASCADE': notes,
      'coupons SET_NULL': coupons,
      'labels SET_DEFAULT': labels,
    });
    expect(plan.state).toBe('BLOCKED');
    expect(codes(plan)).toEqual(['DEPENDENTS', 'DEPENDENTS', 'DEPENDENTS', 'DEPENDENTS']);
  });

  it('refuses rows that a plain foreign key protects', async () => {
    const where = { column: 'id', op: 'LE', value: '10' } as const;
    const plan = await planning.plans.purge(purge('customers', { where }), OPERATOR);
    expect(codes(plan)).toEqual(['DEPENDENTS']);
    expect(plan.forecast.blockers[0]!.message).toMatch(/^100 rows of public.Old orders .*NO ACTION/);
    const included = await planning.plans.purge(
      purge('customers', { where, dependents: 'INCLUDE' }),
      OPERATOR,
    );
    expect(codes(included)).toEqual([]);
    expect(included.forecast.effects).toContainEqual(
      expect.objectContaining({ table: 'Old orders', effect: 'DELETE_INCLUDED', rows: 100 }),
    );
  });

  it('finds nothing by what looks like SQL, and no table by another case', async () => {
    const plan = await planning.plans.purge(
      purge('events', { where: { column: 'kind', op: 'EQ', value: "' or 1=1 --" } }),
      OPERATOR,
    );
    expect([plan.forecast.impact.rows, plan.forecast.warnings.map(({ code }) => code)]).toEqual([
      0,
      ['NOTHING_TO_DO'],
    ]);
    for (const table of ['x"; DROP TABLE events; --', 'Events']) {
      await expect(planning.plans.purge(purge(table), OPERATOR)).rejects.toMatchObject({ code: 'NOT_FOUND' });
    }
    for (const table of ['', '  ', 'x'.repeat(64), 'a\0b']) {
      await expect(planning.plans.purge(purge(table), OPERATOR)).rejects.toMatchObject({
        code: 'BAD_USER_INPUT',
      });
    }
  });
});

describe('trees and circles of foreign keys', () => {
  it('are counted row by row, each row once', async () => {
    const planning = await makePlanning({
      sql: `CREATE TABLE nodes (id int PRIMARY KEY, parent int REFERENCES nodes ON DELETE CASCADE);
        INSERT INTO nodes SELECT i, nullif(i / 2, 0) FROM generate_series(1, 127) i; CREATE INDEX ON nodes (parent);
        CREATE TABLE leaves (id int PRIMARY KEY, node int REFERENCES nodes ON DELETE CASCADE);
        INSERT INTO leaves SELECT i, i FROM generate_series(1, 127) i;`,
    });
    const plan = await planning.plans.purge(
      purge('nodes', { where: { column: 'id', op: 'IN', values: ['2', '4'] } }),
      OPERATOR,
    );
    const effects = plan.forecast.effects.map(({ table, effect, rows }) => [table, effect, rows]);
    expect([plan.forecast.impact.rows, effects]).toEqual([
      2,
      [
        ['nodes', 'DELETE_CASCADE', 61],
        ['leaves', 'DELETE_CASCADE', 63],
      ],
    ]);
    expect(codes(plan)).toEqual(['DEPENDENTS', 'DEPENDENTS']);
    await planning.close();
  });

  it('let a row reference itself', async () => {
    const planning = await makePlanning({
      sql: 'CREATE TABLE n (id int PRIMARY KEY, parent int REFERENCES n); INSERT INTO n VALUES (1, 1), (2, 1), (3, 3)',
    });
    const own = await planning.plans.purge(
      purge('n', { where: { column: 'id', op: 'EQ', value: '3' } }),
      OPERATOR,
    );
    const other = await planning.plans.purge(
      purge('n', { where: { column: 'id', op: 'EQ', value: '1' } }),
      OPERATOR,
    );
    expect([codes(own), codes(other)]).toEqual([[], ['DEPENDENTS']]);
    await planning.close();
  });
});

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

describe('a plan that has no time to count', () => {
  it('estimates, and says so', async () => {
    const planning = await makePlanning({ budgetMs: 0, sql: SCHEMA });
    const { forecast, spec } = await planning.plans.purge(purge('events'), OPERATOR);
    expect(forecast.impact.rowsAreExact).toBe(false);
    // What could not be counted is held to by the run: half of the 20 000 rows.
    expect(spec.limits).toEqual({ maxRows: 10_000, maxShare: 0.5, maxDurationMs: null });
    expect(forecast.impact.rows).toBeGreaterThan(7000);
    expect(forecast.impact.rows).toBeLessThan(9000);
    expect(spec.rowsAreExact).toBe(false);
    expect(forecast.warnings.map(({ code }) => code)).toEqual(['ROWS_ESTIMATED']);
    const dependents = await planning.plans.purge(purge('Old orders'), OPERATOR);
    expect(dependents.forecast.warnings.map(({ code }) => code)).toEqual([
      'EFFECTS_ESTIMATED',
      'ROWS_ESTIMATED',
    ]);
    await planning.close();
  });
});

describe('the plan of an archive', () => {
  let planning: Planning;
  beforeAll(async () => {
    planning = await makePlanning({
      environment: 'PRODUCTION',
      sql: `${SCHEMA}
        CREATE TABLE same (payload jsonb, kind text, at timestamptz NOT NULL, id bigint); CREATE TABLE fewer (id bigint, at timestamptz);
        CREATE TABLE others (id int, at timestamptz, kind text, payload jsonb); CREATE TABLE more (id bigint, at timestamptz, kind text, payload jsonb, extra int);
        CREATE UNLOGGED TABLE unlogged (id bigint, at timestamptz, kind text, payload jsonb);`,
    });
  });
  afterAll(() => planning.close());

  const archive = (destination: PlanArchiveInput['destination'], change: Partial<PlanPurgeInput> = {}) =>
    planning.plans.archive({ ...purge('events', change), destination }, OPERATOR);

  it('goes to the store named local unless another is named', async () => {
    const plan = await archive({ kind: 'FILES' });
    expect(plan.spec.operation).toMatchObject({
      kind: 'ARCHIVE',
      destination: { kind: 'FILES', store: 'local', format: 'COPY_ZSTD' },
    });
    expect(plan.state).toBe('READY');
    expect(plan.forecast.steps.map(({ sql }) => sql).join()).toMatch(
      /COPY \(DELETE FROM ONLY .* RETURNING "id", "at", "kind", "payload"\) TO STDOUT/,
    );
  });

  it.each([
    [{ kind: 'FILES', store: 'elsewhere' }, 'UNKNOWN_STORE'],
    [{ kind: 'S3' }, 'UNKNOWN_STORE'],
    [{ kind: 'FILES', store: 'away' }, 'ARCHIVE_STORE_TROUBLE'],
    [{ kind: 'S3', store: 'local' }, 'UNKNOWN_STORE'],
    [{ kind: 'FILES', format: 'PARQUET' }, null],
    [{ kind: 'FILES', format: 'JSONL_ZSTD' }, null],
    [{ kind: 'TABLE', table: 'fewer' }, 'ARCHIVE_TABLE_INCOMPATIBLE'],
    [{ kind: 'TABLE', table: 'others' }, 'ARCHIVE_TABLE_INCOMPATIBLE'],
    [{ kind: 'TABLE', table: 'more' }, 'ARCHIVE_TABLE_INCOMPATIBLE'],
    [{ kind: 'TABLE', table: 'unlogged' }, 'ARCHIVE_TABLE_INCOMPATIBLE'],
    [{ kind: 'TABLE', table: 'events' }, 'ARCHIVE_TABLE_INCOMPATIBLE'],
    [{ kind: 'TABLE', schema: 'absent', table: 'x' }, 'ARCHIVE_TABLE_INCOMPATIBLE'],
    [{ kind: 'TABLE', schema: 'pg_catalog', table: 'x' }, 'UNSAFE_TABLE'],
    [{ kind: 'TABLE', table: 'same' }, null],
    [{ kind: 'TABLE' }, null],
  ] as [PlanArchiveInput['destination'], string | null][])(
    'looks at its destination: %j is %s',
    async (destination, code) => {
      const plan = await archive(destination);
      expect([...new Set(codes(plan))]).toEqual(code === null ? [] : [code]);
    },
  );

  it('is kept from a table that holds an archive, and from its parent', async () => {
    const { prisma } = planning.store;
    await planning.target.run(
      'CREATE TABLE kept (id bigint, at timestamptz); CREATE TABLE kept_run () INHERITS (kept)',
    );
    const plan = await prisma.plan.findFirstOrThrow();
    const run = await prisma.run.create({
      data: {
        planId: plan.id,
        databaseId: planning.databaseId,
        state: 'SUCCEEDED',
        startedBy: 'x',
        throttle: {},
      },
    });
    const content = { columns: [], holder: { schema: 'public', name: 'kept_run' } };
    await prisma.archive.create({
      data: {
        runId: run.id,
        databaseId: planning.databaseId,
        schema: 'public',
        table: 'x',
        kind: 'TABLE',
        rows: 0,
        bytes: 0,
        content,
      },
    });
    for (const table of ['kept', 'kept_run'])
      expect(codes(await planning.plans.purge(purge(table), OPERATOR))).toEqual(['UNSAFE_TABLE']);
  });

  it('needs approval on PRODUCTION when it takes more than half on purpose; a purge always does', async () => {
    const where = { column: 'id', op: 'GT', value: '5' } as const;
    expect((await archive({ kind: 'FILES' }, { where, limits: { maxShare: 1 } })).state).toBe(
      'NEEDS_APPROVAL',
    );
    expect(
      (
        await planning.plans.purge(
          purge('events', { where: { column: 'id', op: 'EQ', value: '5' } }),
          OPERATOR,
        )
      ).state,
    ).toBe('NEEDS_APPROVAL');
  });
});
