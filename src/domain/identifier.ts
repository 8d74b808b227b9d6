import { badInput } from '../errors.ts';

/** PostgreSQL cuts a longer name silently, so that it would mean another. Any other text is legal. @throws BAD_USER_INPUT */
export function checkIdentifier(what: string, name: string): void {
  if (name.trim() === '' || name.includes('\0') || Buffer.byteLength(name) > 63) {
    throw badInput(`The name of the ${what} must have 1 to 63 bytes, and not only white space.`);
  }
}
