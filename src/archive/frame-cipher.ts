import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import { Stop } from '../domain/stop.ts';
import { type ArchiveKey, keyOfRun } from './archive-keys.ts';

/**
 * An encrypted frame: this header, as many bytes as it says, and a tag of 16 bytes. docs/archive-format.md has a program that
 * reads it.
 *
 *  0  magic "DCE1"
 *  4  kind
 *  5  key id
 * 13  nonce
 * 25  bytes that follow before the tag, big-endian
 */
const MAGIC = Buffer.from('DCE1');
const KEY_ID = 5;
const NONCE = 13;
const LENGTH = 25;
export const HEADER_BYTES = 29;
const TAG_BYTES = 16;
const NONCE_BYTES = LENGTH - NONCE;

/** of a frame that has rows; anything else is what a segment ends with */
export const ROWS = 1;
export const ENDING = 2;

export interface FrameHeader {
  readonly kind: number;
  /** of the whole, header and tag included */
  readonly length: number;
}

/** @throws Stop ARCHIVE_DAMAGED */
export function frameHeader(header: Buffer): FrameHeader {
  if (header.length < HEADER_BYTES || !header.subarray(0, MAGIC.length).equals(MAGIC)) throw damaged();
  return {
    kind: header.readUInt8(MAGIC.length),
    length: HEADER_BYTES + header.readUInt32BE(LENGTH) + TAG_BYTES,
  };
}

export interface FrameCipher {
  seal(bytes: Buffer, kind: number): Buffer;
  /** @throws Stop ARCHIVE_DAMAGED when a bit of it was changed */
  open(frame: Buffer): Buffer;
}

/** AES-256-GCM with a key for each run and a nonce for each frame; the header is authenticated along with the bytes. */
export function makeFrameCipher(archiveKey: ArchiveKey, runId: string): FrameCipher {
  const key = keyOfRun(archiveKey, runId);
  const id = Buffer.from(archiveKey.id, 'hex');
  return {
    seal(bytes, kind) {
      const header = Buffer.alloc(HEADER_BYTES);
      const nonce = randomBytes(NONCE_BYTES);
      Buffer.concat([MAGIC, Buffer.of(kind), id, nonce]).copy(header);
      header.writeUInt32BE(bytes.length, LENGTH);
      const cipher = createCipheriv('aes-256-gcm', key, nonce).setAAD(header);
      return Buffer.concat([header, cipher.update(bytes), cipher.final(), cipher.getAuthTag()]);
    },
    open(frame) {
      const header = frame.subarray(0, HEADER_BYTES);
      if (frameHeader(header).length !== frame.length || !frame.subarray(KEY_ID, NONCE).equals(id))
        throw damaged();
      const nonce = frame.subarray(NONCE, LENGTH);
      const decipher = createDecipheriv('aes-256-gcm', key, nonce, { authTagLength: TAG_BYTES })
        .setAAD(header)
        .setAuthTag(frame.subarray(-TAG_BYTES));
      return decrypted(decipher, frame.subarray(HEADER_BYTES, -TAG_BYTES));
    },
  };
}

function decrypted(decipher: ReturnType<typeof createDecipheriv>, bytes: Buffer): Buffer {
  const text = decipher.update(bytes);
  try {
    decipher.final();
  } catch (error) {
    throw damaged(error);
  }
  return text;
}

const damaged = (cause?: unknown) =>
  new Stop('ARCHIVE_DAMAGED', 'A frame of the archive was changed after it was encrypted.', 'FAILED', {
    cause,
  });
