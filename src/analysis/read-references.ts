import type { Session } from '../target/session.ts';
import { sql } from '../target/sql.ts';
import { readCatalog } from './catalog-query.ts';
import type { ColumnFigures, DatabaseFigures } from './define-analysis.ts';
import { isPolymorphic, type Pointer, pointerOf, singularForms, snakeCase } from './reference-names.ts';
import { type RowSubject, rowSubjects, subjectByItself } from './row-subjects.ts';

/** Columns of one table that hold keys of another, as somebody has declared, or as their name tells. */
export interface Reference {
  readonly child: RowSubject;
  readonly columns: readonly string[];
  readonly parent: RowSubject;
  readonly parentColumns: readonly string[];
  /** null: by its name alone */
  readonly declared: { readonly name: string; readonly enforced: boolean } | null;
}

/** What may be broken: foreign keys that are NOT VALID, then references that nobody has declared. */
export async function readReferences(session: Session, figures: DatabaseFigures): Promise<Reference[]> {
  const { keys, parents } = await readKeys(session);
  const subjects = rowSubjects(figures);
  const inherited = new Set(parents);
  return [
    ...unvalidated(keys, figures, subjects),
    ...undeclared(
      subjects,
      keys,
      subjects.filter(({ table }) => !inherited.has(table.oid)),
    ),
  ];
}

interface ForeignKeyRow {
  name: string;
  child: number;
  parent: number;
  columns: string[];
  parentColumns: string[];
  validated: boolean;
  enforced: boolean;
  /** of a partition, made for the partitioned table's own */
  isPart: boolean;
}

/** Foreign keys, and tables that others inherit from: there rows of the one are found in the other, beyond any index. */
async function readKeys(session: Session): Promise<{ keys: ForeignKeyRow[]; parents: number[] }> {
  const enforced = session.serverVersion >= 180_000 ? sql`k.conenforced` : sql`true`;
  const [row] = await readCatalog<{ keys: ForeignKeyRow[]; parents: number[] }>(
    session,
    sql`SELECT (SELECT coalesce(pg_catalog.json_agg(pg_catalog.json_build_object(
                  'name', k.conname, 'child', k.conrelid::int8, 'parent', k.confrelid::int8, 'validated', k.convalidated,
                  'enforced', ${enforced}, 'isPart', k.conparentid <> 0,
                  'columns', ARRAY(SELECT a.attname::text FROM pg_catalog.unnest(k.conkey) WITH ORDINALITY u (number, position)
                     JOIN pg_catalog.pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = u.number ORDER BY u.position),
                  'parentColumns', ARRAY(SELECT a.attname::text FROM pg_catalog.unnest(k.confkey) WITH ORDINALITY u (number, position)
                     JOIN pg_catalog.pg_attribute a ON a.attrelid = k.confrelid AND a.attnum = u.number ORDER BY u.position))
                  ORDER BY k.conrelid, k.conname), '[]') FROM pg_catalog.pg_constraint k WHERE k.contype = 'f') AS keys,
               (SELECT coalesce(pg_catalog.json_agg(DISTINCT h.inhparent::int8), '[]') FROM pg_catalog.pg_inherits h
                  JOIN pg_catalog.pg_class c ON c.oid = h.inhrelid AND c.relkind = 'r' AND NOT c.relispartition) AS parents`,
  );
  return row ?? { keys: [], parents: [] };
}

function unvalidated(
  keys: readonly ForeignKeyRow[],
  { tables }: DatabaseFigures,
  subjects: readonly RowSubject[],
): Reference[] {
  const known = new Map([
    ...tables.map((table) => [table.oid, subjectByItself(table)] as const),
    ...subjects.map((subject) => [subject.table.oid, subject] as const),
  ]);
  return keys
    .filter((key) => !key.validated && !key.isPart)
    .flatMap(({ name, enforced, columns, parentColumns, ...key }) => {
      const child = known.get(key.child);
      const parent = known.get(key.parent);
      return child && parent ? [{ child, columns, parent, parentColumns, declared: { name, enforced } }] : [];
    });
}

/** Below this anything is by chance. */
const FEWEST_ROWS = 20;

