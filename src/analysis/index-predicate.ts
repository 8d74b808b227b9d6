import type { IndexFacts } from './define-analysis.ts';

/** The conditions that a predicate joins by AND, each as PostgreSQL prints it; none without a predicate. */
export function conditionsOf(predicate: string | null): string[] {
  if (predicate === null) return [];
  const parts = splitByAnd(withoutParentheses(predicate));
  return parts.length === 1 ? [predicate] : parts.flatMap(conditionsOf);
}

/** The column of which a condition says only that it IS NOT NULL; null when it says anything else. */
export function notNullColumn(condition: string): string | null {
  const operand = /^\((.*) IS NOT NULL\)$/s.exec(condition)?.[1];
  if (operand === undefined) return null;
  if (/^[a-z_][a-z0-9_$]*$/.test(operand)) return operand;
  return /^"([^"]|"")+"$/.test(operand) ? operand.slice(1, -1).replaceAll('""', '"') : null;
}

/**
 * Whether each query that the other index answers can be answered by the keeper as well, as far as predicates go: its
 * predicate follows from the other's, and what the other says beyond it costs the keeper nothing. (A key that IS NOT NULL
 * is one end of a scan; any other condition would have to be looked up in the table, row by row.)
 */
export function allowsPredicate(
  keeper: IndexFacts,
  other: IndexFacts,
  neverNull: ReadonlySet<string>,
): boolean {
  const kept = conditionsOf(keeper.predicate);
  const wanted = conditionsOf(other.predicate);
  const beyond = wanted.filter((condition) => !kept.includes(condition));
  return kept.every((condition) => wanted.includes(condition)) && beyond.every(isFree);

  function isFree(condition: string): boolean {
    const column = notNullColumn(condition);
    if (column === null) return false;
    return neverNull.has(column) || (keeper.method === 'btree' && keeper.keys[0]?.column === column);
  }
}

export const samePredicate = (a: IndexFacts, b: IndexFacts) =>
  sameSet(conditionsOf(a.predicate), conditionsOf(b.predicate));

export const sameSet = (a: readonly string[], b: readonly string[]) =>
  a.length === b.length && a.every((item) => b.includes(item));

function withoutParentheses(text: string): string {
  const end = text.startsWith('(') ? [...levels(text)].find(({ level }) => level === 0)?.at : undefined;
  return end === text.length - 1 ? text.slice(1, -1) : text;
}

function splitByAnd(text: string): string[] {
  const parts: string[] = [];
  let from = 0;
  for (const { at, level } of levels(text)) {
    if (level !== 0 || at < from || !text.startsWith(' AND ', at)) continue;
    parts.push(text.slice(from, at));
    from = at + ' AND '.length;
  }
  return [...parts, text.slice(from)];
}

/** How many parentheses are open after each character that is not part of a quoted string or name. */
function* levels(text: string): Generator<{ at: number; level: number }> {
  let level = 0;
  let quote: string | null = null;
  for (let at = 0; at < text.length; at++) {
    const character = text[at] as string;
    if (quote !== null) {
      if (character === quote) quote = null;
      continue;
    }
    if (character === "'" || character === '"') quote = character;
    else {
      if (character === '(') level += 1;
      if (character === ')') level -= 1;
      yield { at, level };
    }
  }
}
