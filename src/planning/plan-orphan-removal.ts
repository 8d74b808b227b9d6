import type { RowFilter } from '../domain/filter.ts';
import type { OperationSpec, Pick, PlanLock, PlanNotice } from '../domain/plan.ts';
import type { Relation } from '../target/catalog.ts';
import { areEqual } from '../target/finds-key.ts';
import { ident, integer, type Sql, sql, toText } from '../target/sql.ts';
import { compileFilter } from '../target/row-filter.ts';
import { destinationFrom } from './archive-destination.ts';
import { lockNeed, type Need, tableNeeds } from './check-rights.ts';
import { checkRows, refuseRelation } from './check-subject.ts';
import { type ChosenPick, MAX_INDEX_ROWS, MAX_INDEX_SHARE } from './choose-pick.ts';
import { hasLookUp, inWords, type Reference, referenceOf } from './orphan-reference.ts';
import { drawDeletion } from './plan-deletion.ts';
import { nameOf, notice, type PlanContext, requireRelation } from './plan-context.ts';
import type { PlanOrphanRemovalInput } from '../domain/plan-inputs.ts';
import type { Draft } from './save-plan.ts';

/** The dry run of removing rows whose reference leads nowhere. */
export async function planOrphanRemoval(context: PlanContext, input: PlanOrphanRemovalInput): Promise<Draft> {
  const child = await requireRelation(context, input.schema, input.table);
  const parent = await requireRelation(context, input.referencedSchema, input.referencedTable);
  const reference = referenceOf(child, parent, input);
  const destination = input.destination == null ? null : destinationFrom(input.destination, child);
  const { orphan, declared, isKey } = reference;
  const constraint = declared && { name: declared.name, enforced: declared.enforced };
  const drawn = await drawDeletion(context, {
    relation: child,
    filter: { orphan },
    cutoff: null,
    destination,
    input,
    operation: (pick: Pick, filter: RowFilter): OperationSpec => {
      const rows = { filter, orphan, dependents: input.dependents, pick };
      return { kind: 'ORPHAN_REMOVAL', ...rows, destination, constraint, isKey };
    },
    choosePick: chooseOrphanPick,
    unsafe: await refuseParent(context, parent),
    needs: await parentNeeds(context, reference),
  });
  return drawn.steps.length === 0 ? withParent(drawn, parent) : withLooks(context, reference, drawn);
}

/** The run looks into the other table, so its definition is part of the plan. */
const withParent = (drawn: Draft, parent: Relation): Draft => ({
  ...drawn,
  relations: [...new Map([...drawn.relations, parent].map((one) => [one.oid, one])).values()],
});

async function refuseParent(context: PlanContext, parent: Relation): Promise<PlanNotice[]> {
  const unsafe = refuseRelation(parent.kind === 'PARTITIONED' ? { ...parent, kind: 'TABLE' } : parent);
  if (unsafe.length > 0) return unsafe;
  return (await checkRows(context, parent)).filter(({ code }) => code === 'ROW_SECURITY');
}

async function parentNeeds(context: PlanContext, { child, parent }: Reference): Promise<Need[]> {
  return [
    ...(await tableNeeds(context, child, ['UPDATE'], 'its rows are locked before they are looked at again')),
    ...(await tableNeeds(context, parent, ['SELECT'], 'what is found there is no orphan')),
    lockNeed(context, parent, 'nothing may come there while a batch is committed'),
  ];
}

/** Orphans are few as a rule: one read of both tables lists them, and batches need not look up every row of the table. */
function chooseOrphanPick(
  _context: PlanContext,
  _relation: Relation,
  _filter: Sql,
  { rows, share }: { readonly rows: number; readonly share: number },
): Promise<ChosenPick> {
  const percent = `${(share * 100).toPrecision(2)} % of the rows are orphans`;
  return Promise.resolve(
    share < MAX_INDEX_SHARE && rows <= MAX_INDEX_ROWS
      ? { pick: 'INDEX', why: `${percent}: they are listed once` }
      : { pick: 'HEAP_RANGES', why: `${percent}: the table is read once, block by block` },
  );
}

async function withLooks(context: PlanContext, reference: Reference, drawn: Draft): Promise<Draft> {
  const cost = await lookUpCost(context, reference, drawn);
  const seconds = drawn.impact.estimatedSeconds;
  return {
    ...withParent(drawn, reference.parent),
    impact: {
      ...drawn.impact,
      estimatedSeconds: seconds && seconds + Math.ceil(cost.seconds / drawn.throttle.dutyCycle),
    },
    locks: [...drawn.locks, parentLock(reference.parent)],
    blockers: [
      ...drawn.blockers,
      ...(cost.notice !== null && cost.isTooMuch ? [cost.notice] : []),
      ...(await newOrphans(context, reference, drawn)),
    ],
    warnings: [...drawn.warnings, ...(cost.notice !== null && !cost.isTooMuch ? [cost.notice] : [])],
    steps: orphanSteps(reference, drawn),
  };
}

