import type { StoredBytes } from '../archive-store.ts';
import { ENDING, type FrameCipher, frameHeader, HEADER_BYTES, ROWS } from '../frame-cipher.ts';
import { readWithin } from '../read-file.ts';
import type { FramePosition, SegmentFormat } from '../segment-format.ts';

/** Each frame, and what a segment ends with, encrypted by itself: decrypted and put together again they are the segment as it would be. */
export const encrypted = (plain: SegmentFormat, cipher: FrameCipher): SegmentFormat => ({
  extension: `${plain.extension}.enc`,
  encode: async (text) => cipher.seal(await plain.encode(text), ROWS),
  decode: (frame) => plain.decode(cipher.open(frame)),
  positions: encryptedPositions,
  ending: async (frames) => {
    const ending = await plain.ending(() => opened(frames(), cipher));
    return ending && cipher.seal(ending, ENDING);
  },
});

async function* opened(frames: AsyncIterable<Buffer>, cipher: FrameCipher): AsyncGenerator<Buffer> {
  for await (const frame of frames) yield cipher.open(frame);
}

async function encryptedPositions(file: StoredBytes, size: number): Promise<FramePosition[]> {
  const positions: FramePosition[] = [];
  for (let start = 0; start < size;) {
    const { kind, length } = frameHeader(await readWithin(file, start, HEADER_BYTES, size));
    if (kind === ROWS) positions.push({ start, length });
    start += length;
  }
  return positions;
}
