import { ident, toText } from '../target/sql.ts';
import type { NarrowKey } from './read-narrow-keys.ts';
import type { FedColumn, SequenceFigures } from './read-sequences.ts';

/** Something that counts up or down to an end. */
export interface Counter {
  /** of the column that is the first to be full, or of the sequence where it feeds none */
  readonly schema: string;
  readonly table: string;
  readonly columns: readonly string[];
  readonly sequence: string | null;
  readonly title: string;
  readonly up: boolean;
  readonly last: bigint;
  readonly end: bigint;
  /** numbers between the last and the end, whatever the increment; none or less: the next one fails */
  readonly left: bigint;
  /** 0..1 of the way from the start to the end */
  readonly share: number;
  /** what sets the end, in a sentence */
  readonly limit: string;
  readonly doubts: readonly string[];
  readonly advice: string;
}

const TYPES = { 2: 'smallint', 4: 'integer', 8: 'bigint' } as const;
const HIGHEST = { 2: 32_767n, 4: 2_147_483_647n, 8: 9_223_372_036_854_775_807n } as const;
/** Nobody uses up so many numbers one by one. */
const ENDLESS = 2n ** 53n;

/** Null: it has no end that matters. */
export function counterOfSequence(sequence: SequenceFigures): Counter | 'UNREADABLE' | null {
  const up = sequence.increment > 0n;
  const turned = (value: bigint) => (up ? value : -value);
  const { begin, end, own, room } = rangeOf(sequence, up);
  if (sequence.last === null) return end - begin < ENDLESS ? 'UNREADABLE' : null;
  const isEndless = sequence.cycles && end === own && !sequence.columns.some((column) => column.unique);
  if (isEndless || end <= begin) return null;
  const left = end - turned(sequence.last);
  return {
    ...subjectOf(sequence),
    sequence: `${sequence.schema}.${sequence.name}`,
    up,
    last: sequence.last,
    end: turned(end),
    left: left < turned(sequence.increment) ? 0n : left,
    share: Number(end - begin - left) / Number(end - begin),
    doubts: [],
    ...limitOf(sequence, end === own, end === room),
  };
}

/** As if it counted up. */
function rangeOf({ columns: [narrowest], start, min, max }: SequenceFigures, up: boolean) {
  const own = up ? max : -min;
  const room = narrowest ? HIGHEST[narrowest.width] + (up ? 0n : 1n) : own;
  // One that was made to begin far up has used what lies below all the same.
  const begin = least(up ? start : -start, most(up ? min : -max, 0n));
  return { begin, end: least(own, room), own, room };
}

const least = (a: bigint, b: bigint) => (a < b ? a : b);
const most = (a: bigint, b: bigint) => (a > b ? a : b);

const subjectOf = ({ columns: [column], ...sequence }: SequenceFigures) =>
  column
    ? {
        schema: column.schema,
        table: column.name,
        columns: [column.column],
        title: `${column.schema}.${column.name}.${column.column}, counted by the sequence ${sequence.name},`,
      }
    : {
        schema: sequence.schema,
        table: sequence.name,
        columns: [],
        title: `The sequence ${sequence.schema}.${sequence.name}`,
      };

function limitOf(sequence: SequenceFigures, byItself: boolean, byColumn: boolean) {
  const [column] = sequence.columns;
  const name = toText(ident(sequence.schema, sequence.name));
  const widen = `ALTER SEQUENCE ${name} AS bigint ${sequence.increment > 0n ? 'NO MAXVALUE' : 'NO MINVALUE'}`;
  const again = sequence.cycles
    ? ' The sequence then begins again (CYCLE), and meets numbers that are taken.'
    : '';
  if (column && byColumn && column.width < 8) {
    const through = column.direct ? '' : ', which takes its values by a foreign key';
    return {
      limit: `The column ${column.column} is ${TYPES[column.width]}${through}.${byItself ? again : ''}`,
      advice: `${widenColumn(column.schema, column.name, column.column)}${byItself ? ` and ${widen}` : ''}. ${stopgap(sequence, name, column)}`,
    };
  }
  return {
    limit: `The sequence is ${sequence.type} and ends there by itself.${again}`,
    advice: `${widen} takes a lock for a moment and writes nothing anew${column ? '' : '; look for what takes its numbers first, whether it has room for more'}.`,
  };
}

const widenColumn = (schema: string, table: string, column: string) =>
  `ALTER TABLE ${toText(ident(schema, table))} ALTER COLUMN ${toText(ident(column))} TYPE bigint writes the whole table anew under an ACCESS EXCLUSIVE lock; ` +
  'without that: add a bigint column, keep it filled by a trigger, fill the old rows in batches, and swap the names. Columns that refer to it need the same';

/** The other half of the numbers buys time. */
const stopgap = (sequence: SequenceFigures, name: string, column: FedColumn) =>
  sequence.increment > 0n && sequence.min >= 0n && column.direct
    ? `To win time, where nothing minds negative numbers: ALTER SEQUENCE ${name} MINVALUE ${-HIGHEST[column.width] - 1n} RESTART WITH ${-HIGHEST[column.width] - 1n}.`
    : '';

const COUNTED = 0.5;

/** A key that no sequence counts, as far as ANALYZE has seen it. Negative numbers say that it is no counter (a hash, a code). */
export function counterOfKey(key: NarrowKey): Counter | null {
  const { highest, lowest } = key;
  if (highest === null || lowest === null || lowest < 0) return null;
  const end = HIGHEST[key.width];
  const last = BigInt(highest);
  const isCounted = (key.correlation ?? 0) >= COUNTED;
  return {
    schema: key.schema,
    table: key.name,
    columns: [key.column],
    sequence: null,
    title: `${key.schema}.${key.name}.${key.column}`,
    up: true,
    last,
    end,
    left: end - last,
    share: Number(last) / Number(end),
    limit: `The column is ${TYPES[key.width]}, and no sequence that we can read counts it; the value is the highest that ANALYZE has seen.`,
    doubts: isCounted
      ? []
      : ['Its values lie in no order in the table: they may be random or given, not counted.'],
    advice: `${widenColumn(key.schema, key.name, key.column)}.`,
  };
}
