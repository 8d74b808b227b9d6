import type { Bloat, FoundFault } from '../domain/finding.ts';
import type { FindingKind, Severity } from '../domain/words.ts';
import type { Session } from '../target/session.ts';
import type { HorizonHolder } from './read-horizon.ts';
import type { VacuumState } from './read-vacuum.ts';
import type { RowReader } from './row-reader.ts';

/** One kind of question asked of a database. A leaf: it knows nothing of the other kinds. */
export interface Analysis {
  readonly kind: FindingKind;
  /** its page, under docs/analyses */
  readonly docs: string;
  /**
   * All faults of this kind, and nothing that is not one. Figures that are already loaded come first: a database of
   * thousands of tables is read in a few catalog queries, never in one per table.
   */
  find(context: AnalysisContext): Promise<readonly FoundFault[]>;
}

export const defineAnalysis = (analysis: Analysis): Analysis => Object.freeze(analysis);

export interface AnalysisContext {
  /** the name that it is registered under: what remedies speak of */
  readonly databaseName: string;
  readonly figures: DatabaseFigures;
  /** for what is not loaded; read-only, with its time-outs. Each query is to be bounded in cost. */
  readonly session: Session;
  /** for what only people's rows can tell; its budget is this kind's own */
  readonly rows: RowReader;
  readonly now: Date;
  /** time of our first snapshot of the database; null at the first */
  readonly watchedSince: Date | null;
  /** usage figures of the read-only copies that are registered */
  readonly replicas: readonly ReplicaUsage[];
  readonly memory: Memory;
  /** This subject could not be judged, and why, in a sentence: a finding about it that is open stays open. */
  unsure(subject: Subject, why?: string): void;
}

/** What the analyses before this one have kept. */
export interface Memory {
  /** this kind's own findings, each as it was last seen, whether still open or not */
  findings(): Promise<readonly KeptFinding[]>;
  /** all tables, by tableKey, as the newest snapshot of that time or before has them; null when there is none */
  tablesAt(time: Date): Promise<ReadonlyMap<string, KeptTable> | null>;
}

export interface KeptFinding {
  readonly schema: string | null;
  readonly table: string | null;
  readonly columns: readonly string[];
  readonly evidence: Readonly<Record<string, unknown>>;
  readonly open: boolean;
  readonly firstSeenAt: Date;
}

export interface KeptTable {
  readonly liveRows: number;
  readonly deadRows: number;
  readonly totalBytes: number;
}

export const tableKey = (schema: string, name: string) => JSON.stringify([schema, name]);

export interface Subject {
  /** null: the database as a whole */
  readonly schema: string | null;
  readonly table: string | null;
  readonly index: string | null;
}

/** A whole database, as read in one pass. Our own schema is not part of it. */
export interface DatabaseFigures {
  readonly sizeBytes: number;
  /** since when usage is counted; null when the counters were never reset (then: since the database was made) */
  readonly countersSince: Date | null;
  /** no counter of the server is older: set anew by a crash, pg_upgrade, or a copy of the files */
  readonly countersBegan: Date | null;
  /** standbys that stream from this server now, registered or not */
  readonly standbys: number;
  /** physical replication slots that nobody uses now: their standbys are away */
  readonly awayStandbys: number;
  readonly tables: readonly MeasuredTable[];
  readonly vacuum: VacuumState;
  /** what keeps VACUUM from removing rows, oldest first */
  readonly holders: readonly HorizonHolder[];
}

/** Attributes as in pg_attribute, with their statistics: what a row's size is modelled from. */
export interface ColumnFigures {
  readonly number: number;
  readonly name: string;
  readonly typeOid: number;
  /** attlen: -1 when it varies */
  readonly length: number;
  readonly align: 1 | 2 | 4 | 8;
  /** attstorage: p, m, x, e */
  readonly storage: string;
  /** bytes of a character(n) that is all ASCII; else null */
  readonly padded: number | null;
  readonly notNull: boolean;
  readonly dropped: boolean;
  /** a virtual generated column: takes no room */
  readonly isVirtual: boolean;
  /** with a default that rows from before do not hold */
  readonly addedLater: boolean;
  readonly statistics: ColumnStatistics | null;
}

export interface ColumnStatistics {
  readonly nullShare: number;
  /** as stored, so 18 for a value that lives in the TOAST table */
  readonly averageWidth: number;
  /** as in pg_stats: negative is a share of the rows */
  readonly distinct: number;
  /** most common values: how many, and their share of all rows together; only for indexed columns */
  readonly common: { readonly count: number; readonly share: number } | null;
}

export type TableKind = 'TABLE' | 'MATERIALIZED_VIEW' | 'PARTITIONED';

