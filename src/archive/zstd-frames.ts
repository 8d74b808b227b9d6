import { Stop } from '../domain/stop.ts';
import type { StoredBytes } from './archive-store.ts';
import { readWithin } from './read-file.ts';
import type { FramePosition } from './segment-format.ts';

const MAGIC = 0xfd2fb528;
const DICTIONARY_BYTES = [0, 1, 2, 4] as const;
const CONTENT_SIZE_BYTES = [0, 2, 4, 8] as const;
const RLE_BLOCK = 1;

/** The magic number and the descriptor. */
const HEAD = 5;

/**
 * Where the zstd frames of a file are, one after the other (RFC 8878, section 3.1.1). Needed because node:zlib stops without a
 * word after the first frame, where the zstd program reads on.
 * @throws Stop ARCHIVE_DAMAGED where a frame does not begin or end as it should
 */
export async function framePositions(handle: StoredBytes, size: number): Promise<FramePosition[]> {
  const positions: FramePosition[] = [];
  for (let start = 0; start < size;) {
    const length = await frameLength(handle, start, size);
    positions.push({ start, length });
    start += length;
  }
  return positions;
}

async function frameLength(handle: StoredBytes, start: number, size: number): Promise<number> {
  const head = await readWithin(handle, start, HEAD, size);
  if (head.readUInt32LE(0) !== MAGIC) throw damaged();
  const descriptor = head.readUInt8(4);
  let at = start + HEAD + headerOf(descriptor).bytes;
  for (let last = false; !last;) {
    const block = (await readWithin(handle, at, 3, size)).readUIntLE(0, 3);
    last = (block & 1) === 1;
    at += 3 + (((block >> 1) & 3) === RLE_BLOCK ? 1 : block >> 3);
  }
  const hasChecksum = ((descriptor >> 2) & 1) === 1;
  return at + (hasChecksum ? 4 : 0) - start;
}

interface Header {
  /** of what follows the descriptor */
  readonly bytes: number;
  /** where the size of the content stands, and in how many bytes */
  readonly sizeAt: number;
  readonly sizeBytes: number;
}

function headerOf(descriptor: number): Header {
  const singleSegment = (descriptor >> 5) & 1;
  const sizeFlag = descriptor >> 6;
  const sizeBytes = sizeFlag === 0 ? singleSegment : (CONTENT_SIZE_BYTES[sizeFlag] ?? 0);
  const before = 1 - singleSegment + (DICTIONARY_BYTES[descriptor & 3] ?? 0);
  return { bytes: before + sizeBytes, sizeAt: HEAD + before, sizeBytes };
}

/** Bytes that a frame says it holds; null when it doesn't say. */
export function contentSize(frame: Buffer): number | null {
  if (frame.length < HEAD) return null;
  const { sizeAt, sizeBytes } = headerOf(frame.readUInt8(4));
  if (sizeBytes === 0 || frame.length < sizeAt + sizeBytes) return null;
  const size = frame.readUIntLE(sizeAt, Math.min(sizeBytes, 6));
  return sizeBytes === 2 ? size + 256 : size;
}

const damaged = () =>
  new Stop('ARCHIVE_DAMAGED', 'A segment of the archive is not a row of zstd frames.', 'FAILED');
