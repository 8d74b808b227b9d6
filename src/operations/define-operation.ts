import type { DoomedArchive } from '../archive/doomed-archive.ts';
import type { Frame, SegmentSink } from '../archive/segment-sink.ts';
import type { SourceArchive } from '../archive/source-archive.ts';
import type { OperationSpec, PlanSpec, RelationIdentity } from '../domain/plan.ts';
import type { ArchiveContent } from '../domain/archive-content.ts';
import type { RunResult, Throttle } from '../domain/run.ts';
import type { Relation } from '../target/catalog.ts';
import type { Session } from '../target/session.ts';
import type { Holder } from '../target/waits.ts';

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
  /** rows of other tables that went along */
  readonly included?: number;
  /** A step between batches: in the ledger though it may have no rows, and no measure for the size of the next batch. */
  readonly isStep?: boolean;
  /** What a unit is changes with this step: batches begin small again. */
  readonly unitsChange?: boolean;
  /** The same for those, after store. */
  readonly storeParts?: () => Promise<readonly StoredPart[]>;
}

/** What went along with a batch's rows. */
export interface StoredPart {
  /** rows: the place of their table among the plan's relations; lost references: below 0 */
  readonly part: number;
  readonly rows: number;
  readonly frame: Frame | null;
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
  /** as last asked for; the plan's may have been changed since */
  readonly throttle: () => Throttle;
  readonly sink: SegmentSink;
  /** of the archive that the run makes */
  readonly content: ArchiveContent | null;
  /** the archive that a RESTORE reads */
  readonly source: SourceArchive | null;
  /** the archive that an ARCHIVE_EXPIRY destroys */
  readonly doomed: DoomedArchive | null;
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
  /** what a unit holds on average; 0 or missing: not known */
  readonly bytesPerUnit?: number;
  /** Below this many rows the fixed cost of a batch weighs more than they; missing: as many as of rows that are deleted. */
  readonly leastRows?: number;
  /** Whether there is something to pick without another prepare. */
  readonly hasNext: boolean;
  /** When nothing is left to pick and all is confirmed: what is due before prepare, and cannot be done in a transaction. */
  statements?(): readonly Statement[];
  /** The same after those: looks for more, outside a transaction. False when that was all. */
  prepare(): Promise<boolean>;
  /** Takes the next piece of work, at once. */
  pick(size: BatchSize): Piece;
  /** All batches so far have committed: the piece is done, with so many rows. */
  confirm(piece: Piece, rows: number): void;
  /** Gives back what was picked and not confirmed; it is picked again. */
  rewind(): void;
  /** Inside one last transaction, when everything is done: sequences and the like. */
  finish?(): Promise<void>;
  /** Of the result, what only the work knows. */
  figures?(): Partial<RunResult>;
  /** What people should know of what was done so far, besides the counters; null: nothing. */
  remark?(): string | null;
}

export interface Piece {
  /** What is locked and must be as planned while it is treated; missing: all tables of the plan. */
  readonly tables?: readonly RelationIdentity[];
  /** Treats its rows inside the session's open transaction, after the fence and the schema have been checked. */
  treat(session: Session): Promise<Treated>;
}

/** Work that PostgreSQL forbids inside a transaction: VACUUM, REINDEX CONCURRENTLY. Each statement may be repeated. */
export interface StatementWork {
  readonly mode: 'STATEMENTS';
  /** The statements from the cursor (how many are done) on. */
  readonly statements: readonly Statement[];
  /** What people should do next, once all are done; null: nothing. */
  remark?(): string | null;
}

export interface Statement {
  readonly description: string;
  readonly sql: string;
  /** SET ... of the session, sent before it. */
  readonly settings?: readonly string[];
  /** Does the work instead of sql, where that is more than to send it; ends soon once the signal aborts. */
  perform?(signal: AbortSignal): Promise<void>;
  /**
   * How long the server lets it wait for a lock. 0 or missing: for ever, since it also waits for old transactions, which is
   * no lock that others queue behind; the engine tells the two apart and bounds both.
   */
  readonly lockTimeoutMs?: number;
  /** Others are meant to wait while it works: it does not give way to those who do. */
  readonly holdsTable?: boolean;
  /** application_name of the sessions of a program that works for it: it gives way to who waits for these, too. */
  readonly helpers?: string;
  /** Whose transactions it would wait for half way; it is not begun before they have ended. */
  inTheWay?(monitor: Session): Promise<readonly Holder[]>;
  /** How far it is, as the server tells; null: nothing to tell. */
  progress?(monitor: Session): Promise<StatementProgress | null>;
  /** An earlier try has done it, though the ledger does not say so. */
  isDone?(): Promise<boolean>;
  /** Clears what a cancelled try of this statement has left behind, and answers with the names of what it removed. */
  cleanUp(): Promise<readonly string[]>;
  /** Says what is wrong after the statement, or null. */
  verify(): Promise<string | null>;
  /** What has come of it, in a sentence. */
  outcome?(): Promise<string>;
}

export interface StatementProgress {
  readonly phase: string;
  /** null: the phase has no measure */
  readonly done: number | null;
  readonly total: number | null;
}

export interface Operation<Spec extends OperationSpec = OperationSpec> {
  readonly kind: Spec['kind'];
  /** which counter of the result a treated row adds to */
  readonly counts: keyof Pick<RunResult, 'rowsDeleted' | 'rowsArchived' | 'rowsRestored'> | null;
  /** Reads the catalog and prepares; changes nothing but tables of its own that the plan has named. */
  open(context: OperationContext<Spec>): Promise<BatchWork | StatementWork>;
  /** What a run must put right that ends before all is done, from the cursor of its last batch on; may be repeated. */
  abandon?: Abandon<Spec>;
}

/** inStep: a transaction under the fence; what the work answers with becomes the run's cursor, null leaves it as it is. */
export type Abandon<Spec extends OperationSpec = OperationSpec> = (
  context: OperationContext<Spec>,
  inStep: (work: () => Promise<Json>) => Promise<void>,
) => Promise<void>;

/** The batch turned out larger than allowed: roll back and try again with fewer units. */
export class BatchTooLarge extends Error {
  readonly reason: 'ROWS' | 'BYTES';

  constructor(reason: 'ROWS' | 'BYTES') {
    super(`The batch is too large: ${reason}`);
    this.reason = reason;
    this.name = 'BatchTooLarge';
  }
}
