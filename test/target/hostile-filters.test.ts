import { describe, expect, it } from '@jest/globals';
import { canonicalFilter, type RowFilter } from '../../src/domain/filter.ts';
import { readRelation } from '../../src/target/catalog.ts';
import { checkFilterValues, compileFilter } from '../../src/target/row-filter.ts';
import { sql, toBoundStatement, toText } from '../../src/target/sql.ts';
import { testDatabase } from '../support/postgres.ts';

/** What has broken quoting, arrays, settings or patterns somewhere before. */
const HOSTILE = [
  "'; DROP TABLE hostile; --",
  "\\'; SELECT 1; --",
  '\\',
  '\\\\',
  "''",
  '"',
  '{',
  '}',
  '{}',
  '{a,b}',
  ',',
  'NULL',
  'null',
  '$1',
  '$$',
  '%',
  '_',
  ' ',
  '\t',
  '\n',
  '\r\n',
  '\\N',
  '\\.',
  '\u0001',
  '\u007f',
  '\u202e',
  '☃ 𝄞 é e\u0301',
  '\ud83d\udc69\u200d\ud83d\udc69',
  '0x00',
  'E\\\\x',
  `${'x'.repeat(9_999)}'`,
];

describe('filters with hostile values', () => {
  it('find exactly the rows that have them, by parameters, settings and constants', async () => {
    const database = await testDatabase();
    await database.run('CREATE TABLE hostile (id int, t text, a text[], v varchar)');
    const rows = HOSTILE.map((value, i) =>
      toText(sql`(${String(i)}::int, ${value}, ARRAY[${value}, 'other'], ${value})`),
    );
    await database.run(`INSERT INTO hostile VALUES ${rows.join(', ')}, (-1, NULL, NULL, NULL)`);
    const session = await database.session();
    const relation = (await session.transaction(() => readRelation(session, 'public', 'hostile')))!;
    const ids = async (filter: RowFilter): Promise<unknown[]> => {
      await checkFilterValues(session, filter, relation);
      const statement = sql`SELECT coalesce(pg_catalog.array_agg(id ORDER BY id), '{}') AS ids FROM hostile WHERE ${compileFilter(filter, relation)}`;
      return session.transaction(async () => {
        const byParameters = (await session.one<{ ids: number[] }>(statement)).ids;
        const bound = toBoundStatement(statement);
        await session.script(bound.settings);
        const [bySettings] = await session.script(bound.text);
        const [byConstants] = await session.script(toText(statement));
        expect([bySettings?.rows[0]?.['ids'], byConstants?.rows[0]?.['ids']]).toEqual([
          byParameters,
          byParameters,
        ]);
        return byParameters;
      });
    };
    for (const [i, value] of HOSTILE.entries()) {
      for (const column of ['t', 'v']) expect(await ids({ column, op: 'EQ', value })).toEqual([i]);
      const element = (text: string) => `"${text.replaceAll('\\', '\\\\').replaceAll('"', '\\"')}"`;
      expect(await ids({ column: 'a', op: 'EQ', value: `{${element(value)},other}` })).toEqual([i]);
      expect(
        await ids({ column: 't', op: 'NOT_IN', values: HOSTILE.filter((other) => other !== value) }),
      ).toEqual([i]);
    }
    expect(await ids({ column: 't', op: 'IN', values: HOSTILE })).toEqual(HOSTILE.map((_, i) => i));
    await database.drop();
  }, 60_000);

  it('refuse NUL, and values that are too long', () => {
    for (const value of ['a\0b', 'x'.repeat(10_001)])
      expect(() => canonicalFilter({ column: 't', op: 'EQ', value }, new Date())).toThrow(
        expect.objectContaining({ code: 'BAD_USER_INPUT' }),
      );
  });
});
