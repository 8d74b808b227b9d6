import { promisify } from 'node:util';
import { constants, zstdCompress, zstdDecompress } from 'node:zlib';
import { contentSize } from './zstd-frames.ts';

const compressAsync = promisify(zstdCompress);
const decompressAsync = promisify(zstdDecompress);

/** Level 1 keeps about as few bytes of COPY text as level 3, in little more than half the time (docs/benchmarks.md). */
const LEVEL = { params: { [constants.ZSTD_c_compressionLevel]: 1, [constants.ZSTD_c_checksumFlag]: 1 } };

/** Where a frame does not tell its size; node:zlib would work in pieces of 16 kB, each a trip to the thread pool. */
const CHUNK = 1 << 18;

/** More is not believed before it is seen. */
const MAX_CHUNK = 1 << 26;

/** One whole frame, which tells how large its content is; made in one piece of memory, in one trip to the thread pool. */
export const compress = (bytes: Buffer): Promise<Buffer> =>
  compressAsync(bytes, { ...LEVEL, chunkSize: bound(bytes.length), pledgedSrcSize: bytes.length });

/** Of one frame; node:zlib would stop without a word after the first of several (zstd-frames.ts). */
export function decompress(frame: Buffer): Promise<Buffer> {
  const size = contentSize(frame);
  const chunkSize = size === null ? CHUNK : Math.min(size + SPARE, MAX_CHUNK);
  return decompressAsync(frame, { chunkSize });
}

/** Where the output fills its memory to the last byte, node:zlib asks for another piece. */
const SPARE = 64;

/** The most that zstd makes of so many bytes (ZSTD_COMPRESSBOUND), and some room. */
const bound = (bytes: number): number => bytes + (bytes >> 8) + CHUNK;
