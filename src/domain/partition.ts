import type { Pick } from './plan.ts';

export interface TableName {
  readonly schema: string;
  readonly name: string;
}

/** A leaf of a partitioned table with rows that go, as it was when the plan was made, and how it is treated. */
export interface PartitionSpec extends TableName {
  readonly oid: number;
  /** the partitioned table right above it */
  readonly parent: TableName;
  /** as PostgreSQL writes them: FOR VALUES FROM (...) TO (...) */
  readonly bounds: string;
  /** WHOLE: detached, kept where that is wanted, and dropped. ROWS: like an ordinary table */
  readonly way: 'WHOLE' | 'ROWS';
  /** Its bounds say that whatever it may hold matches; otherwise somebody has counted. */
  readonly implied: boolean;
  readonly pick: Pick;
}