const parentLock = (parent: Relation): PlanLock => ({
  relation: nameOf(parent),
  mode: 'ROW EXCLUSIVE, and SHARE while a batch is committed',
  longestMs: null,
});

/** Pages that lie in memory; measured on two cores. */
const BYTES_PER_SECOND = 2_000_000_000;
/** In a table of this size no index is needed. */
const SMALL_BYTES = 1_000_000;
/** Rows are locked while keys are looked up: for so long, and no longer, every batch may read the whole table. */
const LONGEST_LOOK_SECONDS = 0.1;

/** Without an index every batch reads all of the referenced table, twice: to choose its rows, and at its end. */
async function lookUpCost(
  { session }: PlanContext,
  { parent, orphan }: Reference,
  { impact, throttle }: Draft,
) {
  const keys = orphan.pairs.map(({ key }) => key);
  const bytes = hasLookUp(parent, keys) ? 0 : await wholeBytes(session, parent);
  if (bytes < SMALL_BYTES) return { seconds: 0, isTooMuch: false, notice: null };
  const look = bytes / BYTES_PER_SECOND;
  const seconds = 2 * look * Math.ceil(impact.rows / throttle.batchRows);
  const columns = keys.map((key) => toText(ident(key))).join(', ');
  const how = parent.kind === 'PARTITIONED' ? 'CREATE INDEX' : 'CREATE INDEX CONCURRENTLY';
  return {
    seconds,
    isTooMuch: look > LONGEST_LOOK_SECONDS,
    notice: notice(
      'MISSING_KEY_INDEX',
      `No index of ${nameOf(parent)} serves ${keys.join(', ')}: every batch reads all its ${(bytes / 1_000_000).toPrecision(2)} MB, about ${Math.max(1, Math.round(seconds))} s in all.`,
      `${how} ON ${toText(ident(parent.schema, parent.name))} (${columns});`,
    ),
  };
}

async function wholeBytes(
  session: PlanContext['session'],
  { oid, kind, heapBytes }: Relation,
): Promise<number> {
  if (kind !== 'PARTITIONED') return heapBytes;
  const { bytes } = await session.one<{ bytes: number }>(sql`
    SELECT coalesce(pg_catalog.sum(pg_catalog.pg_relation_size(relid)), 0)::pg_catalog.float8 AS bytes
      FROM pg_catalog.pg_partition_tree(${integer(oid)}::pg_catalog.oid::pg_catalog.regclass)`);
  return bytes;
}

/** Where a table points to itself and no key says so, removing orphans would make orphans of what points to them, without end. */
async function newOrphans(
  { session, budget }: PlanContext,
  { child, parent, orphan, declared }: Reference,
  { operation }: Draft,
): Promise<PlanNotice[]> {
  if (parent.oid !== child.oid || declared?.enforced === true || operation.kind !== 'ORPHAN_REMOVAL')
    return [];
  const [row, gone] = [ident('row'), ident('gone')];
  const values = orphan.pairs.map(({ column }) => ({
    sql: sql`${row}.${ident(column)}`,
    type: child.columns.find(({ name }) => name === column)?.comparison.type ?? '',
  }));
  const keys = orphan.pairs.map(({ key }) => sql`${gone}.${ident(key)}`);
  const points = areEqual(orphan.pairs, keys, values);
  const table = ident(child.schema, child.name);
  const rows = await budget.count(
    session,
    sql`SELECT pg_catalog.count(*)::pg_catalog.text AS count FROM ONLY ${table} AS ${row}
         WHERE EXISTS (SELECT FROM ONLY ${table} AS ${gone} WHERE ${points} AND ${compileFilter(operation.filter, child, gone)})`,
  );
  if (rows === 0) return [];
  return [
    notice(
      'DEPENDENTS',
      `${rows ?? 'An unknown number of'} rows of ${nameOf(child)} point to orphans in their turn, and would become orphans; no foreign key says so.`,
      'Declare the foreign key (NOT VALID is enough), then plan with dependents: INCLUDE.',
    ),
  ];
}

/** Rows are locked before they are looked at for the last time but one; the last time is before the COMMIT. */
function orphanSteps(reference: Reference, { steps }: Draft) {
  const table = toText(ident(reference.parent.schema, reference.parent.name));
  const at = steps.findIndex(({ sql: text }) => text.includes('DELETE FROM'));
  const removal = steps.slice(at, at + 1).map((step) => ({
    ...step,
    description: `${step.description}. Rows are locked first, then looked at again: ${inWords(reference)}`,
  }));
  const look = {
    description: `Before each COMMIT keep new rows out of ${nameOf(reference.parent)} and look for the last time whether what was removed has found its row meanwhile`,
    sql: `LOCK TABLE ${table} IN SHARE MODE`,
  };
  return [...steps.slice(0, at), ...removal, look, ...steps.slice(at + 1)];
}
