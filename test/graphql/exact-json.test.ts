import { describe, expect, it } from '@jest/globals';
import { exactJson } from '../../src/graphql/exact-json.ts';

describe('JSON of a row', () => {
  it('comes as it is where JavaScript can hold it', () => {
    const text =
      '{"id":42,"price":12.50,"ratio":0.1,"zero":0,"whole":3.0,"minus":-7,"name":"x","tags":[1,null,true],"j":{"a":1.5}}';
    expect(exactJson(text)).toEqual({
      id: 42,
      price: 12.5,
      ratio: 0.1,
      zero: 0,
      whole: 3,
      minus: -7,
      name: 'x',
      tags: [1, null, true],
      j: { a: 1.5 },
    });
  });

  it('keeps every digit of the numbers that it cannot', () => {
    expect(exactJson('{"id":9007199254740993,"n":[12345678901234567890.12],"e":1e400}')).toEqual({
      id: '9007199254740993',
      n: ['12345678901234567890.12'],
      e: '1e400',
    });
  });
});
