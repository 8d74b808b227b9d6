import type { Pick } from '../domain/plan.ts';
import type { Session } from '../target/session.ts';
import { fromCatalog, integer, literal, type Sql, sql, toBoundStatement, typedValue } from '../target/sql.ts';
import type { Json } from './define-operation.ts';
import { Stop } from '../domain/stop.ts';
import { RowPlaces } from './row-places.ts';

/**
 * Finds the rows of a batch by their place in the heap, so that each block is read once whatever is dead in it.
 * RANGES: block ranges of the whole heap. LISTED: a list of places, made once through the filter's index, or made at the end
 * of the ranges for rows that an UPDATE has moved into blocks already passed.
 */
export interface PickCursor {
  readonly phase: 'RANGES' | 'LISTED';
  /** how many lists have been made before this one */
  readonly lists: number;
  /** the next place to look at */
  readonly block: number;
  readonly line: number;
}

export interface Picked {
  /** a condition on ctid; the filter has to be repeated beside it */
  readonly where: Sql;
  readonly units: number;
  /** the cursor once this batch is committed */
  readonly next: PickCursor;
}

/** A list longer than this is made again for what it left over. */
const MAX_LISTED = 2_000_000;
/** Lists after the ranges: each takes in the rows that moved meanwhile. Rows that move on for ever stop the run (ROWS_KEPT). */
const MAX_LISTS = 5;
const MAX_RANGE_BLOCKS = 4_096;
const START: Record<Pick, PickCursor> = {
  HEAP_RANGES: { phase: 'RANGES', lists: 0, block: 0, line: 0 },
  INDEX: { phase: 'LISTED', lists: 0, block: 0, line: 0 },
};

export class RowPicker {
  readonly #session: Session;
  readonly #table: Sql;
  readonly #filter: Sql;
  /** behind the last batch that was confirmed */
  #confirmed: PickCursor;
  /** behind the last batch that was picked */
  #cursor: PickCursor;
  readonly #lists: boolean;
  #endBlock = 0;
  #bytes = 0;
  #listed: RowPlaces | null = null;
  /** rows that went since the list was made */
  #removed = 0;

  /** lists: false for a table that nobody changes: one pass of ranges sees it all. */
  constructor(
    session: Session,
    table: Sql,
    filter: Sql,
    pick: Pick,
    cursor: Json,
    options = { lists: true },
  ) {
    this.#lists = options.lists;
    this.#session = session;
    this.#table = table;
    this.#filter = filter;
    this.#cursor = resumed(cursor as PickCursor | null) ?? START[pick];
    this.#confirmed = this.#cursor;
  }

