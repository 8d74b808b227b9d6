import type { SegmentFormat } from '../segment-format.ts';
import { compress, decompress } from '../zstd.ts';
import { framePositions } from '../zstd-frames.ts';

/** COPY text as PostgreSQL wrote it: `zstd -d` and psql are all that it takes to read it. */
export const copyZstd: SegmentFormat = {
  extension: '.copy.zst',
  encode: compress,
  decode: decompress,
  positions: framePositions,
  ending: () => Promise.resolve(null),
};
