import { percent } from '../../src/analysis/define-analysis.ts';
import type { Bloat } from '../../src/domain/finding.ts';
import type { TestDatabase } from '../support/postgres.ts';
import { INDEX_SHAPES, type IndexShape } from './index-shapes.ts';
import { SPECIAL_SHAPES, type SpecialShape } from './special-shapes.ts';
import { figuresOf, inTurn } from './support.ts';
import { type State, STATES, TABLE_SHAPES, type TableShape } from './table-shapes.ts';

/** One relation in one state, to be judged, and then rewritten to learn the truth. */
export interface BloatCase {
  readonly shape: string;
  readonly state: string;
  readonly kind: 'TABLE' | 'INDEX';
  /** of the table or index, and of the table it belongs to */
  readonly name: string;
  readonly table: string;
  readonly make: string;
  /** sent one by one, after everything was vacuumed and analysed */
  readonly then: readonly string[];
  readonly isVacuumed: boolean;
  readonly isAnalyzed: boolean;
  /** most of its waste is dead rows that were not vacuumed */
  readonly isDead: boolean;
  readonly rewrite: string;
}

export type CaseDatabase = Pick<TestDatabase, 'run' | 'session' | 'url' | 'version'>;

export const quoted = (name: string) => `"${name.replaceAll('"', '""')}"`;

/** $ is the table, $_more a name derived from it. */
const named = (text: string, table: string) =>
  text.replaceAll(/\$(_\w+)?/g, (_, more?: string) => quoted(table + (more ?? '')));

const INDEX_STATES = ['fresh', 'loaded', 'scattered', 'older_gone', 'dead', 'dead_analyzed'];

/** An answer may be wrong by so much, or it must not be given. */
const TOLERANCE = 0.1;
/** A rewrite is called for from here on. */
const CALLS_FOR_REWRITE = { TABLE: 0.3, INDEX: 0.4 };

/** What is wrong with an answer; null when nothing is. UNKNOWN is right as long as it says why. */
export function faultOf(bloatCase: BloatCase, bloat: Bloat | undefined, truth: number): string | null {
  if (bloat === undefined) return 'no answer at all';
  const { verdict, ratio, causes, advice } = bloat;
  if (ratio === null && (causes.length === 0 || advice === '')) return `${verdict} without a reason`;
  if (ratio === null && verdict === 'HEALTHY') return 'HEALTHY without a figure';
  if (ratio !== null && Math.abs(ratio - truth) > TOLERANCE) return `off by ${percent(ratio - truth)}`;
  if (verdict === 'NEEDS_REWRITE' && bloatCase.isDead) return 'NEEDS_REWRITE where VACUUM is due';
  // A partitioned table is as bad as its worst partition, whatever the sum says.
  const isLoud = verdict.startsWith('NEEDS_') && causes[0]?.code !== 'PARTITION';
  if (isLoud && truth < CALLS_FOR_REWRITE[bloatCase.kind] - TOLERANCE && !bloatCase.isDead)
    return `${verdict} of little waste`;
  return null;
}

/** All shapes in all of their states; scale makes them smaller. */
export function bloatCases(
  scale = 1,
  states: readonly string[] = STATES.map((state) => state.name),
): BloatCase[] {
  const wanted = STATES.filter((state) => states.includes(state.name));
  return [
    ...TABLE_SHAPES.flatMap((shape) => wanted.map((state) => tableCase(shape, state, scale))),
    ...SPECIAL_SHAPES.map(specialCase),
    ...INDEX_SHAPES.flatMap((shape) =>
      INDEX_STATES.filter((name) => name === 'loaded' || states.includes(name)).map((state) =>
        indexCase(shape, state, scale),
      ),
    ),
  ];
}

function tableCase(shape: TableShape, state: State, scale: number): BloatCase {
  const name = `${shape.name}_${state.name}`;
  const table = shape.isLong ? name.padEnd(63 - Buffer.byteLength(name) + name.length, 'x') : name;
  const rows = Math.ceil(shape.rows * scale);
  const make = [
    shape.types,
    `CREATE ${shape.kind ?? ''} TABLE $ (${shape.columns}) ${shape.options ?? ''}`,
    shape.before,
    `INSERT INTO $ SELECT ${shape.values} FROM generate_series(1, ${rows}) g`,
    shape.after,
  ];
  return {
    shape: shape.name,
    state: state.name,
    kind: 'TABLE',
    name: table,
    table,
    make: named(make.filter(Boolean).join('; '), table),
    then: changeOf(state, table, shape.count ?? 'id', rows),
    isVacuumed: state.isVacuumed,
    isAnalyzed: state.isAnalyzed,
    isDead: !state.isVacuumed,
    rewrite: `VACUUM FULL ${quoted(table)}`,
  };
}

const changeOf = ({ change }: State, table: string, count: string, rows: number) =>
  change ? [named(change, table).replaceAll('#', count).replaceAll('@', String(rows))] : [];

