import { bytesInWords, percent } from '../analysis/define-analysis.ts';
import { PAGE_BYTES } from '../analysis/tuple-size.ts';
import type { PlanImpact, PlanLock } from '../domain/plan.ts';
import type { Throttle } from '../domain/run.ts';
import { isRestless } from '../domain/throttle.ts';
import type { Index, Relation } from '../target/catalog.ts';
import { ident, sql, toText } from '../target/sql.ts';
import { checkSubject } from './check-subject.ts';
import { compactBlockers, type CompactFacts, compactWarnings, readCompactFacts } from './compact-checks.ts';
import { type HeapWaste, readHeapWaste } from './heap-waste.ts';
import type { MethodForecast } from './method-forecast.ts';
import { nameOf, type PlanContext } from './plan-context.ts';
import { triggerEffects } from './trigger-effects.ts';

/** Less is not worth the moves; and VACUUM gives an empty end back from a sixteenth of the table on. */
const LEAST_SHARE = 0.1;
const LEAST_PAGES = 32;
/** Of the table and its indexes; resting as autovacuum does, and not. */
const VACUUMED_BYTES_PER_SECOND = { gentle: 25_000_000, restless: 150_000_000 };
const REBUILT_BYTES_PER_SECOND = 40_000_000;
/** For a row that moves, and for each of its index entries, without rest; measured on two cores. */
const SECONDS = { row: 12e-6, entry: 6e-6 };
/** Of write-ahead log, beside the images of pages; and what an entry takes where an index has no room. */
const WAL_BYTES = { row: 160, entry: 64 };
const ENTRY_BYTES = 24;

/** Whether moving rows within a table gives its space back, and what that takes. acknowledged: triggers may fire. */
export async function compactForecast(
  context: PlanContext,
  relation: Relation,
  throttle: Throttle,
  acknowledged = false,
): Promise<MethodForecast> {
  const facts = await readCompactFacts(context, relation);
  const waste = await readHeapWaste(context, relation);
  const indexes = relation.indexes.filter(({ oid, isValid }) => isValid && !facts.exclusions.includes(oid));
  const column = facts.column ?? 'ctid';
  const impact = impactOf(relation, waste, indexes, throttle);
  const rights = await checkSubject(context, relation, ['SELECT', 'UPDATE', 'MAINTAIN']);
  return {
    ...verdict(relation, facts, waste),
    operation: {
      kind: 'REORGANIZATION',
      method: 'COMPACT',
      column,
      indexes: indexes.map(({ oid, schema, name }) => ({ oid, schema, name })),
    },
    impact,
    effects: triggerEffects(relation, 'UPDATE', impact.rows, impact.rows, [column]),
    locks: locksOf(relation, throttle),
    blockers: [...rights, ...compactBlockers(relation, facts, acknowledged)],
    warnings: compactWarnings(relation, facts, waste),
    steps: stepsOf(relation, column, indexes),
  };
}

/** While it looks over the empty end VACUUM lets go for whoever waits, but not while it cuts. */
function locksOf(relation: Relation, { batchMs }: Throttle): PlanLock[] {
  const name = nameOf(relation);
  const parents = relation.outbound.map((key) => `${key.referencedSchema}.${key.referencedTable}`);
  return [
    { relation: name, mode: 'ROW EXCLUSIVE, and the rows of a batch', longestMs: batchMs },
    ...[...new Set(parents)].sort().map((parent) => ({
      relation: parent,
      mode: 'ROW SHARE, and FOR KEY SHARE the rows that those of a batch reference',
      longestMs: batchMs,
    })),
    { relation: name, mode: 'SHARE UPDATE EXCLUSIVE', longestMs: null },
    {
      relation: name,
      mode: 'ACCESS EXCLUSIVE, when nobody waits, for as long as PostgreSQL takes to shorten the file',
      longestMs: null,
    },
  ];
}

/** Rows that lie behind the pages which all of them need. */
const rowsToMove = ({ rows, pages, neededPages }: HeapWaste): number =>
  pages === 0 || neededPages === null ? 0 : Math.round(rows * (1 - Math.min(1, neededPages / pages)));

function verdict(relation: Relation, facts: CompactFacts, waste: HeapWaste): { wins: boolean; why: string } {
  const reason = whyNot(relation, facts, waste);
  if (reason !== null) return { wins: false, why: reason };
  const freed = (waste.pages - (waste.neededPages ?? 0)) * PAGE_BYTES;
  const share = percent(freed / (waste.pages * PAGE_BYTES));
  return {
    wins: true,
    why: `About ${bytesInWords(freed)} of ${nameOf(relation)} lie free (${share}): its last ${rowsToMove(waste)} rows move to the front, without a copy and while everybody works.`,
  };
}

