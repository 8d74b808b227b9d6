import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { RowFilter } from '../../src/domain/filter.ts';
import { readRelation, type Relation } from '../../src/target/catalog.ts';
import { checkFilterValues, compileFilter } from '../../src/target/row-filter.ts';
import type { Session } from '../../src/target/session.ts';
import { ident, type Sql, sql, toBoundStatement, toText } from '../../src/target/sql.ts';
import { availableVersions, testDatabase, type TestDatabase } from '../support/postgres.ts';

/** A column of each type with one value that a row has, and another. */
const TYPES: readonly [type: string, held: string, other: string][] = [
  ['bigint', '9007199254740993', '9007199254740992'],
  ['smallint', '1', '2'],
  ['numeric(10,2)', '1.50', '1.51'],
  ['real', '1.5', '1.6'],
  ['double precision', '1e300', 'NaN'],
  ['money', '1.50', '1.51'],
  ['boolean', 'true', 'false'],
  ['text', 'it\'s \\ "x"', 'x'],
  ['text COLLATE "C"', 'a', 'b'],
  ['character varying(3)', 'abc', 'abcd'],
  ['character(5)', 'ab', 'abc'],
  ['"char"', 'a', 'b'],
  ['name', 'a', 'b'],
  ['bytea', '\\xdead', '\\xdeae'],
  ['bit(3)', '101', '100'],
  ['bit varying(8)', '101', '1010'],
  ['uuid', '00000000-0000-4000-8000-000000000000', '00000000-0000-4000-8000-000000000001'],
  ['date', '2020-02-29', '2020-03-01'],
  ['timestamp(3)', '2020-01-01T00:00:00.123Z', '2020-01-01T00:00:00.124Z'],
  ['timestamptz', '2020-01-01T00:00:00.123456+02:00', '2020-01-01T00:00:00.123457+02:00'],
  ['time', '10:00', '10:01'],
  ['timetz', '10:00+02', '10:00+03'],
  ['interval', '1 day', '25 hours'],
  ['inet', '10.0.0.1', '10.0.0.2'],
  ['cidr', '10.0.0.0/8', '10.0.0.0/16'],
  ['macaddr', '00:00:00:00:00:01', '00:00:00:00:00:02'],
  ['jsonb', '{"a": 1}', '{"a": 2}'],
  ['tsvector', "'a'", "'b'"],
  ['int4range', '[1,3)', '[1,4)'],
  ['int4multirange', '{[1,3)}', '{[1,4)}'],
  ['integer[]', '{1,2}', '{1,3}'],
  ['varchar(5)[]', '{"a,b"}', '{a,b}'],
  ['oid', '1', '2'],
  ['pg_lsn', '0/1', '0/2'],
  ['xid8', '1', '2'],
  ['s.mood', 'sad', 'glad'],
  ['s.price', '2.00', '3'],
  ['s.feeling', 'sad', 'glad'],
  ['ext.citext', 'ABC', 'abd'],
];
const NOT_COMPARABLE = ['json', 'xml', 'point', 'polygon', 'json[]', 's.pair'];

const column = (i: number) => `c "${i}`;

async function prepare(database: TestDatabase): Promise<void> {
  const columns = TYPES.map(([type], i) => `${toText(ident(column(i)))} ${type}`);
  const others = NOT_COMPARABLE.map((type, i) => `n${i} ${type}`);
  const values = TYPES.map(([, held]) => toText(sql`${held}`));
  await database.run(`
    CREATE SCHEMA s; CREATE SCHEMA ext; CREATE EXTENSION citext SCHEMA ext;
    CREATE TYPE s.mood AS ENUM ('sad', 'glad'); CREATE TYPE s.pair AS (a int, b int);
    CREATE DOMAIN s.price AS numeric(10,2) CHECK (value > 0); CREATE DOMAIN s.feeling AS s.mood;
    CREATE TABLE s."All types" (${[...columns, ...others].join(', ')});
    SET TimeZone = 'UTC'; SET lc_monetary = 'C';
    INSERT INTO s."All types" VALUES (${values.join(', ')}${',NULL'.repeat(others.length - 1)}, ROW(NULL, 1));
    INSERT INTO s."All types" DEFAULT VALUES;`);
}

