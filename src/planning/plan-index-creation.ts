import { checkIdentifier, shortened } from '../domain/identifier.ts';
import type { NewIndex } from '../domain/index-spec.ts';
import type { PlanNotice } from '../domain/plan.ts';
import { badInput } from '../errors.ts';
import { readRelationByOid, type Relation } from '../target/catalog.ts';
import { readPartitions } from '../target/partitions.ts';
import { integer, sql } from '../target/sql.ts';
import { readUnindexedLeaves } from '../target/unindexed-leaves.ts';
import { findDuplicates } from './find-duplicates.ts';
import { indexDraft } from './index-draft.ts';
import { btreeBytes } from './index-forecast.ts';
import { planChanges } from './plan-changes.ts';
import { nameOf, notice, type PlanContext, requireRelation } from './plan-context.ts';
import type { PlanIndexCreationInput } from '../domain/plan-inputs.ts';
import type { Draft } from './save-plan.ts';

const MAX_COLUMNS = 32;
const MAX_PARTITIONS = 500;
const LONGEST_NAME = 63;

/** Builds a B-tree, concurrently; on a partitioned table one on each partition that lacks it, and then the whole. */
export async function planIndexCreation(context: PlanContext, input: PlanIndexCreationInput): Promise<Draft> {
  const relation = await requireRelation(context, input.schema, input.table);
  checkColumns(relation, input.columns);
  if (input.name != null) checkIdentifier('index', input.name);
  const isWhole = relation.kind === 'PARTITIONED';
  const partitions = isWhole ? await readLeaves(context, relation) : [];
  const lacking = isWhole ? await lackingAmong(context, partitions, relation, input.columns) : [];
  const indexes = await newIndexes(context, relation, lacking, input);
  const [first] = indexes;
  const blockers = [
    ...existing(relation, input),
    ...unordered(relation, input.columns),
    ...(isWhole ? partitionBlockers(relation, partitions, input.unique) : []),
    ...(input.unique && !isWhole ? await repeatedKeys(context, relation, input.columns) : []),
  ];
  return indexDraft(context, {
    indexes,
    relations: [relation, ...lacking],
    bytes: await expectedBytes(context, isWhole ? lacking : [relation], input.columns),
    blockers,
    warnings:
      blockers.length > 0 || isWhole || first === undefined
        ? []
        : await planChanges(context, relation, { create: first.definition }),
  });
}

/** @throws BAD_USER_INPUT */
function checkColumns(relation: Relation, columns: readonly string[]): void {
  if (columns.length === 0 || columns.length > MAX_COLUMNS)
    throw badInput(`columns must have 1 to ${MAX_COLUMNS} names.`);
  const twice = columns.find((column, i) => columns.indexOf(column) < i);
  if (twice !== undefined) throw badInput(`The column "${twice}" is twice in columns.`);
  const unknown = columns.find((name) => !relation.columns.some((column) => column.name === name));
  if (unknown !== undefined) throw badInput(`${nameOf(relation)} has no column "${unknown}".`);
}

/** A valid index on exactly these columns, of all rows, in their usual order. */
const sameIndex = (relation: Relation, { columns, unique }: PlanIndexCreationInput) =>
  relation.indexes.find(
    (index) =>
      index.isValid &&
      index.method === 'btree' &&
      index.predicate === null &&
      (index.isUnique || !unique) &&
      index.columns.length === columns.length &&
      index.columns.every((column, i) => column === columns[i]) &&
      !/ (?:DESC|NULLS|COLLATE|INCLUDE)\b|_ops\b/.test(
        index.definition.slice(index.definition.indexOf(' USING ')),
      ),
  );

function existing(relation: Relation, input: PlanIndexCreationInput): PlanNotice[] {
  const same = sameIndex(relation, input);
  return same === undefined
    ? []
    : [notice('INDEX_EXISTS', `${nameOf(same)} is such an index already: ${same.definition}`)];
}

const unordered = (relation: Relation, columns: readonly string[]): PlanNotice[] =>
  relation.columns
    .filter(({ name, comparison }) => columns.includes(name) && comparison.lt === null)
    .map(({ name, type }) =>
      notice(
        'NOT_INDEXABLE',
        `The column ${name} is of the type ${type}, whose values have no order: no B-tree can be built on it.`,
      ),
    );

function partitionBlockers(
  relation: Relation,
  partitions: readonly Relation[],
  unique: boolean,
): PlanNotice[] {
  return [
    ...(unique
      ? [
          notice(
            'UNIQUE_PARTITIONED',
            `${nameOf(relation)} is partitioned: whether values are unique in all partitions cannot be made sure of while everybody writes.`,
            'Plan a unique index for each partition by name, or one that is not unique.',
          ),
        ]
      : []),
    ...(partitions.length > MAX_PARTITIONS
      ? [
          notice(
            'TOO_MANY_PARTITIONS',
            `${nameOf(relation)} has ${partitions.length} partitions; one run builds ${MAX_PARTITIONS} indexes at most.`,
            'Plan those of partitions by name first.',
          ),
        ]
      : []),
  ];
}

