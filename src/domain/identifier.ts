import { badInput } from '../errors.ts';

/** PostgreSQL cuts a longer name silently, so that it would mean another. Any other text is legal. @throws BAD_USER_INPUT */
export function checkIdentifier(what: string, name: string): void {
  if (name.trim() === '' || name.includes('\0') || Buffer.byteLength(name) > 63) {
    throw badInput(`The name of the ${what} must have 1 to 63 bytes, and not only white space.`);
  }
}

/** The name without what is beyond so many bytes, for more to be put behind it. */
export function shortened(name: string, bytes: number): string {
  // Cutting bytes may split the last character; what is left of it decodes to a replacement character and goes too.
  return Buffer.from(name)
    .subarray(0, bytes)
    .toString()
    .replace(/\uFFFD+$/, '');
}
