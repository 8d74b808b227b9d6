import type { IndexFigures, TableFigures } from '../domain/finding.ts';
import type { DatabaseFigures, MeasuredIndex, MeasuredTable } from './define-analysis.ts';

/** What people see of a table, and what a snapshot keeps. */
export const tableFigures = (table: MeasuredTable): TableFigures => ({
  oid: table.oid,
  schema: table.schema,
  name: table.name,
  liveRows: table.liveRows,
  deadRows: table.deadRows,
  totalBytes: table.totalBytes,
  heapBytes: table.heapBytes,
  toastBytes: table.toastBytes,
  indexBytes: table.indexBytes,
  bloat: table.bloat,
  indexes: table.indexes.map(indexFigures),
  lastVacuumAt: table.lastVacuumAt,
  lastAnalyzeAt: table.lastAnalyzeAt,
});

const indexFigures = (index: MeasuredIndex): IndexFigures => ({
  name: index.name,
  definition: index.definition ?? '',
  sizeBytes: index.sizeBytes,
  scans: index.scans,
  lastScanAt: index.lastScanAt,
  isUnique: index.isUnique,
  isPrimary: index.isPrimary,
  isValid: index.isValid,
  bloat: index.bloat,
});

/** A partitioned table's own line is a sum of lines that are counted already. */
const ownLines = ({ tables }: DatabaseFigures) => tables.filter((table) => table.kind !== 'PARTITIONED');

/** Tables, TOAST and indexes. */
export const wastedBytes = (figures: DatabaseFigures): number =>
  ownLines(figures)
    .flatMap((table) => [table.bloat, ...table.indexes.map((index) => index.bloat)])
    .reduce((sum, bloat) => sum + (bloat.wastedBytes ?? 0), 0);

export const deadRows = (figures: DatabaseFigures): number =>
  ownLines(figures).reduce((sum, table) => sum + table.deadRows, 0);
