/** PostgreSQL's COPY text format, byte by byte: a row a line, a tab between values, \N for NULL, backslashes before what would mislead. */
export const TAB = 0x09;
export const NEWLINE = 0x0a;
export const BACKSLASH = 0x5c;
const NULL_LETTER = 0x4e; // N

/** Whether the value that begins here is NULL: a text that reads \N is written \\N. */
export const isNull = (text: Buffer, at: number): boolean =>
  text[at] === BACKSLASH && text[at + 1] === NULL_LETTER;

/** @throws TypeError when the text ends first: it has fewer values than there are columns */
export function endOfValue(text: Buffer, start: number): number {
  for (let at = start; at < text.length; at += 1) {
    const byte = text[at];
    if (byte === TAB || byte === NEWLINE) return at;
  }
  throw new TypeError('COPY text ends in the middle of a row.');
}

/** The letter that stands for a control character behind a backslash; 0 where there is none. */
export const LETTER_OF = tableOf([
  [0x08, 'b'],
  [TAB, 't'],
  [NEWLINE, 'n'],
  [0x0b, 'v'],
  [0x0c, 'f'],
  [0x0d, 'r'],
  [BACKSLASH, '\\'],
]);

/** The other way round: what a letter behind a backslash stands for. */
export const MEANT_BY = (() => {
  const table = new Uint8Array(256);
  LETTER_OF.forEach((letter, byte) => {
    if (letter !== 0) table[letter] = byte;
  });
  return table;
})();

function tableOf(pairs: readonly (readonly [number, string])[]): Uint8Array {
  const table = new Uint8Array(256);
  for (const [byte, letter] of pairs) table[byte] = letter.charCodeAt(0);
  return table;
}
