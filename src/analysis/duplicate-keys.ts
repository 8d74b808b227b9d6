import type { ColumnFigures } from './define-analysis.ts';
import { pointerOf, snakeCase } from './reference-names.ts';
import type { BaseType, RowSubject } from './row-subjects.ts';

/** One column of a key, and which differences between its values do not count. */
export interface KeyPart {
  readonly column: string;
  readonly ignoreCase: boolean;
  readonly trim: boolean;
}

/** Rows that count as deleted, by a date or by a flag. */
export interface SoftDelete {
  readonly column: string;
  readonly isFlag: boolean;
}

/** Columns that look as if no two rows should have the same values in them. */
export interface ProposedKey {
  readonly subject: RowSubject;
  readonly parts: readonly KeyPart[];
  /** in a few words */
  readonly why: string;
  /** by what its values are, not only by how few repeat */
  readonly isNatural: boolean;
  /** share of rows, 0..1: where more have to go, it was no key */
  readonly mostSurplus: number;
  /** share of different values among those that are there, by the statistics; null: not known, or several columns */
  readonly uniqueness: number | null;
  readonly softDelete: SoftDelete | null;
}

interface NaturalRule {
  readonly pattern: RegExp;
  /** Case and outer spaces are the writer's whim. */
  readonly loose: boolean;
  /** Names a thing that has a row of its own only in its own table; in an event or a history it comes again and again. */
  readonly ofThing: boolean;
}

const NATURAL: readonly NaturalRule[] = [
  { pattern: /^(id|uuid|guid)$/, loose: false, ofThing: false },
  {
    pattern:
      /^(external|ext|foreign|remote|source|legacy|import|partner|transaction|message|event|request|idempotency)_(id|uuid|guid|key|ref|reference)$/,
    loose: false,
    ofThing: false,
  },
  { pattern: /^(primary_)?(e_?mail|mail)(_address)?$/, loose: true, ofThing: true },
  {
    pattern: /^(user_?name|login(_name)?|nick(_?name)?|handle|screen_name|slug)$/,
    loose: true,
    ofThing: true,
  },
  {
    pattern:
      /^(sku|isbn|iban|ean|gtin|upc|vin|imei|barcode|ssn|tax_(id|no|number)|vat_(id|no|number)|passport_(no|number)|serial_?(no|nr|number))$/,
    loose: true,
    ofThing: true,
  },
  {
    pattern:
      /^(order|invoice|customer|account|article|product|contract|policy|ticket|document|item|part|employee|member)_?(no|nr|number|code)$/,
    loose: true,
    ofThing: true,
  },
];

/** What only counts where the statistics say that next to no value repeats. */
const IDENTIFYING =
  /(^|_)(id|key|code|no|nr|number|ref|reference|hash|token|checksum|fingerprint|sha\d*|md5)$/;

/** Tables that hold the same thing at several times. */
const HISTORY =
  /(^|_)(history|histories|audit|audits|log|logs|archive|archives|version|versions|revision|revisions|snapshot|snapshots|backup|backups|bak|tmp|temp|staging|queue|outbox)(_|$)/;
const EVENTS =
  /(^|_)(events?|messages?|mails?|emails?|visits?|clicks?|requests?|sessions?|orders?|payments?)$/;

/** Within what a natural key is one: a customer's, a language's, a version's. */
const SCOPE =
  /^(tenant|account|organi[sz]ation|org|company|workspace|customer|shop|store|project|team|site|client)(_(id|uuid|code))?$|^(locale|lang|language)(_(id|code))?$|^(version|revision|valid_from|valid_since|effective_from)$/;
const SOURCE =
  /^(source|provider|system|channel|platform|origin|integration|issuer|scheme|type|kind)(_(id|name|code|type))?$/;

const SOFT_DATE = /^(deleted|removed|archived|discarded|trashed)_(at|on|date|time)$/;
const SOFT_FLAG = /^(is_)?(deleted|removed|archived|discarded|trashed)$/;

const FEWEST_ROWS = 20;
const LEAST_UNIQUE = 0.5;
const NEARLY_UNIQUE = 0.9;
/** For a column that points elsewhere it is usual to repeat. */
const NEARLY_UNIQUE_POINTER = 0.98;
/** Above this the statistics have seen no value twice; they are kept as float4. */
const ALL_DIFFERENT = 0.99999;
const MOST_KEYS = 3;

type Types = ReadonlyMap<number, BaseType>;

/** Candidates of a table, the most telling first; none that a unique index keeps already. */
export function proposeKeys(subject: RowSubject, types: Types): ProposedKey[] {
  const table = snakeCase(subject.table.name);
  if (subject.table.liveRows < FEWEST_ROWS || HISTORY.test(table)) return [];
  const columns = subject.columns.filter((column) => isKeyType(column, types) && !column.isVirtual);
  const natural = columns.flatMap((column) => naturalKey(subject, column, types) ?? []);
  const used = new Set(natural.flatMap(({ parts }) => parts.map(({ column }) => column)));
  const others = columns.filter((column) => !used.has(column.name));
  const nearly = others.flatMap((column) => nearlyUniqueKey(subject, column) ?? []);
  const pair = nearly.length > 0 ? [] : pairKey(subject, columns);
  return [...natural, ...nearly, ...pair].filter((key) => !isKept(key, types)).slice(0, MOST_KEYS);
}

/** int2, int4, int8, text, varchar, char(n), uuid, bytea */
const KEY_TYPES = new Set([20, 21, 23, 25, 1043, 1042, 2950, 17]);
const TEXT_TYPES = new Set([25, 1043, 1042]);

