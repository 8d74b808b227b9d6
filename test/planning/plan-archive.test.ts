import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { PlanArchiveInput, PlanPurgeInput } from '../../src/domain/plan-inputs.ts';
import type { PlanView } from '../../src/store/plans.ts';
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
