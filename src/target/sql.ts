/**
 * The one way to write SQL for a target. Every substitution of the tag is a value and becomes a parameter, unless it is
 * itself made by this file. Identifiers come from the catalog and go through ident().
 */
export type Sql = {
  readonly parts: readonly Part[];
};

type Part = { readonly text: string } | { readonly value: string | null; readonly type: string };

export type Value = Sql | string | number | bigint | boolean | null | readonly string[];

/** sql`SELECT ... WHERE id = ${id}::bigint`: substitutions become text parameters; cast them in the statement. */
export function sql(strings: TemplateStringsArray, ...values: readonly Value[]): Sql {
  const parts: Part[] = [];
  strings.forEach((text, i) => {
    parts.push({ text });
    if (i < values.length) parts.push(...partsOf(values[i] as Value));
  });
  return { parts };
}

function partsOf(value: Value): readonly Part[] {
  if (value === null || typeof value !== 'object')
    return [parameter(value === null ? null : String(value), 'text')];
  if ('parts' in value) return value.parts;
  return [parameter(arrayLiteral(value), 'text[]')];
}

const parameter = (value: string | null, type: string): Part => {
  if (value?.includes('\0')) throw new TypeError('A value for PostgreSQL may not contain NUL.');
  return { value, type };
};

/** A value with its type (as pg_catalog.format_type prints it: trusted, from the catalog); evaluated once a statement. */
export function typedValue(value: string | null, type: string): Sql {
  return { parts: [parameter(value, type)] };
}

/** A list of values of one element type, as an array of that type. */
export function typedArray(values: readonly string[], elementType: string): Sql {
  return { parts: [parameter(arrayLiteral(values), `${elementType}[]`)] };
}

/** Quoted identifiers joined by dots: ident('public', 'Orders') is "public"."Orders". */
export function ident(...names: readonly string[]): Sql {
  return { parts: [{ text: names.map(quoteIdent).join('.') }] };
}

/** A whole number written into the text, where a parameter cannot stand (tid bounds, SET, LIMIT of a COPY). */
export function integer(value: number | bigint): Sql {
  if (typeof value === 'number' && !Number.isSafeInteger(value))
    throw new TypeError(`Not a whole number: ${value}`);
  return { parts: [{ text: String(value) }] };
}

/** A quoted string constant, for statements that take no parameters (SET, COMMENT, a multi-statement query). */
export function literal(value: string): Sql {
  return { parts: [{ text: quoteLiteral(value) }] };
}

/** Text that comes whole from PostgreSQL itself (format_type, pg_get_indexdef, an operator's name), never from a caller. */
export function fromCatalog(text: string): Sql {
  return { parts: [{ text }] };
}

export function join(list: readonly Sql[], separator: string): Sql {
  return { parts: list.flatMap((part, i) => (i === 0 ? part.parts : [{ text: separator }, ...part.parts])) };
}

export interface Query {
  readonly text: string;
  readonly values: (string | null)[];
}

/** For the extended protocol: $1::type, $2::type, ... */
export function toQuery(statement: Sql): Query {
  const values: (string | null)[] = [];
  const text = statement.parts
    .map((part) => {
      if ('text' in part) return part.text;
      values.push(part.value);
      return part.type === 'text' ? `$${values.length}` : `$${values.length}::${part.type}`;
    })
    .join('');
  return { text, values };
}

export interface BoundStatement {
  /** set_config calls that put the values within the statement's reach; run in the same transaction. Empty without values. */
  readonly settings: string;
  readonly text: string;
}

/**
 * For COPY and other statements that take no parameters: values go in by set_config and come out by a scalar sub-select,
 * which PostgreSQL evaluates once a statement (not once a row) and can still use as an index condition.
 */
export function toBoundStatement(statement: Sql): BoundStatement {
  const settings: string[] = [];
  const text = statement.parts
    .map((part) => {
      if ('text' in part) return part.text;
      if (part.value === null) return `NULL::${part.type}`;
      const name = quoteLiteral(`declutter.v${settings.length + 1}`);
      settings.push(`pg_catalog.set_config(${name}, ${quoteLiteral(part.value)}, true)`);
      return `((SELECT pg_catalog.current_setting(${name})::${part.type})::${part.type})`;
    })
    .join('');
  return { settings: settings.length === 0 ? '' : `SELECT ${settings.join(', ')}`, text };
}

/** With the values written in as constants: for people to read (plan steps) and for multi-statement queries of our own. */
export function toText(statement: Sql): string {
  return statement.parts
    .map((part) => {
      if ('text' in part) return part.text;
      if (part.value === null) return 'NULL';
      return part.type === 'text' ? quoteLiteral(part.value) : `${quoteLiteral(part.value)}::${part.type}`;
    })
    .join('');
}

export function quoteIdent(name: string): string {
  if (name === '' || name.includes('\0'))
    throw new TypeError('An identifier may not be empty or contain NUL.');
  return `"${name.replaceAll('"', '""')}"`;
}

/** Safe under any standard_conforming_strings: a backslash makes it an E'' string. */
export function quoteLiteral(value: string): string {
  if (value.includes('\0')) throw new TypeError('A value for PostgreSQL may not contain NUL.');
  const quoted = `'${value.replaceAll("'", "''").replaceAll('\\', '\\\\')}'`;
  return value.includes('\\') ? ` E${quoted}` : quoted;
}

const arrayLiteral = (values: readonly string[]) =>
  `{${values.map((value) => `"${value.replaceAll('\\', '\\\\').replaceAll('"', '\\"')}"`).join(',')}}`;
