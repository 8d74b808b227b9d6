import { badInput } from '../errors.ts';

export interface PageRequest {
  readonly first?: number | null;
  readonly after?: string | null;
}

/** One page of a list that can grow, in the order of its keyset. */
export interface Page<Node> {
  readonly edges: readonly { readonly node: Node; readonly cursor: string }[];
  readonly hasNextPage: boolean;
  readonly hasPreviousPage: boolean;
}

export const DEFAULT_FIRST = 20;
export const MAX_FIRST = 100;

/** How many to take, checked. @throws BAD_USER_INPUT */
export function pageSize(request: PageRequest): number {
  const first = request.first ?? DEFAULT_FIRST;
  if (!Number.isInteger(first) || first < 1 || first > MAX_FIRST) {
    throw badInput(`first must be from 1 to ${MAX_FIRST}.`);
  }
  return first;
}

/** The keyset values after which the page begins, or null for the first page. @throws BAD_USER_INPUT */
export function pageStart(request: PageRequest, length: number): string[] | null {
  if (request.after == null) return null;
  const key = parseCursor(request.after);
  if (Array.isArray(key) && key.length === length && key.every((part) => typeof part === 'string'))
    return key;
  throw badInput('The cursor in after is not one of ours.');
}

function parseCursor(cursor: string): unknown {
  try {
    return JSON.parse(Buffer.from(cursor, 'base64url').toString('utf8'));
  } catch {
    return null; // not ours either: the caller says so
  }
}

/** Builds the page from up to first + 1 nodes, which the query has fetched in order. */
export function pageOf<Node>(
  nodes: readonly Node[],
  request: PageRequest,
  keyOf: (node: Node) => readonly string[],
): Page<Node> {
  const first = pageSize(request);
  return {
    edges: nodes.slice(0, first).map((node) => ({ node, cursor: cursorOf(keyOf(node)) })),
    hasNextPage: nodes.length > first,
    hasPreviousPage: request.after != null,
  };
}

/** A row of an answer about several things at once, with the number of the thing that it is about, from 1. */
export interface Placed {
  readonly place: bigint;
}

/** The rows of each thing that was asked about. */
export function inPlace<Row extends Placed>(asked: readonly unknown[], rows: readonly Row[]): Row[][] {
  const byPlace = Map.groupBy(rows, (row) => Number(row.place));
  return asked.map((_, i) => byPlace.get(i + 1) ?? []);
}

const cursorOf = (key: readonly string[]) => Buffer.from(JSON.stringify(key)).toString('base64url');
