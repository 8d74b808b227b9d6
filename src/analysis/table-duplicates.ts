import { badInput, notFound } from '../errors.ts';
import type { Session } from '../target/session.ts';
import type { Clock } from '../clock.ts';
import { countDuplicates, type DuplicateCount, type DuplicateQuestion } from './count-duplicates.ts';
import { readDatabaseFigures } from './database-figures.ts';
import { isText, type KeyPart } from './duplicate-keys.ts';
import { countInWords, lookAtKey } from './look-at-key.ts';
import { isNotRead, makeRowReader, type NotRead, tableBudget } from './row-reader.ts';
import {
  type BaseType,
  readBaseTypes,
  readHindrances,
  type RowSubject,
  rowSubjects,
  subjectByItself,
} from './row-subjects.ts';

/** How many rows of a table repeat another in a key that somebody names. */
export interface TableDuplicates {
  /** beyond the first of each key; null: not known */
  readonly rows: number | null;
  /** keys that come more than once, among the rows that were looked at */
  readonly keys: number | null;
  /** rows of the key that comes most often */
  readonly largest: number | null;
  readonly rowsLookedAt: number;
  readonly method: DuplicateCount['method'] | 'NONE';
  readonly detail: string;
}

export interface DuplicatesWanted {
  readonly schema: string;
  readonly table: string;
  readonly key: readonly KeyPart[];
  readonly exact: boolean;
}

/** @throws BAD_USER_INPUT when the key does not fit the table; NOT_FOUND */
export async function readDuplicates(
  session: Session,
  clock: Clock,
  wanted: DuplicatesWanted,
): Promise<TableDuplicates> {
  const subject = await readSubject(session, clock, wanted);
  checkKey(wanted.key, subject, await readBaseTypes(session, [subject]));
  const hindrance = (await readHindrances(session, [subject])).get(subject.table.oid);
  if (hindrance !== undefined) return unknown(hindrance);
  const rows = makeRowReader(session, clock, tableBudget(wanted.exact));
  const question: DuplicateQuestion = { subject, parts: wanted.key, softDelete: null, skipsEmpty: false };
  const counted = wanted.exact ? await countDuplicates(rows, question) : null;
  if (counted !== null && !isNotRead(counted)) return answer(counted, wanted.key, null);
  const sampled = await lookAtKey(rows, question);
  return isNotRead(sampled) ? unknown((counted ?? sampled).notRead) : answer(sampled, wanted.key, counted);
}

/** With its partitions, when it has some; a partition by itself, when it is asked for. */
async function readSubject(
  session: Session,
  clock: Clock,
  { schema, table: name }: DuplicatesWanted,
): Promise<RowSubject> {
  const figures = await readDatabaseFigures(session, { scope: { schema, table: name }, exact: null, clock });
  const table = figures.tables.find((one) => one.schema === schema && one.name === name);
  if (!table) throw notFound(`The table ${schema}.${name}`);
  return rowSubjects(figures).find((subject) => subject.table.oid === table.oid) ?? subjectByItself(table);
}

const MOST_COLUMNS = 32;

function checkKey(
  key: readonly KeyPart[],
  { columns }: RowSubject,
  types: ReadonlyMap<number, BaseType>,
): void {
  if (key.length === 0 || key.length > MOST_COLUMNS)
    throw badInput(`A key has from 1 to ${MOST_COLUMNS} columns.`);
  if (new Set(key.map(({ column }) => column)).size < key.length)
    throw badInput('A key has each column once.');
  for (const { column: name, ignoreCase, trim } of key) {
    const column = columns.find((one) => one.name === name);
    if (!column) throw badInput(`The table has no column "${name}".`, { column: name });
    if ((ignoreCase || trim) && !isText(column, types))
      throw badInput(`"${name}" is no text: it has neither case nor spaces to ignore.`, { column: name });
  }
}

const unknown = (detail: string): TableDuplicates => ({
  rows: null,
  keys: null,
  largest: null,
  rowsLookedAt: 0,
  method: 'NONE',
  detail,
});

const answer = (
  count: DuplicateCount,
  key: readonly KeyPart[],
  notCounted: NotRead | null,
): TableDuplicates => ({
  rows: count.estimated,
  keys: count.groups,
  largest: count.largest,
  rowsLookedAt: count.rows,
  method: count.method,
  detail: [
    countInWords(count, key),
    ...(notCounted === null ? [] : [`Not counted in full: ${notCounted.notRead}`]),
  ].join(' '),
});