function undeclared(
  subjects: readonly RowSubject[],
  keys: readonly ForeignKeyRow[],
  targets: readonly RowSubject[],
): Reference[] {
  const find = finderOf(targets);
  const declared = Map.groupBy(keys, (key) => key.child);
  return subjects
    .filter(({ table }) => table.liveRows >= FEWEST_ROWS)
    .flatMap((child) => {
      const taken = new Set((declared.get(child.table.oid) ?? []).flatMap((key) => key.columns));
      return child.columns
        .filter((column) => !taken.has(column.name) && mayPoint(column, child))
        .flatMap((column) => find(child, column) ?? []);
    });
}

const mayPoint = (column: ColumnFigures, { columns }: RowSubject) =>
  familyOf(column.typeOid) !== null &&
  !column.isVirtual &&
  column.statistics?.nullShare !== 1 &&
  !isPolymorphic(
    column.name,
    columns.map(({ name }) => name),
  );

/** Types whose values may equal one another: whole numbers, texts, and uuid. */
const FAMILIES: ReadonlyMap<number, 'NUMBER' | 'TEXT' | 'UUID'> = new Map([
  [20, 'NUMBER'],
  [21, 'NUMBER'],
  [23, 'NUMBER'],
  [25, 'TEXT'],
  [1043, 'TEXT'],
  [2950, 'UUID'],
]);

const familyOf = (typeOid: number) => FAMILIES.get(typeOid) ?? null;

type Find = (child: RowSubject, column: ColumnFigures) => Reference | null;

function finderOf(targets: readonly RowSubject[]): Find {
  const byName = new Map<string, RowSubject[]>();
  for (const target of targets) {
    for (const name of namesOf(target.table.name)) byName.set(name, [...(byName.get(name) ?? []), target]);
  }
  const named = (thing: string) => [
    ...new Set(singularForms(thing).flatMap((form) => byName.get(form) ?? [])),
  ];
  return (child, column) => {
    const pointer = pointerOf(column.name);
    if (pointer === null) return null;
    for (const thing of pointer.things) {
      const parent = chosen(named(thing), child) ?? (thing === 'parent' ? child : null);
      if (parent === null) continue;
      const key = parent && keyOf(parent, column, pointer, thing);
      if (key === null) continue;
      const isItself = parent.table.oid === child.table.oid && key === column.name;
      return isItself
        ? null
        : { child, columns: [column.name], parent, parentColumns: [key], declared: null };
    }
    return null;
  };
}

/** As written, in the singular, and without what stands before all names of a schema: tbl_user, shop_user. */
function namesOf(table: string): string[] {
  const name = snakeCase(table);
  const bare = name.replace(/^(tbl|table|t)_/, '');
  return [...new Set([name, bare].flatMap(singularForms))];
}

/** In the same schema, or the only one of that name elsewhere. */
function chosen(found: readonly RowSubject[], child: RowSubject): RowSubject | null {
  const near = found.filter(({ table }) => table.schema === child.table.schema);
  const [only, ...others] = near.length > 0 ? near : found;
  return only === undefined || others.length > 0 ? null : only;
}

/** The unique column that is meant: named like the pointer's end or the thing, or else the primary key. */
function keyOf(parent: RowSubject, column: ColumnFigures, { by }: Pointer, thing: string): string | null {
  const unique = parent.indexes.filter(isPlainUnique).flatMap((index) => index.keys[0]?.column ?? []);
  const primary = parent.indexes.find((index) => index.isPrimary && index.keys.length === 1)?.keys[0]?.column;
  const wanted = [by, snakeCase(column.name), `${thing}_${by}`];
  const named = unique.filter((name) => wanted.includes(snakeCase(name)));
  const family = familyOf(column.typeOid);
  const isFit = (name: string) =>
    familyOf(parent.columns.find((other) => other.name === name)?.typeOid ?? 0) === family;
  const isGeneral = ['id', 'fk', 'ref', 'key'].includes(by);
  return [...named, ...(isGeneral && primary != null ? [primary] : [])].find(isFit) ?? null;
}

const isPlainUnique = (index: RowSubject['indexes'][number]) =>
  index.isUnique &&
  index.method === 'btree' &&
  index.predicate === null &&
  index.keys.length === 1 &&
  index.definition !== null;
