import type { Json } from './define-operation.ts';

/** What a restore leaves out, counted along with the cursor, so that whoever goes on knows of those before. One batch is under way at a time. */
export class SkippedRows {
  #confirmed: LeftOut;
  #open: LeftOut = NONE;

  constructor(cursor: Json) {
    const before = cursor as Partial<LeftOut> | number | null;
    this.#confirmed = typeof before === 'object' ? { ...NONE, ...before } : NONE;
  }

  with(left: LeftOut): LeftOut {
    this.#open = left;
    return sumOf(this.#confirmed, left);
  }

  confirm(): void {
    this.#confirmed = sumOf(this.#confirmed, this.#open);
    this.#open = NONE;
  }

  get remark(): string | null {
    const { skipped, unpointed } = this.#confirmed;
    const said = [
      ...(skipped === 0
        ? []
        : [
            `${skipped} archived rows were left out: their keys are taken. To see them, restore into a side table.`,
          ]),
      ...(unpointed === 0
        ? []
        : [
            `${unpointed} references were not pointed back: their rows are gone or have other values by now, or what they pointed to is not there.`,
          ]),
    ];
    return said.length === 0 ? null : said.join(' ');
  }
}

export type LeftOut = {
  /** rows whose keys are taken */
  readonly skipped: number;
  /** references of rows that do not have the NULL or default any more, or whose target is not there */
  readonly unpointed: number;
};

const NONE: LeftOut = { skipped: 0, unpointed: 0 };

const sumOf = (a: LeftOut, b: LeftOut): LeftOut => ({
  skipped: a.skipped + b.skipped,
  unpointed: a.unpointed + b.unpointed,
});
