import type { IndexIdentity } from './plan.ts';

/** An index that a run builds. */
export interface NewIndex {
  readonly schema: string;
  readonly name: string;
  /** of its table, or of a partition */
  readonly tableOid: number;
  /** CREATE INDEX as PostgreSQL itself would write it, every name in full */
  readonly definition: string;
  /** false: on a partitioned table; it takes up the indexes of the partitions, under a lock of a moment */
  readonly isConcurrent: boolean;
  readonly comment: string | null;
  /** on a partitioned table: what each partition must have an index on by then */
  readonly columns?: readonly string[];
}

/** An index that a run takes away, with all that makes it again. */
export interface RemovedIndex extends IndexIdentity {
  /** CREATE INDEX as PostgreSQL itself would write it, every name in full, with storage parameters and tablespace */
  readonly definition: string;
  readonly comment: string | null;
  readonly isValid: boolean;
  readonly sizeBytes: number;
  readonly usage: IndexUsage;
  /** another index that does all of its work, and must still do so when the run begins; null: nobody uses it */
  readonly keeper: (IndexIdentity & { readonly definition: string }) | null;
}

/** As it was when the plan was made. */
export interface IndexUsage {
  /** on this server */
  readonly scans: number;
  /** on all registered replicas together */
  readonly replicaScans: number;
  readonly lastScanAt: string | null;
  /** since when scans are counted; null: not known */
  readonly countedSince: string | null;
}

/** A rebuild that is broken off leaves these, numbered when it has happened before; long names are cut to make room. */
const LEFTOVER = /^(.*)_cc(?:new|old)\d*$/s;
const LONGEST_NAME = 63;
/** Of a character that a cut must not split. */
const CHARACTER_BYTES = 3;

/** Whether an index of this name may have been left behind by a rebuild of that one. Only an invalid index is a leftover. */
export function isLeftoverOf(name: string, original: string): boolean {
  const base = LEFTOVER.exec(name)?.[1];
  if (base === undefined) return false;
  if (base === original) return true;
  return Buffer.byteLength(name) >= LONGEST_NAME - CHARACTER_BYTES && original.startsWith(base);
}

export const looksLeftOver = (name: string): boolean => LEFTOVER.test(name);
