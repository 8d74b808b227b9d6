import type { ArchiveContent } from '../../domain/archive-content.ts';
import { release } from '../../release.ts';
import { refuseBadUtf8 } from '../refuse-bad-utf8.ts';
import type { SegmentFormat } from '../segment-format.ts';
import { compress, decompress } from '../zstd.ts';
import { framePositions } from '../zstd-frames.ts';
import { copyToJsonl } from './copy-to-jsonl.ts';
import { jsonlToCopy } from './jsonl-to-copy.ts';
import { jsonColumns } from './json-columns.ts';

/** A JSON object for each row, in UTF-8. */
export function jsonlZstd(columns: ArchiveContent['columns']): SegmentFormat {
  const keys = jsonColumns(columns);
  return {
    extension: '.jsonl.zst',
    encode: (text) => {
      refuseBadUtf8(text);
      return released(copyToJsonl(text, keys), compress);
    },
    decode: async (frame) => {
      const lines = await decompress(frame);
      return released(lines, (bytes) => Promise.resolve(jsonlToCopy(bytes, keys)));
    },
    positions: framePositions,
    ending: () => Promise.resolve(null),
  };
}

async function released(bytes: Buffer, use: (bytes: Buffer) => Promise<Buffer>): Promise<Buffer> {
  const result = await use(bytes);
  release(bytes);
  return result;
}
