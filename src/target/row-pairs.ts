import type { Place } from './duplicate-places.ts';
import { fromCatalog, type Sql, sql } from './sql.ts';

/** A row that goes, and the one that stays in its stead. */
export interface Pair {
  readonly gone: Place;
  readonly stays: Place;
}

export const textOf = ({ block, line }: Place): string => `(${block},${line})`;

export function placeOf(text: string): Place {
  const [block, line] = text.slice(1, -1).split(',').map(Number) as [number, number];
  return { block, line };
}

/** Only numbers of our own, so that it may stand in any statement. */
export function tidArray(places: Iterable<Place>): Sql {
  const list = [...places].map((place) => `"${textOf(place)}"`).join(',');
  return fromCatalog(`'{${list}}'::pg_catalog.tid[]`);
}

export const isOneOf = (place: Sql, places: Iterable<Place>): Sql =>
  sql`${place} OPERATOR(pg_catalog.=) ANY (${tidArray(places)})`;