  /** Before the first batch, in a transaction of its own. */
  async open(): Promise<void> {
    const { blocks, bytes } = await this.#session.one<{ blocks: string; bytes: string }>(sql`
      SELECT (pg_catalog.pg_relation_size(${this.#tableName()}::pg_catalog.regclass)
              / pg_catalog.current_setting('block_size')::pg_catalog.int8)::pg_catalog.text AS blocks,
             pg_catalog.pg_table_size(${this.#tableName()}::pg_catalog.regclass)::pg_catalog.text AS bytes`);
    this.#endBlock = Number(blocks);
    this.#bytes = Number(bytes);
  }

  /** With what lies in TOAST, on average; 0: not known. */
  get bytesPerUnit(): number {
    return this.#cursor.phase === 'RANGES' ? this.#bytes / Math.max(1, this.#endBlock) : 0;
  }

  /** Whether there are places to pick. */
  get hasNext(): boolean {
    if (this.#cursor.phase === 'RANGES') return this.#cursor.block < this.#endBlock;
    return (this.#listed?.after(this.#cursor.block, this.#cursor.line, 1).length ?? 0) > 0;
  }

  /** When all that was picked is confirmed: makes the next list of places. False when nothing is left. */
  async prepare(): Promise<boolean> {
    if (this.hasNext) return true;
    if (!this.#lists || this.#listed?.size === 0) return false;
    const last = this.#listed;
    const next = await this.#list();
    if (last && next.size > 0) this.#assertHeadway(last, next);
    this.#cursor = last ? { ...START.INDEX, lists: this.#cursor.lists + 1 } : START.INDEX;
    this.#confirmed = this.#cursor;
    this.#removed = 0;
    this.#listed = next;
    return next.size > 0;
  }

  /** Rows that moved meanwhile are at new places; rows at their old places were treated without effect. */
  #assertHeadway(last: RowPlaces, next: RowPlaces): void {
    const stuck = this.#removed === 0 && last.includes(next);
    if (stuck || this.#cursor.lists + 1 >= MAX_LISTS) throw this.#keptRows();
  }

  /** The next places, when hasNext. */
  pick(units: number): Picked {
    const picked = this.#cursor.phase === 'RANGES' ? this.#range(units) : this.#fromList(units);
    this.#cursor = picked.next;
    return picked;
  }

  confirm(picked: Picked, rows: number): void {
    this.#confirmed = picked.next;
    if (picked.next.phase === 'LISTED') this.#removed += rows;
  }

  rewind(): void {
    this.#cursor = this.#confirmed;
  }

  /** Rows that were to go and are still there: without this a loop over what is left would never end. */
  #keptRows(): Stop {
    return new Stop(
      'ROWS_KEPT',
      'Rows of the filter are still there after they were to go: a BEFORE DELETE trigger keeps them, or others bring them back as fast. ' +
        'Change the trigger and resume, or cancel the run.',
    );
  }

  #range(units: number): Picked {
    const { block, line } = this.#cursor;
    if (units < 1) return this.#partOfBlock(units);
    const blocks = Math.min(Math.floor(units), MAX_RANGE_BLOCKS, this.#endBlock - block);
    const end = block + blocks;
    return {
      where: sql`ctid >= ${place(block, line)} AND ctid < ${place(end, 0)}`,
      units: blocks,
      next: { phase: 'RANGES', lists: 0, block: end, line: 0 },
    };
  }

  /** A block whose rows are too large together: a few line pointers at a time. */
  #partOfBlock(units: number): Picked {
    const { block, line } = this.#cursor;
    const from = Math.max(line, 1);
    const to = from + Math.max(1, Math.floor(units * MAX_LINES));
    const whole = to > MAX_LINES;
    return {
      where: sql`ctid >= ${place(block, from)} AND ctid < ${whole ? place(block + 1, 0) : place(block, to)}`,
      units,
      next: { phase: 'RANGES', lists: 0, block: whole ? block + 1 : block, line: whole ? 0 : to },
    };
  }

  #fromList(units: number): Picked {
    const places =
      this.#listed?.after(this.#cursor.block, this.#cursor.line, Math.max(1, Math.floor(units))) ?? [];
    const last = places[places.length - 1];
    if (!last) throw new TypeError('pick() without hasNext');
    return {
      where: placesCondition(places),
      units: places.length,
      next: { phase: 'LISTED', lists: this.#cursor.lists, block: last.block, line: last.line + 1 },
    };
  }

  async #list(): Promise<RowPlaces> {
    const statement = toBoundStatement(sql`
      COPY (SELECT ctid FROM ONLY ${this.#table} WHERE ${this.#filter} ORDER BY ctid LIMIT ${integer(MAX_LISTED)}) TO STDOUT`);
    const places = new RowPlaces();
    await this.#session.transaction(async () => {
      await this.#session.longRead();
      if (statement.settings !== '') await this.#session.script(statement.settings);
      await this.#session.copyOut(statement, (chunk, start, end) => places.read(chunk.subarray(start, end)));
    });
    return places;
  }

  #tableName(): Sql {
    return typedValue(this.#table.parts.map((part) => ('text' in part ? part.text : '')).join(''), 'text');
  }
}

/** A list is made anew by whoever goes on, of what is left by then: it begins at its first place. */
const resumed = (cursor: PickCursor | null): PickCursor | null =>
  cursor?.phase === 'LISTED' ? START.INDEX : cursor;

/** As many line pointers as fit into a block of the largest size (32 kB). */
const MAX_LINES = 1_200;

const place = (block: number, line: number): Sql => sql`${literal(`(${block},${line})`)}::pg_catalog.tid`;

export function placesCondition(places: readonly { block: number; line: number }[]): Sql {
  if (places.length === 0) return sql`false`;
  const list = places.map(({ block, line }) => `"(${block},${line})"`).join(',');
  return sql`ctid = ANY (${fromCatalog(`'{${list}}'`)}::pg_catalog.tid[])`;
}