const baseOf = ({ typeOid }: ColumnFigures, types: Types): BaseType =>
  types.get(typeOid) ?? { oid: typeOid, isCitext: false };

function isKeyType(column: ColumnFigures, types: Types): boolean {
  const base = baseOf(column, types);
  return base.isCitext || KEY_TYPES.has(base.oid);
}

export function isText(column: ColumnFigures, types: Types): boolean {
  const base = baseOf(column, types);
  return base.isCitext || TEXT_TYPES.has(base.oid);
}

/** Of the values that are there, how many are different; of a partitioned table in its largest partition. */
export function uniquenessOf(column: ColumnFigures, { leaves }: RowSubject): number | null {
  const { statistics } = column;
  const rows = leaves[0]?.liveRows ?? 0;
  if (statistics === null || rows === 0 || statistics.nullShare >= 1) return null;
  const share = statistics.distinct < 0 ? -statistics.distinct : statistics.distinct / rows;
  return Math.min(share / (1 - statistics.nullShare), 1);
}

function naturalKey(subject: RowSubject, column: ColumnFigures, types: Types): ProposedKey | null {
  const name = snakeCase(column.name);
  const rule = NATURAL.find(({ pattern }) => pattern.test(name));
  if (!rule || (rule.ofThing && EVENTS.test(snakeCase(subject.table.name)))) return null;
  const scopes = scopesOf(subject, column, rule);
  const uniqueness = scopes.length === 0 ? uniquenessOf(column, subject) : null;
  if (uniqueness !== null && uniqueness < LEAST_UNIQUE) return null;
  const loose = rule.loose && isText(column, types);
  return {
    ...common(subject),
    parts: [...scopes.map(strict), { column: column.name, ignoreCase: loose, trim: loose }],
    why: 'its name says that it tells one row from another',
    isNatural: true,
    mostSurplus: 0.3,
    uniqueness,
  };
}

const common = (subject: RowSubject) => ({ subject, softDelete: softDeleteOf(subject) });

const strict = (column: string): KeyPart => ({ column, ignoreCase: false, trim: false });

/** Only what every row has: a key of which a part is NULL equals no other. */
function scopesOf(subject: RowSubject, key: ColumnFigures, rule: NaturalRule): string[] {
  const isScope = (name: string) => SCOPE.test(name) || (!rule.ofThing && SOURCE.test(name));
  return /^(id|uuid|guid)$/.test(snakeCase(key.name))
    ? []
    : subject.columns
        .filter((column) => column !== key && isScope(snakeCase(column.name)) && isFilled(column))
        .map((column) => column.name);
}

const isFilled = ({ notNull, statistics }: ColumnFigures) =>
  notNull || (statistics !== null && statistics.nullShare < 0.01);

function nearlyUniqueKey(subject: RowSubject, column: ColumnFigures): ProposedKey | null {
  const name = snakeCase(column.name);
  const uniqueness = uniquenessOf(column, subject);
  if (uniqueness === null || !IDENTIFYING.test(name)) return null;
  const least = pointerOf(name) === null ? NEARLY_UNIQUE : NEARLY_UNIQUE_POINTER;
  if (uniqueness < least || uniqueness >= ALL_DIFFERENT) return null;
  return {
    ...common(subject),
    parts: [strict(column.name)],
    why: 'next to none of its values come twice',
    isNatural: false,
    mostSurplus: 0.1,
    uniqueness,
  };
}

const MOST_OTHER_COLUMNS = 3;

/** A table that says little more than that two things belong together should not say it twice. */
function pairKey(subject: RowSubject, columns: readonly ColumnFigures[]): ProposedKey[] {
  const pointers = columns.filter(({ name }) => /(_id|_uuid|_guid)$/.test(snakeCase(name)));
  const [one, two, ...more] = pointers;
  if (!one || !two || more.length > 0 || subject.columns.length > 2 + MOST_OTHER_COLUMNS) return [];
  const distinct = (column: ColumnFigures) =>
    (uniquenessOf(column, subject) ?? 0) * (subject.leaves[0]?.liveRows ?? 0);
  if (distinct(one) * distinct(two) < (subject.leaves[0]?.liveRows ?? 0)) return [];
  return [
    {
      ...common(subject),
      parts: [strict(one.name), strict(two.name)],
      why: 'the table joins the two',
      isNatural: false,
      mostSurplus: 0.1,
      uniqueness: null,
    },
  ];
}

function softDeleteOf({ columns }: RowSubject): SoftDelete | null {
  const date = columns.find(({ name, notNull }) => !notNull && SOFT_DATE.test(snakeCase(name)));
  if (date) return { column: date.name, isFlag: false };
  const flag = columns.find(({ name, typeOid }) => typeOid === 16 && SOFT_FLAG.test(snakeCase(name)));
  return flag ? { column: flag.name, isFlag: true } : null;
}

/** By a unique index on these columns or fewer; one with a predicate or an expression shows what its owner means to allow. */
function isKept(key: ProposedKey, types: Types): boolean {
  const names = new Set(key.parts.map(({ column }) => column));
  return key.subject.indexes
    .filter((index) => index.isUnique)
    .some((index) => {
      if (index.expressions !== null) return [...names].some((name) => index.expressions?.includes(name));
      if (!index.keys.every(({ column }) => column !== null && names.has(column))) return false;
      return index.predicate !== null || !key.parts.some((part) => mayVary(part, key.subject, types));
    });
}

const mayVary = (part: KeyPart, { columns }: RowSubject, types: Types) =>
  (part.ignoreCase || part.trim) &&
  columns.some((column) => column.name === part.column && !baseOf(column, types).isCitext);
