import { type AgedColumn, ageColumn } from './age-column.ts';
import type { AgeDays } from './age-scale.ts';
import { countTail, type Tail, type TailAnswer, tailsTogether } from './age-tail.ts';
import type { MeasuredTable } from './define-analysis.ts';
import { pointerOf, singularForms, snakeCase } from './reference-names.ts';
import { isNotRead, type NotRead, type RowReader } from './row-reader.ts';
import type { RowSubject } from './row-subjects.ts';

/** A table whose rows grow old by a column; of a partitioned one, all its partitions do by the same. */
export interface AgedSubject {
  readonly subject: RowSubject;
  readonly column: AgedColumn;
  /** that hold rows */
  readonly leaves: readonly MeasuredTable[];
}

export type Tails = ReadonlyMap<number, TailAnswer>;

export function agedSubject(subject: RowSubject): AgedSubject | null {
  const column = ageColumn({ columns: subject.columns, indexes: subject.leaves[0]?.indexes ?? [] });
  return column && { subject, column, leaves: subject.leaves.filter((leaf) => leaf.liveRows > 0) };
}

/** From which age on rows are obsolete. What expires, or is not seen again, is so sooner. */
export const obsoleteAge = (column: AgedColumn): AgeDays => (column.isTransient ? 30 : 365);

const known = (answer: TailAnswer | undefined): Tail | null =>
  answer != null && !isNotRead(answer) ? answer : null;

/** Of all its rows together. */
export const tailOf = ({ leaves }: AgedSubject, tails: Tails): Tail | null =>
  tailsTogether(leaves.map((leaf) => ({ rows: leaf.liveRows, tail: known(tails.get(leaf.oid)) })));

export interface LeafTail {
  readonly leaf: MeasuredTable;
  readonly tail: Tail;
}

export const leafTails = ({ leaves }: AgedSubject, tails: Tails): LeafTail[] =>
  leaves.flatMap((leaf) => {
    const tail = known(tails.get(leaf.oid));
    return tail ? [{ leaf, tail }] : [];
  });

interface Untold {
  readonly leaf: MeasuredTable;
  readonly why: string | null;
}

/** Tables whose age could not be told, with the reason where there is one. */
export const untold = ({ leaves }: AgedSubject, tails: Tails): Untold[] =>
  leaves.flatMap((leaf): Untold[] => {
    const answer = tails.get(leaf.oid);
    if (answer === undefined) return [{ leaf, why: null }];
    return answer !== null && isNotRead(answer) ? [{ leaf, why: answer.notRead }] : [];
  });

/** Reads every row; where that is not to be had, the estimate stays, and the reason comes with it. */
export async function countedTails(
  rows: RowReader,
  aged: AgedSubject,
  tails: Tails,
): Promise<{ tails: Tails; notCounted: string | null }> {
  const result = new Map(tails);
  let notCounted: NotRead | null = null;
  for (const { leaf, tail } of leafTails(aged, tails)) {
    const counted = await countTail(rows, { table: leaf, column: aged.column }, tail);
    if (isNotRead(counted)) notCounted = counted;
    else result.set(leaf.oid, counted);
  }
  return { tails: result, notCounted: notCounted?.notRead ?? null };
}

/** The things that columns of other tables point to by their names, each with the tables that do: user, order. */
export function thingsPointedTo(subjects: readonly RowSubject[]): Map<string, Set<number>> {
  const things = new Map<string, Set<number>>();
  for (const { table, columns } of subjects) {
    for (const column of columns) {
      const thing = pointerOf(column.name)?.things[0];
      if (thing !== undefined) things.set(thing, (things.get(thing) ?? new Set()).add(table.oid));
    }
  }
  return things;
}

/** Whether another table's rows seem to point to this one's. */
export const isPointedTo = (
  { table }: RowSubject,
  things: ReadonlyMap<string, ReadonlySet<number>>,
): boolean =>
  singularForms(snakeCase(table.name)).some((form) =>
    [...(things.get(form) ?? [])].some((oid) => oid !== table.oid),
  );
