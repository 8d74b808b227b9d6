import { afterEach, describe, expect, it } from '@jest/globals';
import type { PlanOrphanRemovalInput } from '../../src/domain/plan-inputs.ts';
import type { PlanView } from '../../src/store/plans.ts';
import { FAST, testEngine } from '../support/engine.ts';
import { makePlanning, OPERATOR, type Planning, principal } from './planning.ts';

/** A third of the lines point nowhere; notes belong to lines. */
const SHOP = `
  CREATE TABLE orders (id bigint PRIMARY KEY, tenant int, note text);
  CREATE TABLE lines (id int PRIMARY KEY, order_id int, "Tenant" int, body text);
  CREATE TABLE notes (id int PRIMARY KEY, line int REFERENCES lines);
  INSERT INTO orders SELECT g, g % 3 FROM generate_series(1, 1000) g;
  INSERT INTO lines SELECT g, CASE WHEN g % 3 = 0 THEN 100000 + g ELSE g % 1000 + 1 END, g % 3 FROM generate_series(1, 3000) g;
  CREATE INDEX ON notes (line); ANALYZE`;

let planning: Planning;
afterEach(() => planning.close());

const LINES: PlanOrphanRemovalInput = {
  database: 'shop',
  schema: 'public',
  table: 'lines',
  columns: ['order_id'],
  referencedSchema: 'public',
  referencedTable: 'orders',
  referencedColumns: ['id'],
  dependents: 'REFUSE',
};

const plan = (change: Partial<PlanOrphanRemovalInput> = {}): Promise<PlanView> =>
  planning.plans.orphanRemoval({ ...LINES, ...change }, OPERATOR);

const sql = (text: string) => planning.target.run(text);
const codes = ({ forecast }: PlanView) => forecast.blockers.map(({ code }) => code);
const FILES = { kind: 'FILES', store: 'local' } as const;

async function carriedOut(made: PlanView): Promise<unknown> {
  expect([made.state, made.forecast.blockers]).toEqual(['READY', []]);
  const engine = await testEngine(planning.target);
  const [subject] = made.spec.relations;
  const run = await engine.work(
    await engine.queue({ name: subject?.name ?? '' }, made.spec.operation, { ...made.spec, throttle: FAST }),
  );
  await engine.close();
  return [run.state, run.stateReason, run.result.rowsDeleted];
}

