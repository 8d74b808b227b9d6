/** Columns of an archive, in the order in which they were written. */
export interface ArchiveContent {
  /** number: in the table (attnum), by which a renamed column is known; missing in archives of earlier versions */
  readonly columns: readonly ArchivedColumn[];
  /** FILES, S3: how the segments are encrypted, and with which key; missing: they are not */
  readonly encryption?: { readonly cipher: 'AES-256-GCM'; readonly keyId: string };
  /** TABLE: the table that holds this run's rows */
  readonly holder: { readonly schema: string; readonly name: string } | null;
  /** What goes along with the table's own rows; missing where nothing does. */
  readonly parts?: readonly ArchivePart[];
  /** The keys by which rows go along. */
  readonly keys?: readonly ArchivedKey[];
  /** TABLE: the column of its holders that tells batches apart, in their order; missing where rows never reference each other */
  readonly batchColumn?: string;
}

export interface ArchivedColumn {
  readonly name: string;
  readonly type: string;
  readonly number?: number;
}

/** Rows of one other table, or references that rows which stayed have lost. */
export interface ArchivePart {
  /** of a table: its place among the plan's relations; of references: below 0 */
  readonly number: number;
  readonly schema: string;
  readonly table: string;
  readonly columns: readonly ArchivedColumn[];
  readonly holder: ArchiveContent['holder'];
  readonly reference: LostReference | null;
}

/** A key that refers from rows of one part to rows of another; part 0 is the table itself. */
export interface ArchivedKey {
  readonly child: number;
  readonly parent: number;
  readonly columns: readonly string[];
  readonly referencedColumns: readonly string[];
  /** for each column, with the referenced value on the left */
  readonly operators: readonly string[];
}

/**
 * A key of SET NULL or SET DEFAULT. Each line of its part has the columns that identify a row (key_1...), and the values that the
 * row has lost (old_1...). REPOINT: a deduplication has pointed it at another row; the values that it got are there too (new_1...).
 */
export interface LostReference extends ArchivedKey {
  readonly oid: number;
  readonly name: string;
  readonly onDelete: 'SET_NULL' | 'SET_DEFAULT' | 'REPOINT';
  readonly identity: readonly string[];
  readonly changed: readonly string[];
}
