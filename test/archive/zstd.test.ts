import { randomBytes } from 'node:crypto';
import { constants, zstdCompressSync } from 'node:zlib';
import { describe, expect, it } from '@jest/globals';
import { countLines } from '../../src/archive/count-lines.ts';
import { compress, decompress } from '../../src/archive/zstd.ts';
import { contentSize } from '../../src/archive/zstd-frames.ts';

const lines = (count: number) =>
  Buffer.from(Array.from({ length: count }, (_, n) => `${n}\ta row\n`).join(''));

describe('a zstd frame', () => {
  it.each([0, 1, 255, 256, 65_791, 65_792, 3_000_000])(
    'of %i bytes gives them back and tells how many',
    async (size) => {
      const bytes = randomBytes(size);
      const frame = await compress(bytes);
      expect(contentSize(frame)).toBe(size);
      expect((await decompress(frame)).equals(bytes)).toBe(true);
    },
  );

  it('is read too when it does not tell its size, or tells one that is not believed', async () => {
    const bytes = lines(200_000);
    const silent = zstdCompressSync(bytes, { params: { [constants.ZSTD_c_contentSizeFlag]: 0 } });
    expect(contentSize(silent)).toBeNull();
    expect((await decompress(silent)).equals(bytes)).toBe(true);
    const lying = await compress(bytes);
    lying.writeUInt32LE(0xff_ff_ff_ff, 5);
    await expect(decompress(lying)).rejects.toThrow();
  });

  it('counts the rows of COPY text', async () => {
    expect(countLines(await decompress(await compress(lines(12_345))))).toBe(12_345);
  });
});
