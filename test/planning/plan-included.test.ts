import { afterAll, beforeAll, expect, it } from '@jest/globals';
import type { RowFilterInput } from '../../src/domain/filter.ts';
import type { PlanArchiveInput } from '../../src/domain/plan-inputs.ts';
import type { PlanView } from '../../src/store/plans.ts';
import { makeShop } from '../support/shop-with-everything.ts';
import { makePlanning, OPERATOR, type Planning } from './planning.ts';

let planning: Planning;
beforeAll(async () => {
  planning = await makePlanning();
  await makeShop(planning.target);
});
afterAll(() => planning.close());

const plan = (
  destination: PlanArchiveInput['destination'],
  change: Partial<PlanArchiveInput> = {},
): Promise<PlanView> =>
  planning.plans.archive(
    {
      database: 'shop',
      schema: 'public',
      table: 'customers',
      where: { column: 'old', op: 'EQ', value: 'true' },
      dependents: 'INCLUDE',
      limits: { maxShare: 1 },
      destination,
      ...change,
    },
    OPERATOR,
  );

const codes = ({ forecast }: PlanView) => forecast.blockers.map(({ code }) => code);

it.each([{ kind: 'FILES' }, { kind: 'TABLE' }] as const)(
  'an archive to $kind takes along what references its rows, in partitioned tables too',
  async (destination) => {
    const drawn = await plan(destination);
    expect([codes(drawn), drawn.state]).toEqual([[], 'READY']);
    const [gone] = await planning.target.run(
      "SELECT count(*)::int AS n FROM gone WHERE NOT (t = 'customers' AND key::int % 4 = 1)",
    );
    expect(drawn.spec.included).toBe(gone?.['n']);
    expect(drawn.spec.relations.map(({ name }) => name).sort()).toEqual([
      'Line notes',
      'customers',
      'lines',
      'orders',
      'papers',
      'tasks',
    ]);
    expect(drawn.forecast.steps.map(({ description }) => description).join('\n')).toMatch(
      /Lock, archive and delete the rows of public\.lines that reference/,
    );
    await planning.checkFresh(drawn);
  },
);

it('is blocked where a place for the rows of another table does not fit', async () => {
  await planning.target.run('CREATE TABLE lines_archive (id int)');
  const drawn = await plan({ kind: 'TABLE' });
  expect(codes(drawn)).toContain('ARCHIVE_TABLE_INCOMPATIBLE');
  expect(drawn.forecast.blockers[0]?.message).toContain('public.lines_archive');
  await planning.target.run('DROP TABLE lines_archive');
});

it('is blocked where a row that loses its reference could not be named', async () => {
  await planning.target.run(
    'CREATE TABLE loose (customer int REFERENCES customers ON DELETE SET NULL); INSERT INTO loose VALUES (1)',
  );
  expect(codes(await plan({ kind: 'FILES' }))).toEqual(['REFERENCE_UNIDENTIFIED']);
  await planning.target.run('DROP TABLE loose');
});

it('is blocked where a key leads to one partition alone', async () => {
  await planning.target.run('CREATE TABLE stray (line int REFERENCES lines_low ON DELETE CASCADE)');
  expect(codes(await plan({ kind: 'FILES' }))).toEqual(['PARTITION_REFERENCED']);
  await planning.target.run('DROP TABLE stray');
});

const ADMIN = { ...OPERATOR, roles: ['ADMIN'] } as const;

const holdOnOrders = (where: RowFilterInput | null) =>
  planning.protection.placeHold(
    { database: 'shop', schema: 'public', table: 'orders', where, reason: 'audit' },
    ADMIN,
  );

it('is blocked while a hold is on rows that would go along, or that cannot be told from them', async () => {
  for (const where of [
    null,
    { column: 'id', op: 'EQ', value: '8' },
    { column: 'total', op: 'LT', value: '0' },
  ] as const) {
    await planning.target.run('UPDATE orders SET total = NULL WHERE id = 8');
    const hold = await holdOnOrders(where);
    expect(codes(await plan({ kind: 'FILES' }))).toEqual(['HOLD']);
    await planning.protection.releaseHold(hold.id, 'done', ADMIN);
    expect(codes(await plan({ kind: 'FILES' }))).toEqual([]);
  }
});

it('goes where a hold is on other rows of such a table, and has each batch look again', async () => {
  const [other] = await planning.target.run(
    `SELECT id::text FROM orders WHERE region || '/' || id NOT IN (SELECT key FROM gone WHERE t = 'orders') ORDER BY id LIMIT 1`,
  );
  const where = { column: 'id', op: 'EQ', value: String(other?.['id']) } as const;
  const hold = await holdOnOrders(where);
  const drawn = await plan({ kind: 'FILES' });
  expect(codes(drawn)).toEqual([]);
  expect(drawn.forecast.warnings.map(({ code }) => code)).toContain('HOLD_BESIDE');
  const orders = drawn.spec.relations.find(({ name }) => name === 'orders');
  expect(drawn.spec).toMatchObject({
    holds: [hold.id],
    heldBeside: [{ hold: hold.id, oid: orders?.oid, filter: where, reason: 'audit' }],
  });
  await planning.checkFresh(drawn);
  await planning.protection.releaseHold(hold.id, 'done', ADMIN);
});
