import type { Relation } from '../target/catalog.ts';
import type { Session } from '../target/session.ts';
import type { Sql } from '../target/sql.ts';
import type { BatchSize, BatchWork, Json, Piece, Treated } from './define-operation.ts';
import type { Picked, RowPicker } from './pick-rows.ts';

/** What a kind does to the rows at the picked places; the rest of its work is the same for all. */
export type TreatRows = (
  session: Session,
  where: Sql,
  size: BatchSize,
) => Promise<Pick<Treated, 'rows' | 'included' | 'store' | 'storeParts'> & Marked>;

interface Marked {
  /** more for the cursor */
  readonly mark?: { readonly [name: string]: Json };
}

/** Nothing is kept of the rows. */
export const keepsNothing: Treated['store'] = () => Promise.resolve(null);

/** Batch work on rows found by their places. */
export function pickedWork(
  picker: RowPicker,
  treatRows: TreatRows,
  options: { readonly overlaps: boolean; readonly finish?: () => Promise<void> },
): BatchWork {
  const places = new Map<Piece, Picked>();
  return {
    mode: 'BATCHES',
    overlaps: options.overlaps,
    bytesPerUnit: picker.bytesPerUnit,
    get hasNext() {
      return picker.hasNext;
    },
    prepare: () => picker.prepare(),
    pick: (size) => {
      const picked = picker.pick(size.units);
      const piece: Piece = {
        treat: async (session) => {
          const { mark, ...treated } = await treatRows(session, picked.where, size);
          return { ...treated, units: picked.units, cursor: { ...picked.next, ...mark } };
        },
      };
      places.set(piece, picked);
      return piece;
    },
    confirm: (piece, rows) => {
      picker.confirm(places.get(piece) as Picked, rows);
      places.delete(piece);
    },
    rewind: () => {
      places.clear();
      picker.rewind();
    },
    finish: options.finish ?? (() => Promise.resolve()),
  };
}

/** Deletes of two batches can't meet where nothing references the table and no trigger looks at other rows. */
export const deletesOverlap = ({ inbound, triggers }: Relation): boolean =>
  inbound.length === 0 && triggers.length === 0;
