import type { Relation } from './catalog.ts';
import type { Place } from './duplicate-places.ts';
import type { MergeEdge } from './merge-graph.ts';
import { PLACE, pairsOf, repointedRows } from './merge-sql.ts';
import { isOneOf, type Pair, placeOf } from './row-pairs.ts';
import type { Session } from './session.ts';
import { fromCatalog, ident, join, type Sql, sql } from './sql.ts';
import type { UniqueKey, UniquePart } from './unique-keys.ts';

/** Rows that would have the same key as another, and say something else. */
export interface Conflict {
  readonly relation: Relation;
  readonly uniqueKey: string;
  readonly rows: number;
}

export interface CollisionQuestion {
  readonly child: Relation;
  /** keys of the child to tables of which rows go */
  readonly edges: readonly MergeEdge[];
  readonly pairs: (parent: Relation) => readonly Pair[];
  /** rows of the child that are re-pointed */
  readonly moved: readonly Place[];
  /** rows of the child that go anyway */
  readonly gone: readonly Place[];
}

export interface Collisions {
  /** Rows that are the same as another once they are re-pointed, but for their primary key: they go, and the other stays for them. */
  readonly same: readonly Pair[];
  readonly conflicts: readonly Conflict[];
}

/** Which re-pointed rows would have the same unique key as another row, re-pointed or not. */
export async function findCollisions(
  session: Session,
  question: CollisionQuestion,
  uniqueKeys: readonly UniqueKey[],
  { lock }: { readonly lock: boolean },
): Promise<Collisions> {
  if (question.moved.length === 0) return { same: [], conflicts: [] };
  const same = new Map<string, Pair>();
  const others: { readonly key: UniqueKey; readonly gone: string }[] = [];
  for (const key of uniqueKeys) {
    const rows = await session.query<Collision>(collisionsSql(question, key, lock));
    for (const { gone, stays, equal } of rows) {
      if (equal) same.set(gone, { gone: placeOf(gone), stays: placeOf(stays) });
      else others.push({ key, gone });
    }
  }
  const left = others.filter(({ gone }) => !same.has(gone));
  const names = [...new Set(left.map(({ key }) => key.name))];
  const conflicts = names.map((uniqueKey) => ({
    relation: question.child,
    uniqueKey,
    rows: left.filter(({ key }) => key.name === uniqueKey).length,
  }));
  return { same: [...same.values()], conflicts };
}

interface Collision {
  readonly gone: string;
  readonly stays: string;
  readonly equal: boolean;
}

/** Rows that are not re-pointed come first, then by place: under every key the same row stays. */
function collisionsSql(
  { child, edges, pairs, moved, gone }: CollisionQuestion,
  key: UniqueKey,
  lock: boolean,
): Sql {
  const parents = [...new Map(edges.map(({ parent }) => [parent.oid, parent])).values()];
  const names = key.parts.map((_, i) => ident(`key ${i}`));
  const wanted = key.parts.map(
    ({ equals }, i) => sql`other.${names[i] as Sql} ${fromCatalog(equals)} fresh.${names[i] as Sql}`,
  );
  const matches = key.nullsEqual
    ? wanted.map(
        (equal, i) =>
          sql`(${equal} OR other.${names[i] as Sql} IS NULL AND fresh.${names[i] as Sql} IS NULL)`,
      )
    : wanted;
  const whole = names.map((name) => sql`${name} IS NOT NULL`);
  return sql`
    WITH ${join(
      parents.map((parent) => pairsOf(parent, pairs(parent), edges)),
      ', ',
    )},
         fresh AS MATERIALIZED (SELECT ${PLACE} AS place, ${keyed(child, key)}
                                  FROM (${repointedRows(child, edges, moved)}) AS repointed ${where(key)}),
         other AS MATERIALIZED (
           SELECT other.* FROM fresh
             JOIN (SELECT ctid AS place, ${keyed(child, key)} FROM ONLY ${ident(child.schema, child.name)} ${where(key)}) AS other
               ON ${join(matches, ' AND ')}
            WHERE NOT ${isOneOf(sql`other.place`, [...moved, ...gone])}${lock ? sql` FOR UPDATE OF other` : sql``})
    SELECT place::pg_catalog.text AS gone, stays::pg_catalog.text AS stays, equal
      FROM (SELECT place, is_fresh, pg_catalog.first_value(place) OVER equals AS stays,
                   said OPERATOR(pg_catalog.=) pg_catalog.first_value(said) OVER equals AS equal
              FROM (SELECT true AS is_fresh, * FROM fresh UNION ALL SELECT false, * FROM other) AS every_row
             WHERE ${key.nullsEqual ? sql`true` : join(whole, ' AND ')}
            WINDOW equals AS (PARTITION BY ${join(names, ', ')} ORDER BY is_fresh, place)) AS judged
     WHERE is_fresh AND place OPERATOR(pg_catalog.<>) stays`;
}

const where = ({ predicate }: UniqueKey): Sql =>
  predicate === null ? sql`` : sql`WHERE (${fromCatalog(predicate)})`;

/** The values of the key, and all that the row says besides which one it is, as text: what differs in the least is not the same. */
function keyed(child: Relation, key: UniqueKey): Sql {
  const parts = key.parts.map((part, i) => sql`${partValue(part)} AS ${ident(`key ${i}`)}`);
  const said = child.columns.filter(
    ({ name, generated }) => !generated && (key.isPrimary || child.primaryKey?.includes(name) !== true),
  );
  const row = join(
    said.map(({ name, type }) => sql`${ident(name)}::${fromCatalog(type)}`),
    ', ',
  );
  return sql`${join(parts, ', ')}, (ROW(${row})::pg_catalog.text COLLATE pg_catalog."C") AS said`;
}

function partValue({ value, type, collation }: UniquePart): Sql {
  const cast = sql`(${fromCatalog(value)})::${fromCatalog(type)}`;
  return collation === null ? cast : sql`(${cast} COLLATE ${fromCatalog(collation)})`;
}
