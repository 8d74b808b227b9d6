import { hkdfSync } from 'node:crypto';

export interface ArchiveKey {
  /** 16 hexadecimal digits, made of the key: it tells which key is meant, and nothing about it */
  readonly id: string;
  /** 32 bytes */
  readonly key: Buffer;
}

/** The first encrypts new archives, and each decrypts those that it encrypted. None: new archives are not encrypted. */
export type ArchiveKeys = readonly ArchiveKey[];

export const makeArchiveKeys = (keys: readonly Buffer[]): ArchiveKeys =>
  keys.map((key) => ({ id: derived(key, 'declutter archive key id', 8).toString('hex'), key }));

/** The key that a run's segments are encrypted with: no other run has it, so that nonces may be random. */
export const keyOfRun = ({ key }: ArchiveKey, runId: string): Buffer =>
  derived(key, `declutter archive ${runId}`, 32);

const derived = (key: Buffer, purpose: string, bytes: number): Buffer =>
  Buffer.from(hkdfSync('sha256', key, '', purpose, bytes));
