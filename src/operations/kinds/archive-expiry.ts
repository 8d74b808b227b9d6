import type { DoomedArchive, DoomedSegment } from '../../archive/doomed-archive.ts';
import type { OperationSpec } from '../../domain/plan.ts';
import { ident, sql } from '../../target/sql.ts';
import type { BatchWork, Operation, OperationContext, Piece } from '../define-operation.ts';
import { keepsNothing } from '../picked-work.ts';

type Expiry = Extract<OperationSpec, { kind: 'ARCHIVE_EXPIRY' }>;

/**
 * Destroys an archive, a segment in each batch: under the fence, and after its transaction has looked for holds. A segment
 * whose batch did not commit is gone as well; it is gone again when the batch is repeated.
 */
export const archiveExpiry = {
  kind: 'ARCHIVE_EXPIRY',
  counts: null,
  open: (context: OperationContext<Expiry>): Promise<BatchWork> => {
    if (!context.doomed) throw new TypeError('An expiry needs an archive');
    return Promise.resolve(new Destruction(context, context.doomed));
  },
} satisfies Operation<Expiry>;

class Destruction implements BatchWork {
  readonly mode = 'BATCHES';
  readonly overlaps = false;
  readonly #context: OperationContext<Expiry>;
  readonly #doomed: DoomedArchive;
  readonly #left: readonly DoomedSegment[];
  #done = 0;
  #picked = 0;

  constructor(context: OperationContext<Expiry>, doomed: DoomedArchive) {
    this.#context = context;
    this.#doomed = doomed;
    const last = (context.cursor as number | null) ?? -1;
    this.#left = doomed.segments.filter(({ sequence }) => sequence > last);
  }

  get hasNext(): boolean {
    return this.#picked < this.#left.length;
  }

  prepare(): Promise<boolean> {
    return Promise.resolve(false);
  }

  pick(): Piece {
    const segment = this.#left[this.#picked] as DoomedSegment;
    this.#picked += 1;
    return {
      treat: async () => {
        await this.#doomed.destroy(segment);
        return { units: 1, rows: segment.rows, cursor: segment.sequence, store: keepsNothing };
      },
    };
  }

  confirm(): void {
    this.#done += 1;
  }

  rewind(): void {
    this.#picked = this.#done;
  }

  /** Without CASCADE: what somebody has built on such a table is theirs. */
  async finish(): Promise<void> {
    for (const { schema, name } of this.#doomed.holders)
      await this.#context.session.execute(sql`DROP TABLE IF EXISTS ${ident(schema, name)}`);
  }

  remark(): string {
    const { schema, table } = this.#context.spec;
    return `The archive of ${schema}.${table} is destroyed; what it was stays listed.`;
  }
}
