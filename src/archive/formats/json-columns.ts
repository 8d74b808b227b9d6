import type { ArchiveContent } from '../../domain/archive-content.ts';

/** bare: written as a JSON number or as true and false, since every reader takes these exactly; else a string. */
export type JsonKind = 'STRING' | 'NUMBER' | 'BOOLEAN';

export interface JsonColumn {
  /** what stands before its value: `{"id":` or `,"note":` */
  readonly key: Buffer;
  readonly kind: JsonKind;
}

const KINDS: Readonly<Record<string, JsonKind>> = {
  smallint: 'NUMBER',
  integer: 'NUMBER',
  boolean: 'BOOLEAN',
};

export const jsonColumns = (columns: ArchiveContent['columns']): JsonColumn[] =>
  columns.map(({ name, type }, i) => ({
    key: Buffer.from(`${i === 0 ? '{' : ','}${JSON.stringify(name)}:`),
    kind: KINDS[type] ?? 'STRING',
  }));

export const JSON_NULL = Buffer.from('null');
export const JSON_TRUE = Buffer.from('true');
export const JSON_FALSE = Buffer.from('false');
export const QUOTE = 0x22;
export const CLOSE = Buffer.from('}\n');
/** stands for true in COPY text; f for false */
export const T = 0x74;
export const F = 0x66;
