import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { RowFilterInput } from '../../src/domain/filter.ts';
import { makePlanning, OPERATOR, type Planning } from './planning.ts';

let planning: Planning;
beforeAll(async () => {
  planning = await makePlanning({
    sql: `CREATE TABLE visits (id int PRIMARY KEY, page text, at timestamptz NOT NULL);
      INSERT INTO visits SELECT g, md5(g::text), '2024-01-01'::timestamptz FROM generate_series(1, 2000) g; ANALYZE`,
  });
});
afterAll(() => planning.close());

const ID = { column: 'id', op: 'EQ', value: '7' } as const;

/** All of the table, or nearly all: by meaning, by the values that happen to be there, by what is not. */
const TAUTOLOGIES: Readonly<Record<string, RowFilterInput>> = {
  'NULL or not': {
    any: [
      { column: 'page', op: 'IS_NULL' },
      { column: 'page', op: 'IS_NOT_NULL' },
    ],
  },
  'a value or another': { any: [ID, { not: ID }] },
  'not what cannot be': {
    not: {
      all: [
        { column: 'id', op: 'LT', value: '0' },
        { column: 'id', op: 'GT', value: '0' },
      ],
    },
  },
  'above the least of the type': { column: 'id', op: 'GE', value: '-2147483648' },
  'unequal to what nobody has': { column: 'page', op: 'NE', value: '' },
  'none of a list that nobody has': { column: 'id', op: 'NOT_IN', values: ['-1', '-2'] },
  'older than an hour, as all are': { column: 'at', op: 'OLDER_THAN', age: 'PT1H' },
  'all but one': { not: ID },
};

describe('a filter that finds (nearly) all rows', () => {
  it.each(Object.entries(TAUTOLOGIES))('is stopped by its share: %s', async (_name, where) => {
    const input = {
      database: 'shop',
      schema: 'public',
      table: 'visits',
      where,
      dependents: 'REFUSE',
    } as const;
    const { state, forecast } = await planning.plans.purge(input, OPERATOR);
    expect([state, forecast.blockers.map(({ code }) => code)]).toEqual(['BLOCKED', ['SHARE_LIMIT']]);
    expect(forecast.impact.rows).toBeGreaterThanOrEqual(1_999);
    const counted = await planning.plans.purge({ ...input, limits: { maxShare: 1, maxRows: 500 } }, OPERATOR);
    expect(counted.forecast.blockers.map(({ code }) => code)).toEqual(['ROW_LIMIT']);
  });
});
