import { describe, expect, it } from '@jest/globals';
import { release } from '../src/release.ts';

describe('release', () => {
  it('gives the memory back at once', () => {
    const bytes = Buffer.allocUnsafe(1 << 20);
    const memory = bytes.buffer;
    release(bytes.subarray(10, 20));
    expect(memory.byteLength).toBe(0);
  });

  it('leaves the pool alone that small buffers share', () => {
    const kept = Buffer.from('kept');
    release(Buffer.from('gone'));
    expect(kept.toString()).toBe('kept');
  });
});
