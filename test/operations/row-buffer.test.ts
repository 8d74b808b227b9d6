import { describe, expect, it } from '@jest/globals';
import { RowBuffer } from '../../src/operations/row-buffer.ts';

const MEGABYTE = 1_048_576;

describe('the bytes of a batch', () => {
  const row = (bytes: number) => Buffer.concat([Buffer.alloc(bytes - 1, 'x'), Buffer.from('\n')]);
  const filled = (...rows: readonly Buffer[]): RowBuffer => {
    const buffer = new RowBuffer();
    buffer.clear(MEGABYTE);
    // In pieces, as they come from a socket.
    for (const one of rows)
      for (let at = 0; at < one.length; at += 65_536) buffer.add(one, at, Math.min(at + 65_536, one.length));
    return buffer;
  };

  it('may be many of one row, and few of several', () => {
    const large = row(3 * MEGABYTE);
    expect([filled(large).isOver, filled(large).bytes.equals(large)]).toEqual([false, true]);
    expect([filled(large, row(2)).isOver, filled(row(2), large).isOver]).toEqual([true, true]);
    expect(filled(row(9), row(9)).bytes.equals(Buffer.concat([row(9), row(9)]))).toBe(true);
  });

  it('are kept anew after a large row', () => {
    const buffer = filled(row(3 * MEGABYTE));
    buffer.clear(MEGABYTE);
    buffer.add(row(5), 0, 5);
    buffer.add(row(5), 0, 5);
    expect([buffer.isOver, buffer.bytes.length]).toEqual([false, 10]);
  });
});
