import { ByteWriter } from '../byte-writer.ts';
import { BACKSLASH, endOfValue, isNull } from '../copy-text.ts';
import { CLOSE, JSON_FALSE, JSON_NULL, JSON_TRUE, type JsonColumn, QUOTE, T } from './json-columns.ts';

/** COPY text as a line of JSON for each row; made of bytes, so that no value passes through a type of JavaScript. */
export function copyToJsonl(text: Buffer, columns: readonly JsonColumn[]): Buffer {
  const out = new ByteWriter(text.length * 2);
  for (let at = 0; at < text.length;) {
    for (const column of columns) {
      out.all(column.key);
      // past the value's end, and the tab or newline behind it
      at = writeValue(out, text, at, column) + 1;
    }
    out.all(CLOSE);
  }
  return out.bytes;
}

function writeValue(out: ByteWriter, text: Buffer, at: number, { kind }: JsonColumn): number {
  if (isNull(text, at)) {
    out.all(JSON_NULL);
    return at + 2;
  }
  if (kind === 'BOOLEAN') {
    out.all(text[at] === T ? JSON_TRUE : JSON_FALSE);
    return at + 1;
  }
  if (kind === 'NUMBER') return writeBare(out, text, at);
  out.byte(QUOTE);
  const end = writeString(out, text, at);
  out.byte(QUOTE);
  return end;
}

function writeBare(out: ByteWriter, text: Buffer, start: number): number {
  const end = endOfValue(text, start);
  out.slice(text, start, end);
  return end;
}

const V = 0x76;
const VERTICAL_TAB = 0x0b;
const SPACE = 0x20;

function writeString(out: ByteWriter, text: Buffer, start: number): number {
  const end = endOfValue(text, start);
  for (let at = start; at < end; at += 1) {
    const byte = text[at] as number;
    if (byte === BACKSLASH) {
      at += 1;
      writeEscape(out, text[at] as number);
    } else if (byte === QUOTE) {
      out.byte(BACKSLASH);
      out.byte(byte);
    } else if (byte < SPACE) {
      writeControl(out, byte);
    } else out.byte(byte);
  }
  return end;
}

/** JSON has COPY's letters, but for the vertical tab. */
function writeEscape(out: ByteWriter, letter: number): void {
  if (letter === V) return writeControl(out, VERTICAL_TAB);
  out.byte(BACKSLASH);
  out.byte(letter);
}

const writeControl = (out: ByteWriter, byte: number): void => {
  out.latin1(`\\u00${byte.toString(16).padStart(2, '0')}`);
};
