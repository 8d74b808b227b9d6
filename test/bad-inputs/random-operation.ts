import {
  type GraphQLArgument,
  type GraphQLField,
  type GraphQLInputType,
  type GraphQLObjectType,
  type GraphQLSchema,
  getNamedType,
  isEnumType,
  isInputObjectType,
  isListType,
  isNonNullType,
  isObjectType,
} from 'graphql';
import type { Client } from '../support/api-server.ts';
import type { Random } from './random.ts';
import { type ValueSource, valueSource, WAITS, type Words } from './random-value.ts';

export interface RandomOperation {
  readonly client: Client;
  readonly kind: 'query' | 'mutation';
  readonly query: string;
  readonly variables: Readonly<Record<string, unknown>>;
}

const JUNK = [
  '{',
  '}',
  '(',
  ')',
  '$',
  '!',
  '"',
  '@include(if: "x")',
  '...',
  '# ',
  '\u200b',
  '[',
  '&',
  'fragment',
  '\\u0000',
];

/** Operations over the whole schema: most are valid, some are damaged afterwards. */
export function operationSource(
  schema: GraphQLSchema,
  random: Random,
  clients: readonly Client[],
  words: Words,
): () => RandomOperation {
  const values = valueSource(random, words);
  const roots = [
    schema.getQueryType(),
    schema.getQueryType(),
    schema.getMutationType(),
  ] as GraphQLObjectType[];
  return () => {
    const root = random.pick(roots);
    const draft = new Draft(random, values);
    const selections = draft.selection(root, 0);
    const head = draft.definitions.length === 0 ? '' : `(${draft.definitions.join(', ')})`;
    const kind = root === schema.getMutationType() ? 'mutation' : 'query';
    const query = `${kind} Q${head} ${selections}`;
    return {
      client: random.pick(clients),
      kind,
      query: random.chance(0.35) ? damaged(query, random) : query,
      variables: random.chance(0.03) ? {} : draft.variables,
    };
  };
}

class Draft {
  readonly definitions: string[] = [];
  readonly variables: Record<string, unknown> = {};
  readonly #random: Random;
  readonly #values: ValueSource;

  constructor(random: Random, values: ValueSource) {
    this.#random = random;
    this.#values = values;
  }

  selection(type: GraphQLObjectType, depth: number): string {
    const fields = Object.values(type.getFields());
    const deepest = depth >= this.#random.pick([2, 3, 5, 7]);
    const possible = deepest ? fields.filter((field) => !isObjectType(getNamedType(field.type))) : fields;
    if (possible.length === 0) return '{ __typename }';
    const count = depth === 0 ? 1 : 1 + this.#random.below(4);
    const chosen = new Set(Array.from({ length: count }, () => this.#random.pick(possible)));
    return `{ ${[...chosen].map((field) => this.#field(field, depth)).join(' ')} }`;
  }

  #field(field: GraphQLField<unknown, unknown>, depth: number): string {
    const given = field.args.filter(
      (arg) =>
        (isNonNullType(arg.type) && arg.defaultValue === undefined) ||
        WAITS.has(arg.name) ||
        this.#random.chance(0.4),
    );
    const args = given.map((arg) => `${arg.name}: ${this.#argument(arg)}`);
    const alias = this.#random.chance(0.05) ? `a${this.#random.below(9)}: ` : '';
    const inner = getNamedType(field.type);
    const rest = isObjectType(inner) ? ` ${this.selection(inner, depth + 1)}` : '';
    return `${alias}${field.name}${args.length === 0 ? '' : `(${args.join(', ')})`}${rest}`;
  }

  #argument({ name, type }: GraphQLArgument): string {
    const value = this.#values.value(type, name);
    if (this.#random.chance(0.3)) return literal(value, type);
    const variable = `v${this.definitions.length}`;
    this.definitions.push(`$${variable}: ${String(type)}`);
    this.variables[variable] = value;
    return `$${variable}`;
  }
}

function literal(value: unknown, type: GraphQLInputType): string {
  const inner = isNonNullType(type) ? type.ofType : type;
  if (Array.isArray(value)) {
    const item = isListType(inner) ? inner.ofType : inner;
    return `[${value.map((member) => literal(member, item)).join(', ')}]`;
  }
  if (isEnumType(inner) && typeof value === 'string') return value;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  const fields = isInputObjectType(inner) ? inner.getFields() : {};
  const members = Object.entries(value).map(
    ([key, member]) => `${key}: ${literal(member, fields[key]?.type ?? inner)}`,
  );
  return `{${members.join(', ')}}`;
}

function damaged(query: string, random: Random): string {
  const at = random.below(query.length);
  const end = Math.min(query.length, at + 1 + random.below(12));
  const piece = query.slice(at, end);
  return random.pick<() => string>([
    () => query.slice(0, at) + query.slice(end),
    () => query.slice(0, at) + random.pick(JUNK) + query.slice(at),
    () => query.slice(0, at) + piece + piece + query.slice(end),
    () => query.slice(0, at),
    () => query.replace(/\b([a-z]{4,})\b/, '$1s'),
    () => query.replace(/: (Int|String|ID)\b/, ': Boolean'),
    () => query.replace('{', '{ ...F ') + ' fragment F on Query { ...F }',
    () => query.replace(/^(query|mutation)/, 'subscription'),
    () => `${query} ${query}`,
  ])();
}
