import { promisify } from 'node:util';
import { constants, zstdCompress, zstdDecompress } from 'node:zlib';

const compressAsync = promisify(zstdCompress);
const decompressAsync = promisify(zstdDecompress);

/** node:zlib works in pieces of 16 kB unless told otherwise, each a trip to the thread pool: too many for a batch of megabytes. */
const CHUNK = { chunkSize: 1 << 18 };

/** Level 1 keeps about as few bytes of COPY text as level 3, in little more than half the time (docs/benchmarks.md). */
const LEVEL = { params: { [constants.ZSTD_c_compressionLevel]: 1, [constants.ZSTD_c_checksumFlag]: 1 } };

/** One whole frame. */
export const compress = (bytes: Buffer): Promise<Buffer> => compressAsync(bytes, { ...CHUNK, ...LEVEL });

/** Of one frame; node:zlib would stop without a word after the first of several (archive/zstd-frames.ts). */
export const decompress = (frame: Buffer): Promise<Buffer> => decompressAsync(frame, CHUNK);
