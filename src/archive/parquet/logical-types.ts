import { bool, type Field, i32, i8, type Node, struct } from './thrift.ts';

/** Numbers of parquet.thrift (github.com/apache/parquet-format): Type, ConvertedType, and the fields of LogicalType. */
export const PHYSICAL = {
  BOOLEAN: 0,
  INT32: 1,
  INT64: 2,
  FLOAT: 4,
  DOUBLE: 5,
  BYTE_ARRAY: 6,
  FIXED_LEN_BYTE_ARRAY: 7,
} as const;

/** What is said of a column besides how its values are stored: the fields of SchemaElement from converted_type on. */
export type Annotation = readonly Field[];

const CONVERTED = 6;
const SCALE = 7;
const PRECISION = 8;
const LOGICAL = 10;

const annotation = (logical: number, converted: number | null, details: Node = struct()): Annotation => [
  [CONVERTED, converted === null ? null : i32(converted)],
  [LOGICAL, struct([logical, details])],
];

const MICROSECONDS = struct([2, struct()]);

export const NO_ANNOTATION: Annotation = [];
export const STRING = annotation(1, 0);
export const DATE = annotation(6, 6);
export const TIME = annotation(7, null, struct([1, bool(false)], [2, MICROSECONDS]));
export const TIMESTAMP = annotation(8, null, struct([1, bool(false)], [2, MICROSECONDS]));
export const TIMESTAMP_UTC = annotation(8, 10, struct([1, bool(true)], [2, MICROSECONDS]));
export const INT16 = annotation(10, 16, struct([1, i8(16)], [2, bool(true)]));
export const INT32 = annotation(10, 17, struct([1, i8(32)], [2, bool(true)]));
export const INT64 = annotation(10, 18, struct([1, i8(64)], [2, bool(true)]));
export const UUID = annotation(14, null);

export const decimal = (precision: number, scale: number): Annotation => [
  [CONVERTED, i32(5)],
  [SCALE, i32(scale)],
  [PRECISION, i32(precision)],
  [LOGICAL, struct([5, struct([1, i32(scale)], [2, i32(precision)])])],
];
