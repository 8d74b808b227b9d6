import { createHash } from 'node:crypto';
import { Stop } from '../domain/stop.ts';
import type { StoredBytes } from './archive-store.ts';

/** @throws Stop ARCHIVE_DAMAGED when the file is shorter */
export async function readExactly(handle: StoredBytes, start: number, length: number): Promise<Buffer> {
  return fill(handle, Buffer.allocUnsafe(length), start);
}

/** Of a file of this size. @throws Stop ARCHIVE_DAMAGED when it ends before */
export async function readWithin(
  handle: StoredBytes,
  start: number,
  length: number,
  size: number,
): Promise<Buffer> {
  if (start < 0 || start + length > size)
    throw new Stop('ARCHIVE_DAMAGED', 'A segment of the archive ends in the middle.', 'FAILED');
  return readExactly(handle, start, length);
}

async function fill(handle: StoredBytes, bytes: Buffer, start: number): Promise<Buffer> {
  for (let done = 0; done < bytes.length;) {
    const { bytesRead } = await handle.read(bytes, done, bytes.length - done, start + done);
    if (bytesRead === 0)
      throw new Stop(
        'ARCHIVE_DAMAGED',
        'A segment of the archive is shorter than the ledger says.',
        'FAILED',
      );
    done += bytesRead;
  }
  return bytes;
}

const PIECE = 1 << 18;

/** Reads into the same piece of memory again and again: a segment's worth of garbage would show in the worker's size. */
export async function hashOfFile(
  handle: StoredBytes,
  length: number,
  goOn: () => void = () => undefined,
): Promise<string> {
  const hash = createHash('sha256');
  const piece = Buffer.allocUnsafe(Math.min(PIECE, length));
  for (let start = 0; start < length; start += PIECE) {
    goOn();
    hash.update(await fill(handle, piece.subarray(0, Math.min(PIECE, length - start)), start));
  }
  return hash.digest('hex');
}

export const hashOf = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');
