/** Places of rows in the heap, in order, packed: six bytes each, so that millions fit. */
export class RowPlaces {
  #blocks = new Uint32Array(1_024);
  #lines = new Uint16Array(1_024);
  #size = 0;
  #rest = '';

  get size(): number {
    return this.#size;
  }

  /** Takes in a piece of COPY's text: lines like (12,3). Pieces may end anywhere. */
  read(chunk: Buffer): void {
    const text = this.#rest + chunk.toString('latin1');
    let start = 0;
    for (let end = text.indexOf('\n', start); end !== -1; end = text.indexOf('\n', start)) {
      const comma = text.indexOf(',', start);
      this.#add(Number(text.slice(start + 1, comma)), Number(text.slice(comma + 1, end - 1)));
      start = end + 1;
    }
    this.#rest = text.slice(start);
  }

  /** Up to count places from (block, line) on. */
  after(block: number, line: number, count: number): { block: number; line: number }[] {
    const places: { block: number; line: number }[] = [];
    for (let i = this.#indexOf(block, line); i < this.#size && places.length < count; i++) {
      places.push({ block: this.#blocks[i] as number, line: this.#lines[i] as number });
    }
    return places;
  }

  /** Whether all places of the other list are in this one. */
  includes(other: RowPlaces): boolean {
    for (let i = 0; i < other.#size; i++) {
      const block = other.#blocks[i] as number;
      const line = other.#lines[i] as number;
      const at = this.#indexOf(block, line);
      if (at >= this.#size || this.#blocks[at] !== block || this.#lines[at] !== line) return false;
    }
    return true;
  }

  #indexOf(block: number, line: number): number {
    let low = 0;
    let high = this.#size;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const at = this.#blocks[middle] as number;
      if (at < block || (at === block && (this.#lines[middle] as number) < line)) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #add(block: number, line: number): void {
    if (this.#size === this.#blocks.length) this.#grow();
    this.#blocks[this.#size] = block;
    this.#lines[this.#size] = line;
    this.#size += 1;
  }

  #grow(): void {
    const blocks = new Uint32Array(this.#size * 2);
    blocks.set(this.#blocks);
    this.#blocks = blocks;
    const lines = new Uint16Array(this.#size * 2);
    lines.set(this.#lines);
    this.#lines = lines;
  }
}
