import type { Relation } from '../target/catalog.ts';
import { type Edge, type Reached, references, rowsOf } from '../target/reached-tables.ts';
import type { Session } from '../target/session.ts';
import { ident, integer, type Sql, sql } from '../target/sql.ts';
import { BatchTooLarge, type BatchSize } from './define-operation.ts';
import { type Place, readPlaces, rowsAt } from './row-place.ts';

/** Rows of one table that go in a batch, locked. */
export interface ClosedRows {
  readonly relation: Relation;
  readonly places: readonly Place[];
}

export interface Closure {
  /** Each table behind one that leads to it; those that have rows in it. */
  readonly rows: readonly ClosedRows[];
  /** rows of the subject that the filter chooses */
  readonly chosen: number;
  /** rows that go only because they reference others */
  readonly included: readonly { readonly relation: Relation; readonly rows: number }[];
  /** how many more rows the batch may touch */
  readonly room: number;
}

/** A row that cannot be parted from what references it may take so many rows with it, in one transaction. */
const MAX_OF_ONE = 200_000;

/**
 * The chosen rows and all that references them, through all levels, each once; the subject first. Rows are locked before those
 * that reference them are looked for: whoever adds a reference meanwhile waits for our lock, and finds the row gone.
 */
export async function lockClosure(
  session: Session,
  reached: Reached,
  { places, filter }: { readonly places: Sql; readonly filter: Sql },
  { maxRows }: Pick<BatchSize, 'maxRows'>,
): Promise<Closure> {
  const { subject, tables } = reached;
  const chosen = await readPlaces(
    session,
    sql`SELECT tableoid::pg_catalog.int8::pg_catalog.float8 AS table, ctid::pg_catalog.text AS place
          FROM ONLY ${ident(subject.schema, subject.name)} WHERE ${places} AND (${filter}) FOR UPDATE`,
  );
  const found = new Found(chosen.length === 1 ? MAX_OF_ONE : maxRows);
  found.add(subject, chosen);
  for (let parent = found.next(tables); parent !== null; parent = found.next(tables)) {
    const fresh = found.take(parent);
    for (const edge of reached.edges) {
      if (edge.parent.oid !== parent.oid || !reached.deletes(edge.key)) continue;
      found.add(edge.child, await lockReferencing(session, edge, fresh, found.room(edge.child)));
    }
  }
  const rows = tables.map((relation) => ({ relation, places: found.of(relation) }));
  const own = found.of(subject).length;
  // Rows of the subject that another batch would have picked are no others: its filter chooses them.
  const picked = own === chosen.length ? own : await countChosen(session, subject, found.of(subject), filter);
  return {
    rows: rows.filter(({ places: { length } }) => length > 0),
    chosen: picked,
    included: rows
      .map(({ relation, places: { length } }) => ({
        relation,
        rows: relation === subject ? length - picked : length,
      }))
      .filter((others) => others.rows > 0),
    room: found.left,
  };
}

async function countChosen(
  session: Session,
  relation: Relation,
  places: readonly Place[],
  filter: Sql,
): Promise<number> {
  const { schema, name } = relation;
  const { rows } = await session.one<{ rows: number }>(
    sql`SELECT pg_catalog.count(*)::pg_catalog.int4 AS rows FROM ONLY ${ident(schema, name)}
         WHERE ${rowsAt(relation, places, ident(name))} AND (${filter})`,
  );
  return rows;
}

/** room: so many rows that one more would surely be too much. */
function lockReferencing(
  session: Session,
  edge: Edge,
  parents: readonly Place[],
  room: number,
): Promise<Place[]> {
  const child = ident('child');
  return readPlaces(
    session,
    sql`SELECT ${child}.tableoid::pg_catalog.int8::pg_catalog.float8 AS table, ${child}.ctid::pg_catalog.text AS place
          FROM ${rowsOf(edge.child, child)} WHERE ${referencesAny(edge, parents, child)}
         LIMIT ${integer(room + 1)} FOR UPDATE OF ${child}`,
  );
}

/** Whether the row that the alias stands for references one of these. */
export function referencesAny(edge: Edge, parents: readonly Place[], child: Sql): Sql {
  const parent = ident('parent');
  return sql`EXISTS (SELECT FROM ${rowsOf(edge.parent, parent)}
                      WHERE ${rowsAt(edge.parent, parents, parent)} AND ${references(edge, parent, child)})`;
}

/** Rows by table, and those of them whose references have not been looked for yet. */
class Found {
  readonly #max: number;
  readonly #rows = new Map<number, Map<string, Place>>();
  readonly #fresh = new Map<number, Place[]>();
  #count = 0;

  constructor(max: number) {
    this.#max = max;
  }

  get left(): number {
    return this.#max - this.#count;
  }

  /** Known rows of the table, which come again, and those that may be added. */
  room({ oid }: Relation): number {
    return this.#max - this.#count + (this.#rows.get(oid)?.size ?? 0);
  }

  /** @throws BatchTooLarge */
  add({ oid }: Relation, places: readonly Place[]): void {
    const known = this.#rows.get(oid) ?? new Map<string, Place>();
    this.#rows.set(oid, known);
    const fresh = places.filter((place) => !known.has(keyOf(place)));
    for (const place of fresh) known.set(keyOf(place), place);
    this.#count += fresh.length;
    if (this.#count > this.#max) throw new BatchTooLarge('ROWS');
    this.#fresh.set(oid, [...(this.#fresh.get(oid) ?? []), ...fresh]);
  }

  next(tables: readonly Relation[]): Relation | null {
    return tables.find(({ oid }) => (this.#fresh.get(oid)?.length ?? 0) > 0) ?? null;
  }

  take({ oid }: Relation): Place[] {
    const fresh = this.#fresh.get(oid) ?? [];
    this.#fresh.delete(oid);
    return fresh;
  }

  of({ oid }: Relation): Place[] {
    return [...(this.#rows.get(oid)?.values() ?? [])];
  }
}

const keyOf = ({ table, block, line }: Place): string => `${table}:${block},${line}`;
