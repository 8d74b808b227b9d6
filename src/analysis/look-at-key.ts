import {
  type DuplicateCount,
  type DuplicateQuestion,
  lookUpDuplicates,
  sampleDuplicates,
} from './count-duplicates.ts';
import type { KeyPart } from './duplicate-keys.ts';
import { isNotRead, type NotRead, type RowReader } from './row-reader.ts';
import type { RowSubject } from './row-subjects.ts';

/** Without reading the table whole: by an index where one serves, which sees all rows of a sampled value; else within a sample. */
export async function lookAtKey(
  rows: RowReader,
  question: DuplicateQuestion,
): Promise<DuplicateCount | NotRead> {
  const found = isServed(question) ? await lookUpDuplicates(rows, question) : null;
  const isFound = found !== null && !isNotRead(found);
  if (isFound && (found.surplus > 0 || !isLoose(question.parts))) return found;
  const sample = await sampleDuplicates(rows, question);
  const sawNone = !isNotRead(sample) && sample.surplus === 0 && sample.method === 'SAMPLE';
  return isFound && sawNone ? found : sample;
}

/** Values that differ in case or spaces are one: no index on the values as they are finds them all. */
const isLoose = (parts: readonly KeyPart[]) => parts.some(({ ignoreCase, trim }) => ignoreCase || trim);

/** Below this the table is read whole at once. */
const SMALL_PAGES = 1_000;
const MOST_ROWS_A_VALUE = 1_000;
const FIRST_USER_OID = 16_384;
/** Our look-ups count as use: an index that nobody else uses must go on to look unused. */
const BUSY_SCANS = 10_000;

/** By an index whose leading column finds few rows. Operators of types that users made are not for us to choose. */
function isServed({ subject, parts }: DuplicateQuestion): boolean {
  if (subject.pages <= SMALL_PAGES) return false;
  const builtIn = (column: string) =>
    subject.columns.some(({ name, typeOid }) => name === column && typeOid < FIRST_USER_OID);
  return (
    parts.every(({ column }) => builtIn(column)) &&
    leadingIndexes(subject, parts).some(
      ({ predicate, keys }) =>
        predicate === null && rowsAValue(subject, keys[0]?.column ?? '') <= MOST_ROWS_A_VALUE,
    ) &&
    leadingIndexes(subject, parts).every(({ scans }) => scans >= BUSY_SCANS)
  );
}

/** PostgreSQL may take any of these. */
const leadingIndexes = ({ indexes }: RowSubject, parts: readonly KeyPart[]) =>
  indexes.filter(
    ({ method, keys }) => method === 'btree' && parts.some(({ column }) => column === keys[0]?.column),
  );

function rowsAValue({ columns, leaves }: RowSubject, name: string): number {
  const distinct = columns.find((column) => column.name === name)?.statistics?.distinct ?? null;
  if (distinct === null) return Infinity;
  return distinct < 0 ? -1 / distinct : (leaves[0]?.liveRows ?? 0) / Math.max(distinct, 1);
}

export function countInWords(count: DuplicateCount, parts: readonly KeyPart[]): string {
  const { method, rows, groups, surplus, same, largest } = count;
  if (method === 'LOOK_UP')
    return (
      `Of ${rows} sampled rows ${groups} have others of the same values, up to ${largest} each; of all rows that is an estimate.` +
      (isLoose(parts) ? ' Rows that differ in case or outer spaces come on top.' : '')
    );
  const where =
    method === 'COUNT' ? `Of all ${rows} rows with values` : `Among ${rows} sampled rows with values`;
  const letter = same === surplus ? 'all' : String(same);
  const seen = `${where} ${groups} keys come more than once, the most frequent ${largest} times; ${surplus} rows are too many, ${letter} of them the same to the letter.`;
  if (method === 'COUNT') return groups === 0 ? `${where} no key comes more than once.` : seen;
  return groups === 0
    ? `${where} no key comes more than once; the others were not looked at.`
    : `${seen} Each pair was seen and is one; how many there are beyond the sample it cannot tell.`;
}