/** Foreign tables have no indexes. */
async function readLeaves({ session }: PlanContext, { oid }: Relation): Promise<Relation[]> {
  const leaves = await session.transaction(() => readPartitions(session, oid));
  const relations: Relation[] = [];
  for (const leaf of leaves.filter(({ kind }) => kind === 'TABLE').slice(0, MAX_PARTITIONS + 1)) {
    const relation = await session.transaction(() => readRelationByOid(session, leaf.oid));
    if (relation !== null) relations.push(relation);
  }
  return relations;
}

async function lackingAmong(
  { session }: PlanContext,
  partitions: readonly Relation[],
  { oid: wholeOid }: Relation,
  columns: readonly string[],
): Promise<Relation[]> {
  const leaves = await session.transaction(() => readUnindexedLeaves(session, wholeOid, columns));
  const lacking = new Set(leaves.map(({ oid }) => oid));
  return partitions.filter(({ oid }) => lacking.has(oid));
}

async function newIndexes(
  context: PlanContext,
  relation: Relation,
  lacking: readonly Relation[],
  { columns, unique, name }: PlanIndexCreationInput,
): Promise<NewIndex[]> {
  const taken = new Set<string>();
  const indexes: NewIndex[] = [];
  for (const table of [...lacking, relation]) {
    const own = table === relation && name != null ? name : await freeName(context, table, columns, taken);
    taken.add(`${table.schema} ${own}`);
    indexes.push({
      schema: table.schema,
      name: own,
      tableOid: table.oid,
      definition: await definitionOf(context, table, { columns, unique, name: own }),
      isConcurrent: table.kind !== 'PARTITIONED',
      comment: null,
      ...(table.kind === 'PARTITIONED' ? { columns } : {}),
    });
  }
  return indexes;
}

/** As PostgreSQL would write it, so that it can be compared with what is there later. */
async function definitionOf(
  { session }: PlanContext,
  { schema, name: table }: Relation,
  index: { readonly columns: readonly string[]; readonly unique: boolean; readonly name: string },
): Promise<string> {
  const { definition } = await session.transaction(() =>
    session.one<{ definition: string }>(sql`
      SELECT pg_catalog.format('CREATE %sINDEX %I ON %I.%I USING btree (%s)', ${index.unique ? 'UNIQUE ' : ''}::pg_catalog.text, ${index.name}::pg_catalog.text, ${schema}::pg_catalog.text, ${table}::pg_catalog.text,
               (SELECT pg_catalog.string_agg(pg_catalog.quote_ident(u.name), ', ' ORDER BY u.i)
                  FROM pg_catalog.unnest(${index.columns}::pg_catalog.text[]) WITH ORDINALITY u (name, i))) AS definition`),
  );
  return definition;
}

/** table_column_idx, and with a number when that is taken: what PostgreSQL itself would take. */
async function freeName(
  { session }: PlanContext,
  { schema, name: table }: Relation,
  columns: readonly string[],
  taken: ReadonlySet<string>,
): Promise<string> {
  for (let number = 0; ; number++) {
    const label = `_idx${number === 0 ? '' : number}`;
    const name = `${shortened(`${table}_${columns.join('_')}`, LONGEST_NAME - label.length)}${label}`;
    if (taken.has(`${schema} ${name}`)) continue;
    const { isTaken } = await session.transaction(() =>
      session.one<{ isTaken: boolean }>(sql`
        SELECT EXISTS (SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
                        WHERE n.nspname = ${schema} AND c.relname = ${name}) AS "isTaken"`),
    );
    if (!isTaken) return name;
  }
}

async function repeatedKeys(
  { session, budget }: PlanContext,
  relation: Relation,
  columns: readonly string[],
): Promise<PlanNotice[]> {
  const key = columns.map((column) => ({ column, ignoreCase: false, trim: false }));
  const found = await findDuplicates(session, budget, relation, key, null);
  if (found === null || found.rows === 0 || !found.rowsAreExact) return [];
  return [
    notice(
      'REPEATED_KEYS',
      `${found.rows} rows of ${nameOf(relation)} repeat the key of another (${columns.join(', ')}): no unique index can be built.`,
      'planDeduplication leaves one row of each key.',
    ),
  ];
}

/** By the statistics' widths; a column without them is taken for a short one. */
async function expectedBytes(
  { session }: PlanContext,
  tables: readonly Relation[],
  columns: readonly string[],
): Promise<number> {
  let bytes = 0;
  for (const { oid, estimatedRows } of tables) {
    const { width } = await session.transaction(() =>
      session.one<{ width: number }>(sql`
        SELECT coalesce(pg_catalog.sum(coalesce(s.avg_width, CASE WHEN a.attlen > 0 THEN a.attlen ELSE 16 END)), 0)::pg_catalog.float8 AS width
          FROM pg_catalog.pg_attribute a
          JOIN pg_catalog.pg_class c ON c.oid = a.attrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
          LEFT JOIN pg_catalog.pg_stats s ON s.schemaname = n.nspname AND s.tablename = c.relname AND s.attname = a.attname AND NOT s.inherited
         WHERE a.attrelid = ${integer(oid)} AND a.attname = ANY (${columns}::pg_catalog.text[])`),
    );
    bytes += btreeBytes(Math.max(estimatedRows, 0), width);
  }
  return bytes;
}
