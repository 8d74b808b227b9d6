/** The parser tells a reviver the source text of a number (ECMAScript 2025; not yet in TypeScript's library). */
type Reviver = (key: string, value: unknown, context: { readonly source?: string }) => unknown;

/** JSON of a row, for people to look at: numbers that JavaScript would round become strings of their exact digits. */
export function exactJson(text: string): unknown {
  const keepDigits: Reviver = (_key, value, { source }) =>
    typeof value === 'number' && source !== undefined && !isExact(value, source) ? source : value;
  return JSON.parse(text, keepDigits as (key: string, value: unknown) => unknown);
}

const isExact = (value: number, source: string) =>
  Number.isFinite(value) && String(value) === trimZeros(source);

/** 1.50 and 1.5 are one number; 1e2 stays as it is, and so becomes a string. */
const trimZeros = (source: string) => (source.includes('.') ? source.replace(/\.?0+$/, '') : source);