export interface MeasuredTable {
  readonly oid: number;
  readonly schema: string;
  readonly name: string;
  readonly kind: TableKind;
  /** of the partitioned table that this one is a part of */
  readonly parentOid: number | null;
  /** somebody holds or awaits ACCESS EXCLUSIVE: the sizes are those of the last VACUUM or ANALYZE */
  readonly locked: boolean;
  readonly liveRows: number;
  readonly deadRows: number;
  readonly totalBytes: number;
  /** all forks, without TOAST and indexes */
  readonly heapBytes: number;
  readonly toastBytes: number;
  readonly indexBytes: number;
  readonly pages: HeapPages;
  readonly toast: ToastFigures | null;
  readonly fillfactor: number;
  /** toast_tuple_target: how long a row may be once values are moved out of it */
  readonly toastTarget: number;
  readonly lastVacuumAt: string | null;
  readonly lastAnalyzeAt: string | null;
  /** rows inserted, updated and deleted since the last ANALYZE */
  readonly changesSinceAnalyze: number;
  /** the cumulative counters were lost (crash, reset): dead rows and changes are not known */
  readonly countersLost: boolean;
  /** this role may read the rows, and with them their statistics */
  readonly readable: boolean;
  readonly columns: readonly ColumnFigures[];
  readonly bloat: Bloat;
  readonly indexes: readonly MeasuredIndex[];
  /** of a partitioned table: they hold nothing themselves, their figures are sums over their parts */
  readonly partitionedIndexes: readonly IndexFacts[];
}

export interface HeapPages {
  /** of the main fork now */
  readonly count: number;
  /** when VACUUM or ANALYZE last looked */
  readonly counted: number;
  /** rows then; -1 when never */
  readonly rows: number;
}

export interface ToastFigures {
  readonly oid: number;
  readonly pages: HeapPages;
  readonly liveChunks: number;
  readonly deadChunks: number;
  readonly countersLost: boolean;
}

export interface IndexKey {
  /** null: an expression */
  readonly column: string | null;
  /** as PostgreSQL prints it, every name in full; null for a plain column, and while its table is locked */
  readonly expression: string | null;
  readonly operatorClass: number;
  readonly operatorFamily: number;
  /** of the operator class: in one family and for one type, two classes of a B-tree are two names of one order */
  readonly inputType: number;
  /** the operator that B-tree and hash call equality; null for other methods */
  readonly equality: number | null;
  /** of the operator class, such as siglen */
  readonly parameters: string | null;
  readonly collation: number;
  /** DESC and NULLS FIRST bits */
  readonly options: number;
  /** as stored in the index */
  readonly stored: ColumnFigures;
}

export interface MeasuredIndex {
  readonly oid: number;
  readonly schema: string;
  readonly name: string;
  /** of a partitioned table; its parts are the indexes of the leaves */
  readonly isPartitioned: boolean;
  /** the partitioned index that this one is a part of */
  readonly parentOid: number | null;
  /** OIDs of the leaves' indexes; none when it is not partitioned */
  readonly parts: readonly number[];
  readonly method: string;
  /** null while its table is locked */
  readonly definition: string | null;
  readonly sizeBytes: number;
  readonly locked: boolean;
  readonly pages: HeapPages;
  /** storage parameters as they were written, sorted */
  readonly options: readonly string[];
  readonly fillfactor: number;
  /** equal keys share one entry (B-tree since PostgreSQL 13, where the types allow it) */
  readonly deduplicates: boolean;
  readonly scans: number;
  readonly lastScanAt: string | null;
  readonly isUnique: boolean;
  readonly isPrimary: boolean;
  /** queries may use it: built, kept up to date, and not being dropped */
  readonly isValid: boolean;
  readonly keys: readonly IndexKey[];
  /** INCLUDE columns, in order */
  readonly included: readonly IndexKey[];
  readonly expressions: string | null;
  readonly isPartial: boolean;
  /** null without one, and while its table is locked */
  readonly predicate: string | null;
  readonly nullsNotDistinct: boolean;
  readonly immediate: boolean;
  /** why it may not go, whatever its use; empty when it may */
  readonly duties: readonly IndexDuty[];
  readonly bloat: Bloat;
}

export type IndexFacts = Omit<MeasuredIndex, 'bloat'>;

export type IndexDuty =
  | 'PRIMARY_KEY'
  | 'CONSTRAINT'
  | 'FOREIGN_KEY_TARGET'
  | 'REPLICA_IDENTITY'
  | 'CLUSTERED'
  | 'STATISTICS'
  | 'PARTITION';

export interface ReplicaUsage {
  readonly name: string;
  /** why it could not be asked; null when it was */
  readonly unreachable: string | null;
  /** null: not known */
  readonly countersSince: Date | null;
  /** it receives changes now: one of the standbys that the server it follows counts */
  readonly receives: boolean;
  /** that stream from it in turn */
  readonly standbys: number;
  /** by the OID of an index, or of a table that was read without one; the same on every physical copy */
  readonly scans: ReadonlyMap<number, number>;
}

const MEBIBYTE = 1024 * 1024;

/** How loud to be about so many bytes: a gigabyte, or a tenth of the database, deserves a warning. */
export function severityOfBytes(bytes: number, databaseBytes: number): Severity {
  if (bytes >= 1024 * MEBIBYTE || (bytes >= 64 * MEBIBYTE && bytes >= databaseBytes / 10)) return 'WARNING';
  return bytes >= 16 * MEBIBYTE ? 'NOTICE' : 'INFO';
}

export function bytesInWords(bytes: number): string {
  const units = ['bytes', 'kB', 'MB', 'GB', 'TB'];
  const power = Math.min(4, Math.floor(Math.log2(Math.max(bytes, 1)) / 10));
  const value = bytes / 1024 ** power;
  return `${value < 10 && power > 0 ? value.toFixed(1) : Math.round(value)} ${units[power] ?? ''}`;
}

export const percent = (share: number) => `${Math.round(share * 100)} %`;
