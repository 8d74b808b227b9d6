import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { canonicalFilter, type RowFilterInput } from '../../src/domain/filter.ts';
import { readRelation, type Relation } from '../../src/target/catalog.ts';
import { checkFilterValues, compileFilter } from '../../src/target/row-filter.ts';
import type { Session } from '../../src/target/session.ts';
import { ident, sql, toText } from '../../src/target/sql.ts';
import { availableVersions, testDatabase, type TestDatabase } from '../support/postgres.ts';

type Values = readonly [low: string, middle: string, high: string];

const OIDS: Values = ['1247', '1249', '1259'];

/** Three values of each built-in type, in the order of the type where it has one. */
const ORDERED: Readonly<Record<string, Values>> = {
  bool: ['false', 'false', 'true'],
  bytea: ['\\x00', '\\x01ff', '\\xff'],
  char: ['A', 'a', 'z'],
  name: ['A', 'a', 'z'],
  int8: ['-9223372036854775808', '9007199254740993', '9223372036854775807'],
  int2: ['-32768', '0', '32767'],
  int4: ['-1', '0', '2147483647'],
  text: ['', `it's \\ "x" {a,b} $1`, '☃'],
  varchar: ['a', 'a,b', 'b'],
  bpchar: ['a', 'ab', 'b'],
  oid: ['1', '2', '4294967295'],
  tid: ['(0,1)', '(0,2)', '(1,1)'],
  float4: ['-Infinity', '0.1', 'NaN'],
  float8: ['-1e300', '0.1', 'NaN'],
  numeric: ['-1', '0.10', 'NaN'],
  money: ['-1.00', '2.50', '10'],
  macaddr: ['00:00:00:00:00:01', '00:00:00:00:00:02', 'ff:00:00:00:00:00'],
  macaddr8: ['00:00:00:00:00:00:00:01', '00:00:00:00:00:00:00:02', 'ff:00:00:00:00:00:00:00'],
  inet: ['10.0.0.1', '10.0.0.2/24', '::1'],
  cidr: ['10.0.0.0/8', '10.0.0.0/16', '::/0'],
  date: ['0044-03-15 BC', '2020-02-29', '2021-01-01'],
  time: ['00:00', '10:00:00.000001', '24:00'],
  timetz: ['10:00+02', '10:00+00', '10:00-02'],
  timestamp: ['0001-01-01 BC', '2020-01-01 00:00:00.000001', '2021-01-01'],
  timestamptz: ['2020-01-01 00:00+02', '2020-01-01 00:00+00', '2021-01-01 00:00Z'],
  interval: ['-1 day', '23:59:59', '1 mon'],
  bit: ['0', '0', '1'],
  varbit: ['0', '01', '1'],
  uuid: [
    '00000000-0000-0000-0000-000000000000',
    '10000000-0000-4000-8000-000000000000',
    'ffffffff-ffff-ffff-ffff-ffffffffffff',
  ],
  jsonb: ['"a"', '{"a": 1, "b": null}', '{"a": 2, "b": null}'],
  tsvector: ["'a'", "'b'", "'a' 'b'"],
  tsquery: ["'a'", "'a' & 'b'", "'a' & 'c'"],
  pg_lsn: ['0/0', '0/1', 'FFFFFFFF/FFFFFFFF'],
  xid8: ['0', '1', '18446744073709551615'],
  int4range: ['empty', '[1,3)', '[1,4)'],
  int8range: ['empty', '[1,3)', '(,)'],
  numrange: ['empty', '[1.5,3)', '[2,)'],
  daterange: ['empty', '[2020-01-01,2020-02-01)', '[2021-01-01,)'],
  tsrange: ['empty', '[2020-01-01,2020-02-01)', '[2021-01-01,)'],
  tstzrange: ['empty', '[2020-01-01 00:00Z,2020-02-01 00:00Z)', '[2021-01-01 00:00Z,)'],
  int4multirange: ['{}', '{[1,3)}', '{[1,3),[5,6)}'],
  int8multirange: ['{}', '{[1,3)}', '{[1,3),[5,6)}'],
  nummultirange: ['{}', '{[1.5,3)}', '{[2,3)}'],
  datemultirange: ['{}', '{[2020-01-01,2020-02-01)}', '{[2021-01-01,)}'],
  tsmultirange: ['{}', '{[2020-01-01,2020-02-01)}', '{[2021-01-01,)}'],
  tstzmultirange: ['{}', '{["2020-01-01 00:00Z","2020-02-01 00:00Z")}', '{["2021-01-01 00:00Z",)}'],
  oidvector: ['', '1 2', '1 2 3'],
  regclass: OIDS,
  regcollation: OIDS,
  regconfig: OIDS,
  regdictionary: OIDS,
  regnamespace: OIDS,
  regoper: OIDS,
  regoperator: OIDS,
  regproc: OIDS,
  regprocedure: OIDS,
  regrole: OIDS,
  regtype: OIDS,
  _int4: ['{}', '{1,NULL}', '{1,2}'],
  _text: ['{""}', '{"a,b","\\"\\\\"}', '{b}'],
};

