import type { ArchiveContent } from '../../domain/archive-content.ts';
import { type FixedValues, fixedValues, STORAGE } from './fixed-values.ts';
import {
  type Annotation,
  DATE,
  decimal,
  INT16,
  INT32,
  INT64,
  NO_ANNOTATION,
  PHYSICAL,
  STRING,
  TIME,
  TIMESTAMP,
  TIMESTAMP_UTC,
  UUID,
} from './logical-types.ts';
import * as notations from './notations.ts';

/** How the values of a column stand in its pages: as their text, as bytes, as bits, or in so many bytes each. */
type Values =
  { readonly kind: 'TEXT' | 'BYTES' | 'BITS' } | { readonly kind: 'FIXED'; readonly values: FixedValues };

export interface ParquetColumn {
  readonly name: string;
  readonly physical: number;
  /** of FIXED_LEN_BYTE_ARRAY, in bytes */
  readonly length: number | null;
  readonly annotation: Annotation;
  readonly values: Values;
}

type Type = Omit<ParquetColumn, 'name'>;

const fixed = (physical: number, annotation: Annotation, values: FixedValues): Type => ({
  physical,
  length: physical === PHYSICAL.FIXED_LEN_BYTE_ARRAY ? values.bytes : null,
  annotation,
  values: { kind: 'FIXED', values },
});

const bare = (physical: number, annotation: Annotation, kind: 'TEXT' | 'BYTES' | 'BITS'): Type => ({
  physical,
  length: null,
  annotation,
  values: { kind },
});

const TEXT = bare(PHYSICAL.BYTE_ARRAY, STRING, 'TEXT');
const { int32, int64, float, double, wide, hexadecimal } = STORAGE;

/** By the name of the type without its modifier; every other type is kept as its text. */
const TYPES: Readonly<Record<string, Type>> = {
  boolean: bare(PHYSICAL.BOOLEAN, NO_ANNOTATION, 'BITS'),
  bytea: bare(PHYSICAL.BYTE_ARRAY, NO_ANNOTATION, 'BYTES'),
  smallint: fixed(PHYSICAL.INT32, INT16, fixedValues(int32, notations.whole32)),
  integer: fixed(PHYSICAL.INT32, INT32, fixedValues(int32, notations.whole32)),
  bigint: fixed(PHYSICAL.INT64, INT64, fixedValues(int64, notations.whole64)),
  oid: fixed(PHYSICAL.INT64, INT64, fixedValues(int64, notations.whole64)),
  real: fixed(PHYSICAL.FLOAT, NO_ANNOTATION, fixedValues(float, notations.float)),
  'double precision': fixed(PHYSICAL.DOUBLE, NO_ANNOTATION, fixedValues(double, notations.double)),
  date: fixed(PHYSICAL.INT32, DATE, fixedValues(int32, notations.date)),
  'time without time zone': fixed(PHYSICAL.INT64, TIME, fixedValues(int64, notations.timeOfDay)),
  'timestamp without time zone': fixed(
    PHYSICAL.INT64,
    TIMESTAMP,
    fixedValues(int64, notations.timestamp('')),
  ),
  'timestamp with time zone': fixed(
    PHYSICAL.INT64,
    TIMESTAMP_UTC,
    fixedValues(int64, notations.timestamp('+00')),
  ),
  uuid: fixed(PHYSICAL.FIXED_LEN_BYTE_ARRAY, UUID, fixedValues(hexadecimal, notations.uuid)),
};

/** format_type names some of PostgreSQL's own types with their schema. */
function typeOf(fullName: string): Type {
  const name = fullName.replace(/^pg_catalog\./, '');
  const [, precision, scale] = /^numeric\((\d+),(\d+)\)$/.exec(name) ?? [];
  if (precision !== undefined) return numericType(Number(precision), Number(scale));
  return TYPES[name.replace(/^(time|timestamp)\(\d\)/, '$1')] ?? TEXT;
}

function numericType(precision: number, scale: number): Type {
  if (precision > 38 || scale > precision) return TEXT;
  const values = notations.decimalOf(scale);
  const annotation = decimal(precision, scale);
  return precision <= 18
    ? fixed(PHYSICAL.INT64, annotation, fixedValues(int64, values))
    : fixed(PHYSICAL.FIXED_LEN_BYTE_ARRAY, annotation, fixedValues(wide, values));
}

/** The table's columns, and behind them one for whole rows (COPY text) with a value that its own column could not hold as it was. */
export function parquetColumns(columns: ArchiveContent['columns']): ParquetColumn[] {
  const names = new Set(columns.map(({ name }) => name.toLowerCase()));
  let whole = 'declutter_row';
  while (names.has(whole)) whole = `_${whole}`;
  return [...columns.map(({ name, type }) => ({ name, ...typeOf(type) })), { name: whole, ...TEXT }];
}
