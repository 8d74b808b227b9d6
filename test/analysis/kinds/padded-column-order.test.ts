import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { paddedColumnOrder } from '../../../src/analysis/kinds/padded-column-order.ts';
import { availableVersions, type TestDatabase, testDatabase } from '../../support/postgres.ts';
import { ask, inTurn } from '../support.ts';

const VERSIONS = availableVersions().filter((version) => version === 14 || version === 18);
const ROWS = 150_000;

/** Columns in a bad order, with what fills them. */
const SHAPES: Readonly<Record<string, readonly (readonly [column: string, value: string])[]>> = {
  flags: [
    ['a bool', 'g % 2 = 0'],
    ['b bigint', 'g'],
    ['c bool', 'g % 3 = 0'],
    ['d timestamptz', 'now()'],
    ['e smallint', '(g % 9)::int2'],
    ['f double precision', 'g'],
  ],
  with_text: [
    ['a text', `CASE WHEN g % 3 = 0 THEN 'x' ELSE repeat('y', g % 20) END`],
    ['b bigint', 'g'],
    ['c char(3)', `'abc'`],
    ['d bigint', 'g * 2'],
    ['e int', 'g'],
    ['f text', 'md5(g::text)'],
    ['h numeric', 'g * 1.25'],
    ['i timestamptz', 'now()'],
  ],
  with_nulls: [
    ['a smallint', 'CASE WHEN g % 4 <> 0 THEN 1 END'],
    ['b bigint', 'CASE WHEN g % 5 <> 0 THEN g END'],
    ['c smallint', 'CASE WHEN g % 5 <> 0 THEN (g % 100)::int2 END'],
    ['d bigint', 'g'],
    ['e bool', 'CASE WHEN g % 3 = 0 THEN true END'],
    ['f bigint', 'CASE WHEN g % 7 <> 0 THEN g END'],
    ['h int', 'g'],
    ['i timestamptz', 'now()'],
  ],
  odd_widths: [
    ['a timetz', 'now()::timetz'],
    ['b macaddr', `'08:00:2b:01:02:03'`],
    ['c bigint', 'g'],
    ['d uuid', `'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'`],
    ['e bigint', 'g'],
    ['f bool', 'true'],
    ['h interval', `interval '1 day'`],
  ],
};

const create = (name: string, columns: readonly (readonly [string, string])[]) =>
  `CREATE TABLE ${name} (${columns.map(([column]) => column).join(', ')});
   INSERT INTO ${name} SELECT ${columns.map(([, value]) => value).join(', ')} FROM generate_series(1, ${ROWS}) g`;

describe.each(VERSIONS)('PADDED_COLUMN_ORDER on PostgreSQL %i', (version) => {
  let database: TestDatabase;
  const role = `padded_monitor_${version}`;
  const sizeOf = async (name: string) =>
    Number((await database.run(`SELECT pg_relation_size('${name}') AS bytes`))[0]!['bytes']);
  const found = async () => (await ask(paddedColumnOrder, database)).faults;

  beforeAll(async () => {
    database = await testDatabase(version);
    await inTurn(
      database,
      // In the best order already; too small to matter; nothing but varying widths.
      `CREATE TABLE tidy AS SELECT g::bigint a, now() b, g c, (g % 9)::int2 d, true e, md5(g::text) f FROM generate_series(1, ${ROWS}) g;
       CREATE TABLE small AS SELECT true a, g::bigint b, true c, g::bigint d FROM generate_series(1, 5000) g;
       CREATE TABLE texts AS SELECT md5(g::text) a, 'x'::text b, repeat('z', 200) c FROM generate_series(1, ${ROWS}) g;
       CREATE ROLE ${role}; GRANT pg_monitor TO ${role}`,
      'VACUUM ANALYZE',
    );
  });

  afterAll(async () => {
    await database.run(`DROP ROLE ${role}`);
    await database.drop();
  });

  it('is silent where the order is good, or little would be gained', async () => {
    expect(await ask(paddedColumnOrder, database)).toEqual({ faults: [], unsure: [] });
  });

  it.each(Object.entries(SHAPES))('tells what %s would take in a better order', async (name, columns) => {
    await inTurn(database, create(name, columns), `VACUUM ANALYZE ${name}`);
    const fault = (await found()).find(({ table }) => table === name)!;
    const order = fault.evidence['betterOrder'] as string[];
    const better = order.map((wanted) => columns.find(([column]) => column.startsWith(`${wanted} `))!);
    await inTurn(database, create(`${name}_better`, better), `VACUUM ANALYZE ${name}_better`);
    const [now, then] = [await sizeOf(name), await sizeOf(`${name}_better`)];
    expect(now - then).toBeGreaterThan(1024 * 1024);
    expect(Math.abs(fault.wastedBytes! - (now - then)) / now).toBeLessThan(0.03);
    const tables = (await found()).map(({ table }) => table);
    expect(tables).toContain(name);
    expect(tables).not.toContain(`${name}_better`);
  });

  it('adds up partitions under their table, and leaves out columns that were dropped', async () => {
    await inTurn(
      database,
      `CREATE TABLE "Log" (gone text, a bool, b bigint, c bool, d bigint) PARTITION BY RANGE (b);
       CREATE TABLE log_1 PARTITION OF "Log" FOR VALUES FROM (0) TO (60001); CREATE TABLE log_2 PARTITION OF "Log" FOR VALUES FROM (60001) TO (160001);
       ALTER TABLE "Log" DROP gone; INSERT INTO "Log" SELECT true, g, true, g FROM generate_series(1, 160000) g`,
      'VACUUM ANALYZE',
    );
    const fault = (await found()).find(({ table }) => table?.toLowerCase().startsWith('log'))!;
    expect(fault).toMatchObject({ table: 'Log', rows: 160_000, remedy: null });
    expect(fault.evidence).toMatchObject({
      betterOrder: ['b', 'd', 'a', 'c'],
      rowBytes: { now: 56, better: 48 },
    });
  });

  it('admits that it cannot tell without the right to read a table whose widths vary', async () => {
    const { faults, unsure } = await ask(paddedColumnOrder, database, { role });
    expect(unsure.map(({ table }) => table)).toContain('with_text');
    expect(unsure.map(({ table }) => table)).not.toContain('tidy');
    expect(faults.map(({ table }) => table)).not.toContain('with_text');
  });

  it('is silent after the tables were made anew', async () => {
    await inTurn(database, `DROP TABLE "Log", ${Object.keys(SHAPES).join(', ')}`);
    expect(await ask(paddedColumnOrder, database)).toEqual({ faults: [], unsure: [] });
  });
});