/** Equal or not, and nothing else. */
const UNORDERED: Readonly<Record<string, Values>> = {
  xid: ['1', '2', '4294967295'],
  cid: ['1', '2', '3'],
  aclitem: ['=r/postgres', '=w/postgres', '=a/postgres'],
};

/** Of one value and another nothing says whether they are the same; geometric operators named = compare areas and the like. */
const INCOMPARABLE: Readonly<Record<string, string>> = {
  json: '{"a":1}',
  xml: '<a/>',
  jsonpath: '$.a',
  point: '(1,2)',
  lseg: '[(0,0),(1,1)]',
  path: '[(0,0),(1,1)]',
  box: '(1,1),(0,0)',
  polygon: '((0,0),(1,1))',
  line: '{1,2,3}',
  circle: '<(0,0),1>',
  refcursor: 'c',
  txid_snapshot: '1:2:',
  pg_snapshot: '1:2:',
};

/** No value can be written down; they are in system catalogs only. */
const WITHOUT_INPUT = [
  'gtsvector',
  'pg_node_tree',
  'pg_ndistinct',
  'pg_dependencies',
  'pg_mcv_list',
  'pg_brin_bloom_summary',
  'pg_brin_minmax_multi_summary',
  'int2vector',
];

const MOMENTS = ['date', 'timestamp', 'timestamptz'];

const COMPARISONS = { EQ: '=', NE: '<>', LT: '<', LE: '<=', GT: '>', GE: '>=' } as const;

const valued: Readonly<Record<string, Values>> = { ...ORDERED, ...UNORDERED };

const TYPES = [...Object.keys(valued), ...Object.keys(INCOMPARABLE)];

async function prepare(database: TestDatabase): Promise<void> {
  const named = TYPES.map((type) => `"${type}" pg_catalog."${type}"`);
  const rows = [0, 1, 2].map((i) => {
    const values = TYPES.map((type) => toText(sql`${valued[type]?.[i] ?? INCOMPARABLE[type] ?? null}`));
    return `(${i}, ${values.join(', ')})`;
  });
  await database.run(`
    SET TimeZone = 'UTC'; SET lc_monetary = 'C'; DO $$ BEGIN CREATE ROLE postgres; EXCEPTION WHEN duplicate_object THEN NULL; END $$;
    CREATE TABLE every (number int, ${named.join(', ')});
    INSERT INTO every VALUES ${rows.join(', ')}; INSERT INTO every (number) VALUES (3)`);
}

