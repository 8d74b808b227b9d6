import { describe, expect, it } from '@jest/globals';
import { batched } from '../src/batched.ts';

describe('batched', () => {
  const loads: [readonly string[], { readonly first: number }][] = [];
  const load = batched(async (keys: readonly string[], options: { readonly first: number }) => {
    loads.push([keys, options]);
    if (keys.includes('bad')) throw new RangeError('bad');
    return keys.map((key) => `${key}:${options.first}`);
  });

  it('loads at once what is asked for at once with the same options, and answers each its own', async () => {
    const one = { first: 1 };
    expect(await Promise.all([load('a', one), load('b', { first: 2 }), load('c', { first: 1 })])).toEqual([
      'a:1',
      'b:2',
      'c:1',
    ]);
    expect(loads.splice(0)).toEqual([
      [['a', 'c'], { first: 1 }],
      [['b'], { first: 2 }],
    ]);
    expect(await load('a', one)).toBe('a:1');
    expect(loads.splice(0)).toEqual([[['a'], { first: 1 }]]);
  });

  it('fails for all that were loaded together, and goes on after that', async () => {
    const answers = await Promise.allSettled([load('a', { first: 1 }), load('bad', { first: 1 })]);
    expect(answers.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
    expect(await load('a', { first: 1 })).toBe('a:1');
  });
});
