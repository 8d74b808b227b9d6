import type { Json } from './define-operation.ts';

/** Where a run over partitions is: at which of them, and how far with it. */
export interface PartitionCursor {
  /** its place in the plan */
  readonly partition: number;
  /** ATTACHED: untouched. DETACHED: taken away as a whole. ROWS: row by row, whatever the plan says */
  readonly state: 'ATTACHED' | 'DETACHED' | 'ROWS';
  /** of the work on the partition itself */
  readonly at: Json;
}

export const partitionCursor = (cursor: Json): PartitionCursor =>
  (cursor as unknown as PartitionCursor | null) ?? behind(-1);

/** Before the partition that comes after this one. */
export const behind = (partition: number): PartitionCursor => ({
  partition: partition + 1,
  state: 'ATTACHED',
  at: null,
});