function specialCase(shape: SpecialShape): BloatCase {
  return {
    ...shape,
    shape: shape.name,
    state: 'special',
    kind: 'TABLE',
    table: shape.name,
    make: shape.make,
    then: shape.then ?? [],
    isVacuumed: false,
    isAnalyzed: shape.isAnalyzed ?? false,
    isDead: shape.isDead ?? false,
    rewrite: `VACUUM FULL ${shape.name}`,
  };
}

function indexCase(shape: IndexShape, stateName: string, scale: number): BloatCase {
  const state = STATES.find((candidate) => candidate.name === stateName) ?? STATES[0]!;
  const name = `${shape.name}_${stateName}_idx`;
  const table = `${shape.name}_${stateName}_table`;
  const rows = Math.ceil(shape.rows * scale);
  const index = `CREATE ${shape.isUnique ? 'UNIQUE' : ''} INDEX ${name} ON $ ${shape.definition}`;
  const values = ['g', shape.values].filter(Boolean).join(', ');
  const fill = `INSERT INTO $ SELECT ${values} FROM generate_series(1, ${rows}) g`;
  const make = [
    shape.before,
    `CREATE TABLE $ (${['id int4', shape.columns].filter(Boolean).join(', ')})`,
    ...(stateName === 'loaded' ? [index, fill] : [fill, index]),
  ];
  return {
    shape: shape.name,
    state: stateName,
    kind: 'INDEX',
    name,
    table,
    make: named(make.filter(Boolean).join('; '), table),
    then: changeOf(state, table, 'id', rows),
    isVacuumed: state.isVacuumed,
    isAnalyzed: state.isAnalyzed,
    isDead: !state.isVacuumed,
    rewrite: `REINDEX INDEX ${name}`,
  };
}

/** Makes them all; what is done to one is done by sessions of their own, as applications and autovacuum would. */
export async function buildCases(database: CaseDatabase, cases: readonly BloatCase[]): Promise<void> {
  const tables = (those: readonly BloatCase[]) => those.map(({ table }) => quoted(table)).join(', ');
  const rounds = Math.max(...cases.map(({ then }) => then.length));
  await inTurn(
    database,
    'CREATE EXTENSION pgstattuple',
    cases
      .map(({ make }) => make)
      .filter(Boolean)
      .join('; '),
    'VACUUM ANALYZE',
  );
  for (let round = 0; round < rounds; round += 1) {
    const changes = cases.flatMap(({ then }) => then[round] ?? []);
    const inside = changes.filter((change) => !change.startsWith('VACUUM'));
    await inTurn(database, inside.join('; '), ...changes.filter((change) => !inside.includes(change)));
  }
  const changed = cases.filter(({ then }) => then.length > 0);
  await inTurn(
    database,
    `VACUUM ${tables(changed.filter(({ isVacuumed }) => isVacuumed))}`,
    `ANALYZE ${tables(changed.filter(({ isAnalyzed }) => isAnalyzed))}`,
  );
}

/** What the product answers about each of them. */
export async function answersOf(
  database: CaseDatabase,
  cases: readonly BloatCase[],
  options: { exact?: boolean; role?: string } = {},
): Promise<Map<string, Bloat>> {
  const figures = await figuresOf(database, options);
  const known = new Map(
    figures.tables.flatMap((table) => [
      [table.name, table.bloat] as const,
      ...table.indexes.map((index) => [index.name, index.bloat] as const),
    ]),
  );
  return new Map(
    cases.flatMap(({ name }) => {
      const bloat = known.get(name);
      return bloat ? [[name, bloat] as const] : [];
    }),
  );
}

/** Heap and TOAST of a table and its partitions, or of an index. */
const SIZES = `
  SELECT c.relname AS name, (SELECT sum(pg_relation_size(p.oid) + coalesce(pg_relation_size(nullif(p.reltoastrelid, 0)), 0))
           FROM pg_class p WHERE p.oid = c.oid OR p.oid IN (SELECT relid FROM pg_partition_tree(c.oid)))::float8 AS bytes
    FROM pg_class c WHERE c.relkind IN ('r', 'm', 'p', 'i') AND c.relnamespace = 'public'::regnamespace`;

async function sizes(database: CaseDatabase): Promise<Map<string, number>> {
  const rows = await database.run(SIZES);
  return new Map(rows.map((row) => [String(row['name']), Number(row['bytes'])]));
}

/** Rewrites everything; the share of each that came back. What grew gave nothing back. */
export async function truthOf(
  database: CaseDatabase,
  cases: readonly BloatCase[],
): Promise<Map<string, number>> {
  const before = await sizes(database);
  for (const { rewrite } of cases) await database.run(rewrite);
  const after = await sizes(database);
  return new Map(
    cases.map(({ name }) => {
      const was = before.get(name) ?? 0;
      return [name, was === 0 ? 0 : Math.max(1 - (after.get(name) ?? 0) / was, 0)];
    }),
  );
}
