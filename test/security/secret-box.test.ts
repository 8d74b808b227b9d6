import { randomBytes } from 'node:crypto';
import { describe, expect, it } from '@jest/globals';
import { makeSecretBox } from '../../src/security/secret-box.ts';

describe('a secret box', () => {
  const box = makeSecretBox(randomBytes(32));

  it('gives back what was sealed', () => {
    for (const secret of ['', 'hunter2', 'pässwörd 🐘'.repeat(100)]) {
      expect(box.open(box.seal(secret, 'database:1'), 'database:1')).toBe(secret);
    }
  });

  it('never shows the secret, nor that two secrets are the same', () => {
    const sealed = [box.seal('hunter2', 'database:1'), box.seal('hunter2', 'database:1')];
    expect(sealed[0]?.includes('hunter2')).toBe(false);
    expect(sealed[0]?.equals(sealed[1] as Buffer)).toBe(false);
  });

  it('stays shut for another database, for another key, and when a bit was changed or bytes are missing', () => {
    const sealed = box.seal('hunter2', 'database:1');
    const shut = /cannot be opened/;
    expect(() => box.open(sealed, 'database:2')).toThrow(shut);
    expect(() => makeSecretBox(randomBytes(32)).open(sealed, 'database:1')).toThrow(shut);
    for (let i = 0; i < sealed.length; i += 1) {
      const changed = Buffer.from(sealed);
      changed[i] = (changed[i] ?? 0) ^ 1;
      expect(() => box.open(changed, 'database:1')).toThrow(shut);
    }
    for (const length of [0, 1, 12, sealed.length - 1]) {
      expect(() => box.open(sealed.subarray(0, length), 'database:1')).toThrow(shut);
    }
  });

  it('takes no short key', () => {
    expect(() => makeSecretBox(randomBytes(16))).toThrow(/32 bytes/);
  });
});
