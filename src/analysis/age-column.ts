import type { ColumnFigures, MeasuredTable } from './define-analysis.ts';

/** The column by which a table's rows grow old. */
export interface AgedColumn {
  readonly name: string;
  /** why this one, in a few words */
  readonly reason: string;
  /** a row is over when its time has come, or when it was not seen again */
  readonly isTransient: boolean;
  /** an index leads with it, so that old rows are found without reading the table */
  readonly indexed: boolean;
}

/** date, timestamp, timestamp with time zone */
const DATE_TYPES = new Set([1082, 1114, 1184]);

interface NameRule {
  readonly pattern: RegExp;
  readonly worth: number;
  readonly reason: string;
  readonly isTransient?: boolean;
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
  },
];

/** Null when no column tells age. Two columns of equal worth: the one that is never NULL, indexed, first. */
export function ageColumn(table: Pick<MeasuredTable, 'columns' | 'indexes'>): AgedColumn | null {
  const leading = new Set(table.indexes.map((index) => index.keys[0]?.column));
  const ranked = table.columns
    .filter((column) => DATE_TYPES.has(column.typeOid) && !column.dropped && !column.isVirtual)
    .flatMap((column) => ranking(column, leading.has(column.name)) ?? [])
    .sort((a, b) => b.worth - a.worth);
  return ranked[0]?.column ?? null;
}

function ranking(column: ColumnFigures, indexed: boolean): { worth: number; column: AgedColumn } | null {
  const name = column.name.replace(/([a-z])([A-Z])/g, '$1_$2').toLowerCase();
  const rule = NAME_RULES.find(({ pattern }) => pattern.test(name));
  if (!rule || rule.worth === 0) return null;
  return {
    worth: rule.worth + (column.notNull ? 8 : 0) + (indexed ? 8 : 0),
    column: { name: column.name, reason: rule.reason, isTransient: rule.isTransient ?? false, indexed },
  };
}
