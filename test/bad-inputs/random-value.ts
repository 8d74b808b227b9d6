import {
  getNullableType,
  type GraphQLInputType,
  isEnumType,
  isInputObjectType,
  isListType,
  isNonNullType,
} from 'graphql';
import type { Random } from './random.ts';

/** Typed where something else belongs, or as a password: no answer and no log may have it. */
export const TYPED_CANARY = 'canary-that-was-typed-88d1';

/** Words that exist, so that some operations get far. */
export interface Words {
  readonly ids: readonly string[];
  readonly hashes: readonly string[];
}

export interface ValueSource {
  /** A value that the type takes, or (seldom) one of another type. */
  value(type: GraphQLInputType, name: string): unknown;
}

const NASTY: readonly string[] = [
  "' or 1=1 --",
  '"; DROP TABLE events; --',
  '\ud800',
  'a\0b',
  '\u202eabc',
  '../../etc/passwd',
  '%2e%2e%2f',
  '',
  ' ',
  'x'.repeat(3_000),
  '\u{1f4a3}'.repeat(40),
  '{"level":"fatal"}\n',
  '\\',
  "E'\\x00'",
  '$1',
  '${jndi:ldap://x}',
  '9223372036854775808',
  'NaN',
  'infinity',
];

const forged = (...parts: unknown[]) => Buffer.from(JSON.stringify(parts)).toString('base64url');
const CURSORS: readonly string[] = [
  forged('2024-01-01T00:00:00.000Z', '6f1c2a52-6c2c-4a6b-9d34-0d8b3f0a7c11'),
  forged('2024-02-31T00:00:00.000Z', '6f1c2a52-6c2c-4a6b-9d34-0d8b3f0a7c11'),
  forged('1'),
  forged('x'),
  forged('1', 'public', 'events'),
  forged('INFO', '0', 'x'),
  forged('x', 'y', 'z'),
  forged('99999999999999999999', 'a', 'b'),
  forged(1, null),
  'nonsense',
];

/** By the name of the argument or field; a name that is not here gets something nasty, or one of these words. */
const TEXTS: Readonly<Record<string, readonly string[]>> = {
  database: ['shop', 'shop', 'shop', 'absent'],
  name: ['shop', 'events', 'absent'],
  schema: ['public', 'public', 'pg_catalog', 'absent'],
  referencedSchema: ['public'],
  table: ['events', 'sessions', 'held', 'lines', 'a_view', 'absent'],
  referencedTable: ['orders', 'events'],
  index: ['events_pkey', 'absent'],
  column: ['id', 'kind', 'at', 'absent'],
  columns: ['id', 'order_id', 'kind'],
  referencedColumns: ['id'],
  by: ['id', 'at', 'kind'],
  per: ['kind', 'id'],
  after: CURSORS,
  value: ['7', '2024-01-01', 'x'],
  values: ['7', '8', 'x'],
  // never a name that would have to be looked up
  host: ['localhost', '127.1', '169.254.169.254', '/tmp', 'a b'],
  password: [TYPED_CANARY],
  passwordRef: ['env:DECLUTTER_TARGET_SHOP_PASSWORD', 'env:PATH', TYPED_CANARY],
  caRef: ['file:/etc/shadow'],
  store: ['local', 's3', '../..'],
  from: ['22:00', '25:00'],
  to: ['06:00'],
  timeZone: ['Europe/Berlin', 'Mars/Olympus'],
  schedule: ['30 2 * * *', '*/5 * * * *', '0 0 31 2 *', '@daily', '99 * * * *'],
};
const NEVER_NASTY = new Set(['host']);

/** Always given, and never long. */
export const WAITS: ReadonlySet<string> = new Set(['timeoutMs', 'waitMs']);

const NUMBERS = [0, 1, 5, 20, 100, 101, -1, 2_147_483_647, -2_147_483_648];

export function valueSource(random: Random, words: Words): ValueSource {
  const text = (name: string): string => {
    if (!NEVER_NASTY.has(name) && random.chance(0.25)) return random.pick(NASTY);
    if (/hash/i.test(name)) return random.pick([...words.hashes, 'h']);
    return random.pick(TEXTS[name] ?? ['x', 'why not', ...NASTY.slice(0, 3)]);
  };

  const scalars: Readonly<Record<string, (name: string) => unknown>> = {
    String: text,
    ID: () => random.pick([...words.ids, ...words.ids, 'nonsense', random.pick(NASTY)]),
    Boolean: () => random.chance(0.5),
    Int: (name) => (WAITS.has(name) ? random.pick([0, 1, -1, 30_000]) : random.pick(NUMBERS)),
    SafeInt: () => random.pick([...NUMBERS, Number.MAX_SAFE_INTEGER]),
    Float: () => random.pick([0, 0.5, 1, -1, 1e308, 5e-324]),
    DateTime: () =>
      random.pick(['2030-01-01T00:00:00Z', '1970-01-01T00:00:00Z', '9999-12-31T23:59:59Z', 8.64e15]),
    Duration: () => random.pick(['P90D', 'PT1H', 'P0D', 'P1000Y', '-P1D', `PT${'9'.repeat(30)}S`]),
    JSON: () => ({ any: 'thing' }),
  };

  const wrong = (name: string): unknown =>
    random.pick<unknown>([
      TYPED_CANARY,
      [TYPED_CANARY],
      { canary: TYPED_CANARY },
      -0.5,
      null,
      name === 'host' ? 1 : {},
    ]);

  const value = (type: GraphQLInputType, name: string, depth: number): unknown => {
    const isText = /^(String|ID)!?$/.test(String(type));
    if (!isText && random.chance(0.02)) return wrong(name);
    if (!isNonNullType(type) && random.chance(0.05)) return null;
    const inner: GraphQLInputType = getNullableType(type);
    if (isListType(inner))
      return Array.from({ length: random.below(3) }, () => value(inner.ofType, name, depth + 1));
    if (isEnumType(inner)) return random.pick(inner.getValues()).name;
    if (!isInputObjectType(inner)) return (scalars[inner.name] ?? (() => 'x'))(name);
    const fields = Object.values(inner.getFields());
    const given = fields.filter(
      (field) =>
        (isNonNullType(field.type) && field.defaultValue === undefined) || (depth < 4 && random.chance(0.35)),
    );
    return Object.fromEntries(given.map((field) => [field.name, value(field.type, field.name, depth + 1)]));
  };
  return { value: (type, name) => value(type, name, 0) };
}