describe.each([...new Set([availableVersions()[0] ?? 18, 18 as const])])(
  'filters on every built-in type of PostgreSQL %i',
  (version) => {
    let database: TestDatabase;
    let session: Session;
    let relation: Relation;

    beforeAll(async () => {
      database = await testDatabase(version);
      await prepare(database);
      session = await database.session();
      relation = (await session.transaction(() => readRelation(session, 'public', 'every')))!;
    });
    afterAll(() => database.drop());

    const numbers = async (condition: string): Promise<unknown> => {
      const [found] = await session.transaction(() =>
        session.script(
          `SELECT coalesce(string_agg(number::text, '' ORDER BY number), '') AS numbers FROM every WHERE ${condition}`,
        ),
      );
      return found?.rows[0]?.['numbers'];
    };

    /** As a plan takes the filter, and as batches write it. */
    async function found(input: RowFilterInput): Promise<unknown> {
      const { filter } = canonicalFilter(input, new Date());
      await checkFilterValues(session, filter, relation);
      return numbers(toText(compileFilter(filter, relation)));
    }

    const refused = async (input: RowFilterInput) =>
      expect(found(input)).rejects.toMatchObject({ code: 'BAD_USER_INPUT' });

    it('leave no type out', async () => {
      const types = await database.run(`
      SELECT typname FROM pg_type WHERE typnamespace = 'pg_catalog'::regnamespace AND typtype IN ('b', 'r', 'm')
         AND (typcategory <> 'A' OR typname IN ('int2vector', 'oidvector')) ORDER BY 1`);
      const known = new Set([...TYPES, ...WITHOUT_INPUT]);
      expect(types.map(({ typname }) => typname as string).filter((name) => !known.has(name))).toEqual([]);
      expect(types.length).toBeGreaterThan(60);
    });

    it.each(Object.keys(valued))('find by %s what SQL written by hand finds', async (column) => {
      const [low, middle, high] = valued[column] as Values;
      const type = toText(ident('pg_catalog', column));
      const literal = (value: string) => `${toText(sql`${value}`)}::${type}`;
      const name = toText(ident(column));
      for (const [op, sign] of Object.entries(COMPARISONS) as [keyof typeof COMPARISONS, string][]) {
        if (column in UNORDERED && op !== 'EQ' && op !== 'NE') {
          await refused({ column, op, value: middle });
          continue;
        }
        const byHand =
          column in UNORDERED && op === 'NE'
            ? `NOT (${name} = ${literal(middle)})`
            : `${name} ${sign} ${literal(middle)}`;
        expect([op, await found({ column, op, value: middle })]).toEqual([op, await numbers(byHand)]);
        expect(await found({ not: { column, op, value: middle } })).toBe(await numbers(`NOT (${byHand})`));
      }
      const list = `(${name} = ${literal(low)} OR ${name} = ${literal(high)})`;
      expect(await found({ column, op: 'IN', values: [low, high] })).toBe(await numbers(list));
      expect(await found({ column, op: 'NOT_IN', values: [low, high] })).toBe(await numbers(`NOT ${list}`));
      expect(
        await found({
          any: [
            { column, op: 'IS_NULL' },
            { column, op: 'EQ', value: high },
          ],
        }),
      ).toBe(await numbers(`${name} IS NULL OR ${name} = ${literal(high)}`));
      expect(await found({ column, op: 'IS_NOT_NULL' })).toBe('012');
    });

    it.each(Object.keys(INCOMPARABLE))('ask of %s no more than whether it is there', async (column) => {
      for (const op of ['EQ', 'NE', 'LT', 'LE', 'GT', 'GE'] as const)
        await refused({ column, op, value: INCOMPARABLE[column] ?? '' });
      await refused({ column, op: 'IN', values: [INCOMPARABLE[column] ?? ''] });
      await refused({ column, op: 'NOT_IN', values: [INCOMPARABLE[column] ?? ''] });
      expect([await found({ column, op: 'IS_NULL' }), await found({ column, op: 'IS_NOT_NULL' })]).toEqual([
        '3',
        '012',
      ]);
    });

    it('find nothing to be older than an age but moments', async () => {
      for (const column of MOMENTS)
        expect([column, await found({ column, op: 'OLDER_THAN', age: 'P1D' })]).toEqual([column, '012']);
      for (const column of TYPES)
        if (!MOMENTS.includes(column)) await refused({ column, op: 'OLDER_THAN', age: 'P1D' });
    });
  },
);
