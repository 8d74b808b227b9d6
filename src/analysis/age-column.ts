import type { ColumnFigures, MeasuredIndex } from './define-analysis.ts';
import { snakeCase } from './reference-names.ts';

/** How a column tells a time. EPOCH: whole numbers that count from 1970, in a unit that their range shows. */
export type AgeType = 'DATE' | 'TIMESTAMP' | 'TIMESTAMPTZ' | 'EPOCH';

/** The column by which a table's rows grow old. */
export interface AgedColumn {
  readonly name: string;
  readonly type: AgeType;
  /** why this one, in a few words */
  readonly reason: string;
  /** a row is over when its time has come, or when it was not seen again */
  readonly isTransient: boolean;
  /** chosen only because there is no other */
  readonly isGuess: boolean;
  /** an index leads with it, so that old rows are found without reading the table */
  readonly indexed: boolean;
}

const AGE_TYPES: ReadonlyMap<number, AgeType> = new Map([
  [1082, 'DATE'],
  [1114, 'TIMESTAMP'],
  [1184, 'TIMESTAMPTZ'],
  [20, 'EPOCH'],
  [23, 'EPOCH'],
]);

/** A number tells a time only where its name says so by its end: updated_by and event_id are numbers too. */
const EPOCH_NAME =
  /(^|_)(at|on|ts|time|date|datetime|timestamp|epoch|millis|ms|seconds|seen|utc|expires|expiry|until)$/;

interface NameRule {
  readonly pattern: RegExp;
  readonly worth: number;
  readonly reason: string;
  readonly isTransient?: boolean;
  readonly isGuess?: boolean;
}

/** The first that matches. What a date of birth or a due date tells is not the age of a row. */
const NAME_RULES: readonly NameRule[] = [
  {
    pattern: /birth|^dob$|^(due|starts?|begins?|effective|scheduled|planned|valid_from|published)(_|$)/,
    worth: 0,
    reason: '',
  },
  {
    pattern: /(^|_)(expir|valid_(un)?till?|ends?_at|end_date)/,
    worth: 50,
    reason: 'says when a row is over',
    isTransient: true,
  },
  {
    pattern: /(^|_)last_?(seen|used|active|activity|access|login|ping|heartbeat)/,
    worth: 45,
    reason: 'says when a row was last in use',
    isTransient: true,
  },
  {
    pattern: /(^|_)(updated|modified|changed|last_?(update|modified|change))/,
    worth: 40,
    reason: 'says when a row last changed',
  },
  {
    pattern:
      /(^|_)(created|creation|inserted|occurred|happened|placed|ordered|logged|recorded|received|sent|added|registered|event)/,
    worth: 35,
    reason: 'says when a row was made',
  },
  {
    pattern: /^(ts|time|timestamp|date|day|at|time_?stamp|datetime)$/,
    worth: 30,
    reason: 'says when a row was made',
  },
  {
    pattern: /(_at|_on|_date|_time|_ts|date|time)$/,
    worth: 20,
    reason: 'is the only date that may tell its age',
    isGuess: true,
  },
];

/** A date is a better witness than a number that looks like one. */
const WORTH_OF_DATE = 10;

interface Subject {
  readonly columns: readonly ColumnFigures[];
  readonly indexes: readonly MeasuredIndex[];
}

/** Null when no column tells age. Two columns of equal worth: the one that is never NULL, indexed, first. */
export function ageColumn({ columns, indexes }: Subject): AgedColumn | null {
  const leading = new Set(indexes.map((index) => index.keys[0]?.column));
  const ranked = columns
    .filter((column) => !column.dropped && !column.isVirtual)
    .flatMap((column) => ranking(column, leading.has(column.name)) ?? [])
    .sort((a, b) => b.worth - a.worth);
  return ranked[0]?.column ?? null;
}

function ranking(column: ColumnFigures, indexed: boolean): { worth: number; column: AgedColumn } | null {
  const type = AGE_TYPES.get(column.typeOid);
  const name = snakeCase(column.name);
  const rule = NAME_RULES.find(({ pattern }) => pattern.test(name));
  if (!type || !rule || rule.worth === 0 || (type === 'EPOCH' && !EPOCH_NAME.test(name))) return null;
  const { reason, isTransient = false, isGuess = false } = rule;
  return {
    worth: rule.worth + (column.notNull ? 8 : 0) + (indexed ? 8 : 0) + (type === 'EPOCH' ? 0 : WORTH_OF_DATE),
    column: { name: column.name, type, reason, isTransient, isGuess, indexed },
  };
}
