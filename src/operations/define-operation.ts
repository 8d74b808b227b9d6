import type { ArchiveContent, OperationSpec, PlanSpec } from '../domain/plan.ts';
import type { RunResult, StateCode } from '../domain/run.ts';
import type { Relation } from '../target/catalog.ts';
import type { Session } from '../target/session.ts';

export type Json = string | number | boolean | null | readonly Json[] | { readonly [key: string]: Json };

/** How much the next batch may treat. */
export interface BatchSize {
  /** heap blocks, row places or rows, as the work counts; tuned by time */
  readonly units: number;
  /** never more rows than this in one transaction */
  readonly maxRows: number;
  /** never more uncompressed bytes than this in one transaction */
  readonly maxBytes: number;
}

/** What has been done to the rows of a batch, inside its open transaction. */
export interface Treated {
  readonly units: number;
  readonly rows: number;
  /** where to go on; only ever read by the same operation */
  readonly cursor: Json;
  /** Makes what the transaction took away durable, before its COMMIT; null when nothing is kept. */
  readonly store: () => Promise<Frame | null>;
}

/** A batch's rows in an archive: part of a segment file, or rows of the archive table. */
export interface Frame {
  readonly segment: number;
  readonly start: number;
  readonly length: number;
  /** of the stored bytes; null in an archive table */
  readonly sha256: string | null;
  /** sum of 64-bit hashes of the rows' text, whatever their order; null in a file */
  readonly rowHash: string | null;
}

/** Where a batch's rows are made durable, before its COMMIT. */
export interface SegmentSink {
  /** Compresses the rows (COPY text), makes them durable and reads them back; they count only once the session's open transaction is committed. */
  append(session: Session, text: Buffer, rows: number): Promise<Frame>;
}

/** One frame of an archive that is being restored. */
export interface StoredFrame {
  readonly rows: number;
  /** Reads and checks the frame; null when the rows are in a table. @throws ARCHIVE_DAMAGED */
  readonly read: () => Promise<Buffer>;
}

export interface SourceArchive {
  readonly content: ArchiveContent;
  readonly frames: readonly StoredFrame[];
}

export interface OperationContext<Spec extends OperationSpec = OperationSpec> {
  readonly runId: string;
  readonly plan: PlanSpec;
  readonly spec: Spec;
  /** the subject as it is now, checked against the plan's fingerprint */
  readonly relation: Relation;
  readonly session: Session;
  /** of the last committed batch; null at the beginning */
  readonly cursor: Json;
  readonly sink: SegmentSink;
  /** the archive that a RESTORE reads */
  readonly source: SourceArchive | null;
  /** The run's own name for the table that keeps its rows (TABLE archives). */
  readonly holder: { readonly schema: string; readonly name: string } | null;
}

/**
 * Work done in transactions of the target; the engine opens and commits them, with the ledger's entry. What is picked is
 * confirmed or given back in the order in which it was picked.
 */
export interface BatchWork {
  readonly mode: 'BATCHES';
  /** The rows of two batches have nothing to do with each other: one may be treated while the other is made durable. */
  readonly overlaps: boolean;
  /** Whether there is something to pick without another prepare. */
  readonly hasNext: boolean;
  /** When nothing is left to pick and all is confirmed: looks for more, outside a transaction. False when that was all. */
  prepare(): Promise<boolean>;
  /** Takes the next piece of work, at once. */
  pick(size: BatchSize): Piece;
  /** All batches so far have committed: the piece is done, with so many rows. */
  confirm(piece: Piece, rows: number): void;
  /** Gives back what was picked and not confirmed; it is picked again. */
  rewind(): void;
  /** Inside one last transaction, when everything is done: sequences and the like. */
  finish(): Promise<void>;
}

export interface Piece {
  /** Treats its rows inside the session's open transaction, after the fence and the schema have been checked. */
  treat(session: Session): Promise<Treated>;
}

/** Work that PostgreSQL forbids inside a transaction: VACUUM, REINDEX CONCURRENTLY. Each statement may be repeated. */
export interface StatementWork {
  readonly mode: 'STATEMENTS';
  /** The statements from the cursor (how many are done) on. */
  readonly statements: readonly Statement[];
}

export interface Statement {
  readonly description: string;
  readonly sql: string;
  /** Clears what a cancelled try of this statement has left behind. */
  cleanUp(): Promise<void>;
  /** Says what is wrong after the statement, or null. */
  verify(): Promise<string | null>;
}

export interface Operation<Spec extends OperationSpec = OperationSpec> {
  readonly kind: Spec['kind'];
  /** which counter of the result a treated row adds to */
  readonly counts: keyof Pick<RunResult, 'rowsDeleted' | 'rowsArchived' | 'rowsRestored'> | null;
  /** Reads the catalog and prepares; changes nothing but tables of its own that the plan has named. */
  open(context: OperationContext<Spec>): Promise<BatchWork | StatementWork>;
}

/** The run can't go on now. The engine rolls back and pauses (or fails) with this reason; nothing is half done. */
export class Stop extends Error {
  readonly stateCode: StateCode;
  readonly outcome: 'PAUSED' | 'FAILED';

  constructor(
    stateCode: StateCode,
    message: string,
    outcome: 'PAUSED' | 'FAILED' = 'PAUSED',
    options?: ErrorOptions,
  ) {
    super(message, options);
    this.name = 'Stop';
    this.stateCode = stateCode;
    this.outcome = outcome;
  }
}

/** The batch turned out larger than allowed: roll back and try again with fewer units. */
export class BatchTooLarge extends Error {
  readonly reason: 'ROWS' | 'BYTES';

  constructor(reason: 'ROWS' | 'BYTES') {
    super(`The batch is too large: ${reason}`);
    this.reason = reason;
    this.name = 'BatchTooLarge';
  }
}