/** Why moves would give nothing back, with what would; null: they do. */
function whyNot(relation: Relation, facts: CompactFacts, waste: HeapWaste): string | null {
  const name = nameOf(relation);
  const { pages, neededPages, doubt, toastWaste, toastBytes } = waste;
  if (!facts.isHeap) return `${name} is not stored as a heap, so that its rows have no place to move to.`;
  if (facts.column === null)
    return `${name} has no column that an UPDATE may set to itself: all are generated. REPACK or VACUUM_FULL work on it.`;
  if (neededPages === null) return `How much of ${name} lies free is not known. ${doubt ?? ''}`.trim();
  const freed = pages - neededPages;
  if (freed >= LEAST_PAGES && freed >= LEAST_SHARE * pages) return null;
  const found = `Only ${bytesInWords(Math.max(0, freed) * PAGE_BYTES)} of the ${bytesInWords(pages * PAGE_BYTES)} of ${name} lie free`;
  if (toastWaste !== null && toastWaste > LEAST_SHARE * toastBytes && toastWaste >= LEAST_PAGES * PAGE_BYTES)
    return `${found}; ${bytesInWords(toastWaste)} do in its TOAST table, where an UPDATE moves nothing. REPACK or VACUUM_FULL give them back.`;
  return `${found}: new rows will use them, and there is nothing to gain.`;
}

function impactOf(
  relation: Relation,
  waste: HeapWaste,
  indexes: readonly Index[],
  throttle: Throttle,
): PlanImpact {
  const rows = rowsToMove(waste);
  const entries = rows * relation.indexes.length;
  const indexBytes = indexes.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  const left = waste.pages === 0 ? 1 : (waste.neededPages ?? waste.pages) / waste.pages;
  const speed = isRestless(throttle) ? VACUUMED_BYTES_PER_SECOND.restless : VACUUMED_BYTES_PER_SECOND.gentle;
  const moves = (rows * SECONDS.row + entries * SECONDS.entry) / throttle.dutyCycle;
  const seconds = moves + (2 * relation.totalBytes) / speed + (left * indexBytes) / REBUILT_BYTES_PER_SECOND;
  return {
    rows,
    rowsAreExact: false,
    share: waste.rows === 0 ? 0 : Math.min(1, rows / waste.rows),
    bytes: rows === 0 ? 0 : Math.round((left * waste.pages * PAGE_BYTES * rows) / Math.max(waste.rows, 1)),
    estimatedSeconds: Math.ceil(seconds) + 2,
    // Each page of the table and of its indexes changes once after a checkpoint, and each index is written anew.
    walBytes: Math.round(
      relation.totalBytes + rows * WAL_BYTES.row + entries * WAL_BYTES.entry + left * indexBytes,
    ),
    diskNeededBytes: Math.round(entries * ENTRY_BYTES),
    bytesReclaimed: Math.round((1 - left) * (waste.pages * PAGE_BYTES + indexBytes)),
    bytesReusable: 0,
  };
}

function stepsOf(relation: Relation, column: string, indexes: readonly Index[]): MethodForecast['steps'] {
  const table = ident(relation.schema, relation.name);
  const name = nameOf(relation);
  return [
    {
      description: `Make the space of dead rows in ${name} usable`,
      sql: toText(sql`VACUUM (INDEX_CLEANUP ON, TRUNCATE TRUE, PARALLEL 0) ${table}`),
    },
    {
      description: `Move the rows of the last blocks to blocks with room, by updates that change nothing, in batches of a few blocks; rows that somebody has locked come later`,
      sql: toText(
        sql`UPDATE ONLY ${table} SET ${ident(column)} = ${ident(column)} WHERE ctid = ANY (ARRAY(SELECT ctid FROM ONLY ${table} WHERE ctid >= '(first,0)' AND ctid < '(end,0)' FOR NO KEY UPDATE SKIP LOCKED))`,
      ),
    },
    {
      description: `Give the empty end of ${name} back to the disk, a little at a time, and only while nobody waits for the table`,
      sql: toText(sql`VACUUM (INDEX_CLEANUP ON, TRUNCATE TRUE, PROCESS_TOAST FALSE, PARALLEL 0) ${table}`),
    },
    ...indexes.map((index) => ({
      description: `Rebuild ${index.schema}.${index.name}, which has got an entry for each move`,
      sql: toText(sql`REINDEX INDEX CONCURRENTLY ${ident(index.schema, index.name)}`),
    })),
  ];
}
