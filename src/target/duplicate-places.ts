import { HASH_VALUES } from './duplicate-key.ts';
import { type Sql, sql, toBoundStatement } from './sql.ts';
import type { Session } from './session.ts';

/** Where rows with the same key are, group after group; by the hashes of their keys, which whoever locks the rows compares anew. */
export interface DuplicatePlaces {
  /** rows in all groups together */
  readonly rows: number;
  readonly groups: number;
  /** Places of the groups from the index on, whole ones where they fit, at most so many. */
  take(from: number, rows: number): TakenPlaces;
}

export interface TakenPlaces {
  readonly places: readonly Place[];
  /** the index behind them */
  readonly end: number;
  /** The last group goes on behind it. */
  readonly isCut: boolean;
}

export interface Place {
  readonly block: number;
  readonly line: number;
}

/** Hashes from the first on, below the second. */
export interface HashRange {
  readonly from: number;
  readonly to: number;
}

/** Kept at once, 14 bytes each; a list beyond that is cut to a part of the hashes. */
const MAX_LISTED = 2_000_000;
/** A list that is still too long is no longer one of many keys, but of one with millions of rows. */
const NARROWEST = HASH_VALUES / 4_096;
const LEAST_BUCKETS = 2 ** 16;
/** 64 MB for both bits. */
const MOST_BUCKETS = 2 ** 28;
const BUCKETS_PER_ROW = 16;

export interface HashedRows {
  readonly table: Sql;
  readonly hash: Sql;
  /** which rows count */
  readonly where: Sql;
  readonly estimatedRows: number;
}

/**
 * Finds equal keys by reading the table twice, in a memory that its size does not change, and without a sort: first each hash
 * sets a bit, or another if its bit was set; then places are kept of the rows whose second bit is set. Neither the server nor
 * the disk has to hold the keys. The range says which hashes the list speaks of: fewer than asked for when it would grow too long.
 */
export async function findDuplicatePlaces(
  session: Session,
  rows: HashedRows,
  wanted: HashRange,
): Promise<{ readonly found: DuplicatePlaces; readonly range: HashRange }> {
  const seen = new SeenTwice(rows.estimatedRows * ((wanted.to - wanted.from) / HASH_VALUES));
  await read(session, rows, sql``, (hash) => {
    if (hash >= wanted.from && hash < wanted.to) seen.add(hash);
  });
  const list = new PlaceList(wanted);
  await read(session, rows, sql`, ctid`, (hash, block, line) => {
    if (seen.has(hash)) list.add(hash, block, line);
  });
  return { found: list.groups(), range: list.range };
}

async function read(
  session: Session,
  { table, hash, where }: HashedRows,
  more: Sql,
  onRow: OnRow,
): Promise<void> {
  const statement = toBoundStatement(
    sql`COPY (SELECT ${hash}${more} FROM ONLY ${table} WHERE ${where}) TO STDOUT`,
  );
  if (statement.settings !== '') await session.script(statement.settings);
  const reader = new HashReader(onRow);
  await session.copyOut(statement, reader.read);
}

type OnRow = (hash: number, block: number, line: number) => void;

const [TAB, NEWLINE, OPEN, COMMA, ZERO, NINE] = [0x09, 0x0a, 0x28, 0x2c, 0x30, 0x39];

/** Lines of COPY's text like 123<tab>(4,5), or 123 alone; pieces may end anywhere. */
class HashReader {
  readonly #onRow: OnRow;
  #number = 0;
  #hash = -1;
  #block = 0;

  constructor(onRow: OnRow) {
    this.#onRow = onRow;
  }

  readonly read = (chunk: Buffer, start: number, end: number): void => {
    for (let i = start; i < end; i++) {
      const byte = chunk[i] as number;
      if (byte >= ZERO && byte <= NINE) this.#number = this.#number * 10 + byte - ZERO;
      else if (byte === NEWLINE) this.#endRow();
      else if (byte === TAB) this.#hash = this.#number;
      else if (byte === COMMA) this.#block = this.#number;
      if (byte === TAB || byte === OPEN || byte === COMMA || byte === NEWLINE) this.#number = 0;
    }
  };

  #endRow(): void {
    if (this.#hash === -1) this.#onRow(this.#number, 0, 0);
    else this.#onRow(this.#hash, this.#block, this.#line);
    this.#hash = -1;
  }

  get #line(): number {
    return this.#number;
  }
}

/** Whether a hash came twice. Now and then says so of one that came once: two hashes may share a bit. */
class SeenTwice {
  readonly #mask: number;
  readonly #once: Uint32Array;
  readonly #twice: Uint32Array;

  constructor(rows: number) {
    const wanted = 2 ** Math.ceil(Math.log2(Math.max(1, rows * BUCKETS_PER_ROW)));
    const buckets = Math.min(MOST_BUCKETS, Math.max(LEAST_BUCKETS, wanted));
    this.#mask = buckets - 1;
    this.#once = new Uint32Array(buckets / 32);
    this.#twice = new Uint32Array(buckets / 32);
  }

