import { describe, expect, it } from '@jest/globals';
import { table } from '../../../src/cli/client/table.ts';

describe('a table', () => {
  it('has words to the left and figures to the right', () => {
    const columns = [{ title: 'name' }, { title: 'rows', right: true }];
    expect(
      table(columns, [
        ['a', '12 345'],
        ['orders', '7'],
      ]),
    ).toBe(['name      rows', '──────  ──────', 'a       12 345', 'orders       7'].join('\n'));
  });

  it('cuts what is longer than its column', () => {
    expect(table([{ title: 't', most: 6 }], [['abcdefgh']]).split('\n')[2]).toBe('abcde…');
  });

  it('lets no control character of a name reach the terminal', () => {
    const line = table([{ title: 'name' }], [['evil\u001B[2Jname\nnext\u202Eline']]).split('\n');
    expect(line).toHaveLength(3);
    expect(line[2]).toBe('evil [2Jname next line');
  });
});
