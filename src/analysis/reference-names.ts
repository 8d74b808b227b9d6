/** The same names stand in table after table. */
const KNOWN = new Map<string, string>();
const MOST_KNOWN = 10_000;

/** orderItems, OrderItems, ORDER_ITEMS and order-items are one name in four ways of writing. */
export function snakeCase(name: string): string {
  const known = KNOWN.get(name);
  if (known !== undefined) return known;
  const snake = name
    .replace(/([a-z0-9])([A-Z])/g, '$1_$2')
    .replace(/([A-Z]+)([A-Z][a-z])/g, '$1_$2')
    .toLowerCase()
    .replace(/[^\p{L}\p{N}]+/gu, '_')
    .replace(/^_+|_+$/g, '');
  if (KNOWN.size >= MOST_KNOWN) KNOWN.clear();
  KNOWN.set(name, snake);
  return snake;
}

/** What makes of the name of a thing the name of a column that points to one. */
const POINTER = /_(id|uuid|guid|fk|key|code|no|nr|number|ref)$/;
const BEFORE = /^(id|fk|ref)_/;

/** By which column of the thing it points there, when that is not the primary key. */
export interface Pointer {
  /** names of the thing, in the singular or plural as written, the most telling first: billing_address, address */
  readonly things: readonly string[];
  /** id, uuid, code ... */
  readonly by: string;
}

/** What a column seems to point to by its name; null when it does not. */
export function pointerOf(column: string): Pointer | null {
  const name = snakeCase(column);
  const suffix = POINTER.exec(name);
  const prefix = BEFORE.exec(name);
  const stem = suffix ? name.slice(0, suffix.index) : prefix ? name.slice(prefix[0].length) : '';
  if (stem === '') return null;
  const words = stem.split('_');
  return { things: words.map((_, i) => words.slice(i).join('_')), by: (suffix ?? prefix)?.[1] ?? 'id' };
}

const IRREGULAR: ReadonlyMap<string, string> = new Map([
  ['people', 'person'],
  ['children', 'child'],
  ['men', 'man'],
  ['women', 'woman'],
]);

/** A name in snake case as it is, and what it may be the plural of: cases is that of case, statuses of status. */
export function singularForms(name: string): string[] {
  const start = name.lastIndexOf('_') + 1;
  const word = name.slice(start);
  const forms = [
    word,
    IRREGULAR.get(word) ?? '',
    ...[/s$/, /es$/].filter((end) => end.test(word)).map((end) => word.replace(end, '')),
    ...(word.endsWith('ies') ? [`${word.slice(0, -3)}y`] : []),
  ];
  return [...new Set(forms.filter((form) => form !== '').map((form) => name.slice(0, start) + form))];
}

/** The kind of thing stands in another column: what its id points to is told row by row. */
const KIND_OF_THING = ['type', 'kind', 'class', 'model', 'table', 'entity'];

/** commentable_type beside commentable_id, content_type_id beside object_id. */
export function isPolymorphic(column: string, others: readonly string[]): boolean {
  const name = snakeCase(column);
  const stem = name.replace(POINTER, '').replace(BEFORE, '');
  const names = new Set(others.map(snakeCase).filter((other) => other !== name));
  return (
    KIND_OF_THING.some((kind) => names.has(`${stem}_${kind}`) || names.has(`${stem}_${kind}_id`)) ||
    (stem === 'object' && (names.has('content_type_id') || names.has('content_type')))
  );
}
