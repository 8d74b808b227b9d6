import { Severity } from '../domain/words.ts';
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

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** What a part of a cursor may be, so that the database can take it. Callers can write cursors of their own. */
const PARTS = {
  moment: (text: string) => /^(?!0000)\d{4}-/.test(text) && isoOf(text) === text,
  id: (text: string) => UUID.test(text),
  /** from 0 to what fits in an integer */
  sequence: (text: string) => /^\d{1,9}$/.test(text),
  /** within a bigint */
  size: (text: string) => /^-?\d{1,18}$/.test(text),
  severity: (text: string) => Object.hasOwn(Severity, text),
  text: (text: string) => !text.includes('\0'),
} as const;

function isoOf(text: string): string | null {
  const moment = new Date(text);
  return Number.isNaN(moment.getTime()) ? null : moment.toISOString();
}

/** The keyset values after which the page begins, or null for the first page. @throws BAD_USER_INPUT */
export function pageStart(request: PageRequest, parts: readonly (keyof typeof PARTS)[]): string[] | null {
  if (request.after == null) return null;
  const key = parseCursor(request.after);
  const fits = (kind: keyof typeof PARTS, i: number, texts: readonly unknown[]) => {
    const text = texts[i];
    return typeof text === 'string' && PARTS[kind](text);
  };
  if (Array.isArray(key) && key.length === parts.length && parts.every((kind, i) => fits(kind, i, key)))
    return key as string[];
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