  add(hash: number): void {
    const bucket = this.#bucketOf(hash);
    const [at, bit] = [bucket >>> 5, 1 << (bucket & 31)];
    if (((this.#once[at] as number) & bit) !== 0) this.#twice[at] = (this.#twice[at] as number) | bit;
    else this.#once[at] = (this.#once[at] as number) | bit;
  }

  has(hash: number): boolean {
    const bucket = this.#bucketOf(hash);
    return ((this.#twice[bucket >>> 5] as number) & (1 << (bucket & 31))) !== 0;
  }

  /** The low bits; the operator reads a number modulo 2^32. */
  #bucketOf(hash: number): number {
    return (hash & this.#mask) >>> 0;
  }
}

class PlaceList {
  readonly #from: number;
  #to: number;
  #hashes = new Float64Array(1_024);
  #blocks = new Uint32Array(1_024);
  #lines = new Uint16Array(1_024);
  #size = 0;

  constructor({ from, to }: HashRange) {
    this.#from = from;
    this.#to = to;
  }

  get range(): HashRange {
    return { from: this.#from, to: this.#to };
  }

  add(hash: number, block: number, line: number): void {
    if (hash < this.#from || hash >= this.#to || this.#isFull) return;
    if (this.#size === this.#hashes.length) this.#grow();
    this.#set(this.#size, hash, block, line);
    this.#size += 1;
    while (this.#size > MAX_LISTED && this.#to - this.#from > NARROWEST) this.#narrow();
  }

  /** Of the rows of one key, say: the others are met in the next list. */
  get #isFull(): boolean {
    return this.#size >= MAX_LISTED && this.#to - this.#from <= NARROWEST;
  }

  /** Those that share their hash with another. */
  groups(): DuplicatePlaces {
    const order = new Uint32Array(this.#size).map((_, i) => i).sort((a, b) => this.#compare(a, b));
    const starts: number[] = [];
    const repeated: number[] = [];
    for (let i = 0; i < order.length;) {
      let end = i + 1;
      while (end < order.length && this.#hashAt(order, end) === this.#hashAt(order, i)) end += 1;
      if (end - i > 1) {
        starts.push(repeated.length);
        for (let j = i; j < end; j++) repeated.push(order[j] as number);
      }
      i = end;
    }
    return new Groups(starts, repeated, (i) => ({
      block: this.#blocks[i] as number,
      line: this.#lines[i] as number,
    }));
  }

  #hashAt(order: Uint32Array, i: number): number {
    return this.#hashes[order[i] as number] as number;
  }

  #compare(a: number, b: number): number {
    return (
      (this.#hashes[a] as number) - (this.#hashes[b] as number) ||
      (this.#blocks[a] as number) - (this.#blocks[b] as number) ||
      (this.#lines[a] as number) - (this.#lines[b] as number)
    );
  }

  /** Leaves the upper half of the hashes to another list. */
  #narrow(): void {
    this.#to = this.#from + Math.ceil((this.#to - this.#from) / 2);
    let kept = 0;
    for (let i = 0; i < this.#size; i++) {
      const hash = this.#hashes[i] as number;
      if (hash >= this.#to) continue;
      this.#set(kept, hash, this.#blocks[i] as number, this.#lines[i] as number);
      kept += 1;
    }
    this.#size = kept;
  }

  #set(at: number, hash: number, block: number, line: number): void {
    this.#hashes[at] = hash;
    this.#blocks[at] = block;
    this.#lines[at] = line;
  }

  #grow(): void {
    const length = this.#size * 2;
    const [hashes, blocks, lines] = [this.#hashes, this.#blocks, this.#lines];
    this.#hashes = new Float64Array(length);
    this.#blocks = new Uint32Array(length);
    this.#lines = new Uint16Array(length);
    this.#hashes.set(hashes);
    this.#blocks.set(blocks);
    this.#lines.set(lines);
  }
}

class Groups implements DuplicatePlaces {
  readonly #starts: readonly number[];
  readonly #members: readonly number[];
  readonly #placeOf: (member: number) => Place;

  constructor(starts: readonly number[], members: readonly number[], placeOf: (member: number) => Place) {
    this.#starts = starts;
    this.#members = members;
    this.#placeOf = placeOf;
  }

  get rows(): number {
    return this.#members.length;
  }

  get groups(): number {
    return this.#starts.length;
  }

  /** A group that is larger than what is asked for is cut: whoever stays of each part meets the others in the next list. */
  take(from: number, rows: number): TakenPlaces {
    const most = Math.min(this.rows, from + Math.max(2, rows));
    const start = most === this.rows ? most : this.#lastStart(most);
    const end = start > from ? start : most;
    return { places: this.#members.slice(from, end).map(this.#placeOf), end, isCut: end !== start };
  }

  /** The last start of a group up to the index. */
  #lastStart(index: number): number {
    let [low, high] = [0, this.#starts.length];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#starts[middle] as number) <= index) low = middle + 1;
      else high = middle;
    }
    return this.#starts[low - 1] ?? 0;
  }
}