describe.each(availableVersions())('filters on PostgreSQL %i', (version) => {
  let database: TestDatabase;
  let session: Session;
  let relation: Relation;

  beforeAll(async () => {
    database = await testDatabase(version);
    await prepare(database);
    session = await database.session();
    relation = (await session.transaction(() => readRelation(session, 's', 'All types')))!;
  });
  afterAll(() => database.drop());

  const statement = (filter: RowFilter): Sql =>
    sql`SELECT pg_catalog.count(*)::text AS count FROM ONLY ${ident('s', 'All types')} AS t WHERE ${compileFilter(filter, relation, ident('t'))}`;

  /** How many rows, which must be the same by parameters, by settings and by constants. */
  const count = (filter: RowFilter): Promise<number> =>
    session.transaction(async () => {
      const { count: byParameters } = await session.one<{ count: string }>(statement(filter));
      const bound = toBoundStatement(statement(filter));
      if (bound.settings !== '') await session.script(bound.settings);
      const [bySettings] = await session.script(bound.text);
      const [byConstants] = await session.script(toText(statement(filter)));
      expect([bySettings?.rows[0]?.['count'], byConstants?.rows[0]?.['count']]).toEqual([
        byParameters,
        byParameters,
      ]);
      return Number(byParameters);
    });

  it.each(TYPES.map((type, i) => [type[0], i] as const))(
    'finds exactly the row by a value of type %s',
    async (_type, i) => {
      const [, held, other] = TYPES[i]!;
      await checkFilterValues(session, { column: column(i), op: 'EQ', value: held }, relation);
      const answers = [
        await count({ column: column(i), op: 'EQ', value: held }),
        await count({ column: column(i), op: 'EQ', value: other }),
        await count({ column: column(i), op: 'NE', value: other }),
        await count({ column: column(i), op: 'IN', values: [other, held] }),
        await count({ column: column(i), op: 'NOT_IN', values: [other] }),
        await count({ column: column(i), op: 'IS_NULL' }),
        await count({
          any: [
            { column: column(i), op: 'LE', value: held },
            { not: { column: column(i), op: 'GE', value: held } },
          ],
        }),
      ];
      expect(answers).toEqual([1, 0, 1, 1, 1, 1, 1]);
    },
  );

  it.each(NOT_COMPARABLE.map((type, i) => [type, `n${i}`]))(
    'refuses to compare values of type %s',
    (_type, name) => {
      expect(() => compileFilter({ column: name, op: 'EQ', value: 'x' }, relation)).toThrow(
        /cannot be compared/,
      );
      expect(() => compileFilter({ column: name, op: 'IN', values: ['x'] }, relation)).toThrow(
        /cannot be compared/,
      );
    },
  );

  it('counts a composite value of NULL fields as a value', async () => {
    const filter = { column: `n${NOT_COMPARABLE.length - 1}`, op: 'IS_NOT_NULL' } as const;
    expect(await count(filter)).toBe(1);
  });

  it('leaves out NULL by NE and NOT_IN, inside not too', async () => {
    const unequal = { column: column(0), op: 'NE', value: '1' } as const;
    expect([await count(unequal), await count({ not: unequal })]).toEqual([1, 0]);
  });

  it('names a column that is not there, whatever its name', () => {
    expect(() => compileFilter({ column: 'x"; DROP TABLE t; --', op: 'IS_NULL' }, relation)).toThrow(
      /has no column/,
    );
  });

  it.each([
    ['bigint', '9223372036854775808', /is not a valid bigint/],
    ['bigint', 'x', /is not a valid bigint/],
    ['s.mood', 'furious', /is not a valid s\.mood/],
    ['date', '2020-02-31', /is not a valid/],
    ['date', 'yesterday', /must be a literal/],
    ['timestamptz', 'now', /must be a literal/],
    ['timestamptz', '2999-01-01', /lies in the future/],
    ['timestamptz', 'infinity', /is infinite/],
    ['timestamp(3)', '2020-01-01T00:00:00+05:00', /has a time zone/],
    ['timestamp(3)', '2020-01-01 00:00:00 America/New_York', /has a time zone/],
    ['date', '2020-01-01T23:00:00-05:00', /has a time zone/],
  ])('refuses for %s the value %s without a word of PostgreSQL', async (type, value, message) => {
    const i = TYPES.findIndex(([name]) => name === type);
    const checked = checkFilterValues(session, { column: column(i), op: 'LT', value }, relation);
    await expect(checked).rejects.toMatchObject({
      code: 'BAD_USER_INPUT',
      message: expect.stringMatching(message),
    });
  });
});

describe('filters', () => {
  it('mean the same when a user plants an operator or a type before those of PostgreSQL', async () => {
    const database = await testDatabase();
    await database.run(`
      CREATE SCHEMA trap; CREATE TABLE trap.t (id integer, note text); INSERT INTO trap.t VALUES (1, 'a'), (2, 'b');
      CREATE FUNCTION trap.yes(integer, integer) RETURNS boolean LANGUAGE sql AS 'SELECT true';
      CREATE OPERATOR trap.= (LEFTARG = integer, RIGHTARG = integer, FUNCTION = trap.yes);
      CREATE DOMAIN trap.text AS integer;
      ALTER DATABASE ${database.name} SET search_path = trap, pg_catalog;`);
    const session = await database.session();
    const relation = (await readRelation(session, 'trap', 't'))!;
    const filter = compileFilter(
      {
        all: [
          { column: 'id', op: 'EQ', value: '1' },
          { column: 'note', op: 'EQ', value: 'a' },
        ],
      },
      relation,
    );
    const rows = await session.query(sql`SELECT id FROM trap.t WHERE ${filter}`);
    expect(rows).toEqual([{ id: 1 }]);
    expect((await session.query(sql`SELECT id FROM trap.t WHERE id = 1`)).length).toBe(2);
    await database.drop();
  });

  it('can be answered by an index', async () => {
    const database = await testDatabase();
    await database.run(`
      CREATE TYPE mood AS ENUM ('sad', 'glad'); CREATE DOMAIN feeling AS mood;
      CREATE TABLE t (at timestamptz, v varchar(10), f feeling);
      INSERT INTO t SELECT now() - i * interval '1 h', i::text, 'sad' FROM generate_series(1, 20000) i;
      INSERT INTO t VALUES (now(), 'x', 'glad');
      CREATE INDEX t_at ON t (at); CREATE INDEX t_v ON t (v); CREATE INDEX t_f ON t (f); ANALYZE t;`);
    const session = await database.session();
    const relation = (await readRelation(session, 'public', 't'))!;
    const plans = [];
    for (const filter of [
      { column: 'at', op: 'LT', value: '2000-01-01' },
      { column: 'v', op: 'IN', values: ['7', '8'] },
      { column: 'f', op: 'EQ', value: 'glad' },
    ] as const) {
      plans.push(
        JSON.stringify(
          await session.query(sql`EXPLAIN SELECT FROM t WHERE ${compileFilter(filter, relation)}`),
        ),
      );
    }
    expect(plans).toEqual([
      expect.stringContaining('t_at'),
      expect.stringContaining('t_v'),
      expect.stringContaining('t_f'),
    ]);
    await database.drop();
  });
});