describe('a plan to remove orphans', () => {
  it('always needs approval on PRODUCTION, also into an archive', async () => {
    planning = await makePlanning({ environment: 'PRODUCTION', sql: SHOP });
    const made = await plan({ destination: FILES });
    expect([made.state, made.forecast.impact.rows, made.forecast.impact.rowsAreExact]).toEqual([
      'NEEDS_APPROVAL',
      1_000,
      true,
    ]);
    expect(made.spec.relations.map(({ name }) => name)).toEqual(['lines', 'orders']);
    expect(made.forecast.locks.map(({ relation, mode }) => [relation, mode])).toContainEqual([
      'public.orders',
      'ROW EXCLUSIVE, and SHARE while a batch is committed',
    ]);
    expect(made.forecast.steps.map((step) => step.sql)).toContain(
      'LOCK TABLE "public"."orders" IN SHARE MODE',
    );
  });

  it.each<[string, Partial<PlanOrphanRemovalInput>, RegExp]>([
    ['a column that is not there', { columns: ['order'] }, /has no column "order"/],
    ['a key that is not there', { referencedColumns: ['ID'] }, /has no column "ID"/],
    ['no columns', { columns: [], referencedColumns: [] }, /1 to 32 columns/],
    ['lists of different length', { columns: ['order_id', 'Tenant'] }, /same length/],
    [
      'a column twice',
      { columns: ['order_id', 'order_id'], referencedColumns: ['id', 'tenant'] },
      /names a column twice/,
    ],
    ['types that cannot be equal', { columns: ['body'] }, /cannot be compared with "id"/],
  ])('refuses %s', async (_what, change, message) => {
    planning = await makePlanning({ sql: SHOP });
    await expect(plan(change)).rejects.toMatchObject({
      code: 'BAD_USER_INPUT',
      message: expect.stringMatching(message),
    });
  });

  it('is not made where the referenced rows cannot all be seen', async () => {
    planning = await makePlanning({
      role: 'role_$db',
      sql: `${SHOP}; CREATE ROLE "role_$db" LOGIN PASSWORD '$password'; GRANT CREATE ON DATABASE "$db" TO "role_$db";
        GRANT SELECT, DELETE, UPDATE ON ALL TABLES IN SCHEMA public TO "role_$db"; CREATE VIEW some_orders AS SELECT * FROM orders;
        ALTER TABLE orders ENABLE ROW LEVEL SECURITY; CREATE POLICY few ON orders USING (tenant = 1)`,
    });
    expect(codes(await plan())).toEqual(['ROW_SECURITY']);
    expect(codes(await plan({ referencedTable: 'some_orders' }))).toEqual(['NOT_A_TABLE']);
    await sql(`DROP OWNED BY "role_${planning.target.name}"; DROP ROLE "role_${planning.target.name}"`);
  });

  it('names every GRANT that its run takes, and is carried out with them', async () => {
    planning = await makePlanning({
      role: 'role_$db',
      sql: `${SHOP}; CREATE ROLE "role_$db" LOGIN PASSWORD '$password'; GRANT CREATE ON DATABASE "$db" TO "role_$db"`,
    });
    const role = `role_${planning.target.name}`;
    const blocked = await plan();
    expect(blocked.forecast.blockers.map(({ hint }) => hint?.replace(` TO "${role}";`, ''))).toEqual([
      'GRANT SELECT, DELETE, UPDATE ("id") ON "public"."lines"',
      'GRANT SELECT, MAINTAIN ON "public"."orders"',
      'GRANT SELECT ON "public"."notes"',
    ]);
    for (const { hint } of blocked.forecast.blockers) await sql(hint ?? '');
    const made = await plan();
    const { target } = planning;
    const engine = await testEngine({ ...target, address: { ...target.address, user: role } });
    const run = await engine.work(
      await engine.queue({ name: 'lines' }, made.spec.operation, { ...made.spec, throttle: FAST }),
    );
    expect([run.state, run.stateReason, run.result.rowsDeleted]).toEqual(['SUCCEEDED', null, 1_000]);
    await engine.close();
    await sql(`DROP OWNED BY "${role}"; DROP ROLE "${role}"`);
  }, 60_000);

  it('tells what a missing index of the referenced columns costs', async () => {
    planning = await makePlanning({ sql: SHOP });
    await sql(`ALTER TABLE orders DROP CONSTRAINT orders_pkey; UPDATE orders SET note = repeat('x', 1500)`);
    const made = await plan();
    expect(made.forecast.warnings.find(({ code }) => code === 'MISSING_KEY_INDEX')?.hint).toBe(
      'CREATE INDEX CONCURRENTLY ON "public"."orders" ("id");',
    );
    expect(made.spec.operation).toMatchObject({ isKey: false, constraint: null });
  });

  it('refuses orphans that rows reference, and takes those along with INCLUDE', async () => {
    planning = await makePlanning({ sql: SHOP });
    await sql('INSERT INTO notes SELECT g, g FROM generate_series(1, 30) g');
    const refused = await plan();
    expect(refused.forecast.blockers.map(({ code, message }) => [code, message])).toEqual([
      ['DEPENDENTS', expect.stringMatching(/^10 rows of public.notes reference/)],
    ]);
    const made = await plan({ dependents: 'INCLUDE', destination: { kind: 'TABLE' } });
    expect(made.forecast.effects).toEqual([
      expect.objectContaining({ table: 'notes', effect: 'DELETE_INCLUDED', rows: 10 }),
    ]);
    expect(await carriedOut(made)).toEqual(['SUCCEEDED', null, 1_010]);
    const [left] =
      await sql(`SELECT (SELECT count(*) FROM notes)::int AS notes, (SELECT count(*) FROM lines)::int AS lines,
      (SELECT count(*) FROM lines_archive)::int AS "linesKept", (SELECT count(*) FROM notes_archive)::int AS "notesKept"`);
    expect(left).toEqual({ notes: 20, lines: 2_000, linesKept: 1_000, notesKept: 10 });
  }, 60_000);

  it('takes a tree along where its key is declared, and refuses it where removing orphans would make orphans', async () => {
    planning = await makePlanning({
      sql: `CREATE TABLE nodes (id int PRIMARY KEY, parent int); INSERT INTO nodes VALUES (1, NULL), (2, 1), (3, 2), (4, 99), (5, 4), (6, 5)`,
    });
    const tree = { table: 'nodes', columns: ['parent'], referencedTable: 'nodes', limits: { maxShare: 1 } };
    const blocked = await plan(tree);
    expect(blocked.forecast.blockers.map(({ code, hint }) => [code, hint])).toEqual([
      ['DEPENDENTS', 'Declare the foreign key (NOT VALID is enough), then plan with dependents: INCLUDE.'],
    ]);
    await sql(
      'ALTER TABLE nodes ADD FOREIGN KEY (parent) REFERENCES nodes NOT VALID; CREATE INDEX ON nodes (parent)',
    );
    expect(codes(await plan(tree))).toEqual(['DEPENDENTS']);
    expect(await carriedOut(await plan({ ...tree, dependents: 'INCLUDE' }))).toEqual(['SUCCEEDED', null, 3]);
    expect(await sql('SELECT id FROM nodes ORDER BY id')).toEqual([{ id: 1 }, { id: 2 }, { id: 3 }]);
  }, 60_000);

  it('is stale when the referenced table has changed, or many orphans have come', async () => {
    planning = await makePlanning({ sql: SHOP });
    const [changed, grown] = [await plan(), await plan()];
    await sql('INSERT INTO lines SELECT g, -g FROM generate_series(10001, 12000) g');
    await expect(planning.checkFresh(grown)).rejects.toMatchObject({
      code: 'PRECONDITION_FAILED',
      message: expect.stringContaining('3000 rows match now'),
    });
    await sql('ALTER TABLE orders ADD COLUMN more int');
    await expect(planning.checkFresh(changed)).rejects.toMatchObject({
      message: expect.stringContaining('in public.orders, column more'),
    });
  });

  it('leaves held orphans out, asks the limits, and does not mind a hold on what is referenced', async () => {
    planning = await makePlanning({ sql: SHOP });
    const hold = (table: string, column: string, value: string) =>
      planning.protection.placeHold(
        { database: 'shop', schema: 'public', table, where: { column, op: 'EQ', value }, reason: 'a case' },
        principal('ada', { roles: ['ADMIN'] }),
      );
    await hold('lines', 'id', '1');
    await hold('orders', 'id', '1');
    const made = await plan();
    expect([codes(made), made.forecast.warnings.map(({ code }) => code)]).toEqual([
      [],
      expect.arrayContaining(['HOLD_EXCLUDED']),
    ]);
    await planning.checkFresh(made);
    await hold('lines', 'id', '3');
    expect(codes(await plan())).toEqual(['HOLD']);
    expect(codes(await plan({ limits: { maxRows: 10 } }))).toContain('ROW_LIMIT');
  });
});
