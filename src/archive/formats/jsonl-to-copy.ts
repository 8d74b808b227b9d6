import { ByteWriter } from '../byte-writer.ts';
import { BACKSLASH, LETTER_OF, NEWLINE, TAB } from '../copy-text.ts';
import { CLOSE, F, JSON_FALSE, JSON_NULL, JSON_TRUE, type JsonColumn, QUOTE, T } from './json-columns.ts';

const NULL = Buffer.from('\\N');
const U = 0x75;
const [MINUS, ZERO, NINE] = [0x2d, 0x30, 0x39];

/** The way back, of the lines that copyToJsonl makes and of no other JSON. @throws TypeError where a line is not of that make */
export function jsonlToCopy(lines: Buffer, columns: readonly JsonColumn[]): Buffer {
  const out = new ByteWriter(lines.length);
  for (let at = 0; at < lines.length;) {
    columns.forEach((column, i) => {
      at = expect(lines, at, column.key);
      at = readValue(out, lines, at, column);
      out.byte(i === columns.length - 1 ? NEWLINE : TAB);
    });
    at = expect(lines, at, CLOSE);
  }
  return out.bytes;
}

function expect(lines: Buffer, at: number, wanted: Buffer): number {
  if (!startsWith(lines, at, wanted)) throw unreadable();
  return at + wanted.length;
}

/** By hand: a call into the runtime for each key and value would take longer. */
function startsWith(lines: Buffer, at: number, wanted: Buffer): boolean {
  for (let i = 0; i < wanted.length; i += 1) if (lines[at + i] !== wanted[i]) return false;
  return true;
}

const unreadable = () => new TypeError('Not a line of JSON as this archive has them.');

function readValue(out: ByteWriter, lines: Buffer, at: number, { kind }: JsonColumn): number {
  if (startsWith(lines, at, JSON_NULL)) {
    out.all(NULL);
    return at + JSON_NULL.length;
  }
  if (kind === 'BOOLEAN') return readBoolean(out, lines, at);
  if (kind === 'NUMBER') return readNumber(out, lines, at);
  if (lines[at] !== QUOTE) throw unreadable();
  return readString(out, lines, at + 1);
}

function readBoolean(out: ByteWriter, lines: Buffer, at: number): number {
  const isTrue = startsWith(lines, at, JSON_TRUE);
  out.byte(isTrue ? T : F);
  return isTrue ? at + JSON_TRUE.length : expect(lines, at, JSON_FALSE);
}

function readNumber(out: ByteWriter, lines: Buffer, start: number): number {
  let end = start;
  for (let byte = lines[end]; isDigit(byte) || byte === MINUS; byte = lines[end]) end += 1;
  if (end === start) throw unreadable();
  out.slice(lines, start, end);
  return end;
}

const isDigit = (byte: number | undefined): boolean => byte !== undefined && byte >= ZERO && byte <= NINE;

/** Up to the quote at its end. */
function readString(out: ByteWriter, lines: Buffer, start: number): number {
  for (let at = start; at < lines.length; at += 1) {
    const byte = lines[at] as number;
    if (byte === QUOTE) return at + 1;
    if (byte !== BACKSLASH) out.byte(byte);
    else at = readEscape(out, lines, at + 1);
  }
  throw unreadable();
}

/** Returns the place of its last byte. */
function readEscape(out: ByteWriter, lines: Buffer, at: number): number {
  const letter = lines[at] as number;
  if (letter === QUOTE) {
    out.byte(QUOTE);
    return at;
  }
  if (letter !== U) {
    out.byte(BACKSLASH);
    out.byte(letter);
    return at;
  }
  const byte = Number.parseInt(lines.toString('latin1', at + 1, at + 5), 16);
  const name = LETTER_OF[byte] as number;
  if (name !== 0) out.byte(BACKSLASH);
  out.byte(name === 0 ? byte : name);
  return at + 4;
}
