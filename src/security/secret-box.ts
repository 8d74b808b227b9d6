import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import { DeclutterError } from '../errors.ts';

/** Seals short secrets for the control store. The context (whose secret it is) is sealed in: a box moved elsewhere stays shut. */
export interface SecretBox {
  seal(text: string, context: string): Buffer;
  /** @throws CONFIGURATION when the key is another one, or the box was moved or changed */
  open(box: Uint8Array, context: string): string;
}

const VERSION = 1;
const NONCE = 12;
const TAG = 16;

/** AES-256-GCM; a box is version, nonce, tag, ciphertext. */
export function makeSecretBox(key: Buffer): SecretBox {
  if (key.length !== 32) throw new DeclutterError('CONFIGURATION', 'DECLUTTER_SECRET_KEY must be 32 bytes.');
  return {
    seal(text, context) {
      const nonce = randomBytes(NONCE);
      const cipher = createCipheriv('aes-256-gcm', key, nonce).setAAD(associated(context));
      const sealed = Buffer.concat([cipher.update(text, 'utf8'), cipher.final()]);
      return Buffer.concat([Buffer.of(VERSION), nonce, cipher.getAuthTag(), sealed]);
    },
    open(box, context) {
      try {
        return decrypt(key, Buffer.from(box), context);
      } catch (error) {
        const message = `The stored secret of ${context} cannot be opened: DECLUTTER_SECRET_KEY is another one, or it was changed.`;
        throw new DeclutterError('CONFIGURATION', message, {}, { cause: error });
      }
    },
  };
}

function decrypt(key: Buffer, box: Buffer, context: string): string {
  if (box[0] !== VERSION || box.length < 1 + NONCE + TAG) throw new TypeError('Not a box of this version.');
  const decipher = createDecipheriv('aes-256-gcm', key, box.subarray(1, 1 + NONCE), { authTagLength: TAG })
    .setAAD(associated(context))
    .setAuthTag(box.subarray(1 + NONCE, 1 + NONCE + TAG));
  return decipher.update(box.subarray(1 + NONCE + TAG), undefined, 'utf8') + decipher.final('utf8');
}

const associated = (context: string) => Buffer.from(`declutter/${VERSION}/${context}`, 'utf8');
