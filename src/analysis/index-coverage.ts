import type { IndexFacts, IndexKey } from './define-analysis.ts';
import { allowsPredicate, samePredicate, sameSet } from './index-predicate.ts';

/** DESC and NULLS FIRST */
const BOTH_TURNED = 3;

/** Methods whose storage parameters decide how an index is stored, never what it finds, or how exactly. */
const EXACT_METHODS = new Set(['btree', 'hash', 'gist', 'spgist', 'gin']);

/** Everything that decides which queries an index can answer is the same. Uniqueness is not part of it. */
export const answersTheSame = (a: IndexFacts, b: IndexFacts) =>
  a.method === b.method &&
  a.keys.length === b.keys.length &&
  isPrefix(a, b) &&
  sameSet(includedColumns(a), includedColumns(b)) &&
  samePredicate(a, b) &&
  sameParameters(a, b);

/** The keeper answers every query that the other index does, and forbids every row that it forbids. */
export const covers = (keeper: IndexFacts, other: IndexFacts, neverNull: ReadonlySet<string>): boolean =>
  keeper.isValid &&
  answers(keeper, other) &&
  allowsPredicate(keeper, other, neverNull) &&
  enforces(keeper, other);

function answers(keeper: IndexFacts, other: IndexFacts): boolean {
  if (keeper.method !== other.method) return other.method === 'hash' && answersEquality(keeper, other);
  switch (other.method) {
    case 'btree':
      return (
        (isPrefix(other, keeper) || isPrefix(other, keeper, BOTH_TURNED)) && returnsIncluded(keeper, other)
      );
    case 'gist':
      return isPrefix(other, keeper) && returnsIncluded(keeper, other);
    case 'gin':
      return hasAllKeys(keeper, other);
    case 'brin':
      return hasAllKeys(keeper, other) && sameParameters(keeper, other);
    case 'spgist':
      return sameKeys(keeper, other) && returnsIncluded(keeper, other);
    default:
      return sameKeys(keeper, other) && sameParameters(keeper, other) && returnsIncluded(keeper, other);
  }
}

/** A B-tree finds what equals its first key, too, if both mean the same by equal. */
function answersEquality(keeper: IndexFacts, hash: IndexFacts): boolean {
  const [first] = keeper.keys;
  const [wanted] = hash.keys;
  return (
    keeper.method === 'btree' &&
    first !== undefined &&
    wanted !== undefined &&
    first.equality !== null &&
    first.equality === wanted.equality &&
    first.collation === wanted.collation &&
    sameSubject(first, wanted)
  );
}

/**
 * The shorter one's keys are the first keys of the longer one. Both turned: each key the other way round, which is
 * what a B-tree gives when it is read backwards.
 */
const isPrefix = (shorter: IndexFacts, longer: IndexFacts, turned = 0) =>
  shorter.keys.length <= longer.keys.length &&
  shorter.keys.every((key, i) => {
    const other = longer.keys[i];
    return (
      other !== undefined && sameKey(key, other, shorter.method) && (key.options ^ turned) === other.options
    );
  });

const sameKeys = (a: IndexFacts, b: IndexFacts) => a.keys.length === b.keys.length && isPrefix(a, b);

/** GIN and BRIN keep each column by itself: the order of columns means nothing. */
const hasAllKeys = (keeper: IndexFacts, other: IndexFacts) =>
  other.keys.every((key) => keeper.keys.some((kept) => sameKey(key, kept, other.method)));

/** Two classes of a B-tree that are of one family and for one type (text_ops, varchar_ops) sort alike. */
const sameKey = (a: IndexKey, b: IndexKey, method: string) =>
  sameSubject(a, b) &&
  a.collation === b.collation &&
  a.parameters === b.parameters &&
  (a.operatorClass === b.operatorClass ||
    (method === 'btree' && a.operatorFamily === b.operatorFamily && a.inputType === b.inputType));

const sameSubject = (a: IndexKey, b: IndexKey) =>
  a.column === null
    ? a.expression !== null && a.expression === b.expression && a.stored.typeOid === b.stored.typeOid
    : a.column === b.column;

/** Index-only scans of the other one are index-only scans of the keeper; a B-tree gives its keys back as well. */
function returnsIncluded(keeper: IndexFacts, other: IndexFacts): boolean {
  const kept = keeper.method === 'btree' ? [...keeper.keys, ...keeper.included] : keeper.included;
  return other.included.every(({ column }) => kept.some((key) => key.column === column));
}

const includedColumns = (index: IndexFacts) => [...new Set(index.included.map(({ column }) => column ?? ''))];

const sameParameters = (a: IndexFacts, b: IndexFacts) =>
  EXACT_METHODS.has(a.method) || sameSet(a.options, b.options);

/** A unique index is replaced by a unique one on the very same keys only, which looks at them no later. */
const enforces = (keeper: IndexFacts, other: IndexFacts) =>
  !other.isUnique ||
  (keeper.isUnique &&
    keeper.keys.length === other.keys.length &&
    (keeper.nullsNotDistinct || !other.nullsNotDistinct) &&
    (keeper.immediate || !other.immediate));
