import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { duplicateIndex } from '../../src/analysis/kinds/duplicate-index.ts';
import { missingForeignKeyIndex } from '../../src/analysis/kinds/missing-foreign-key-index.ts';
import { redundantIndex } from '../../src/analysis/kinds/redundant-index.ts';
import type { FoundFault } from '../../src/domain/finding.ts';
import { availableVersions, type TestDatabase, testDatabase } from '../support/postgres.ts';
import { isServedByPlanner, type LookUp, lookUpsOf } from './foreign-key-lookups.ts';
import { FOREIGN_KEY_SHAPES, TABLES } from './foreign-key-shapes.ts';
import { IRREPLACEABLE_SHAPES } from './irreplaceable-shapes.ts';
import { planOf, reads } from './plan-of.ts';
import { type RedundantShape, SAFE_SHAPES, TABLE } from './redundant-shapes.ts';
import { ask, inTurn } from './support.ts';

const VERSIONS = availableVersions().filter((version) => [14, 15, 18].includes(version));
const quoted = (name: string) => `"${name.replaceAll('"', '""')}"`;

describe.each(VERSIONS)('advice about redundant indexes on PostgreSQL %i', (version) => {
  const shapes = [...SAFE_SHAPES, ...IRREPLACEABLE_SHAPES].filter(({ since }) => version >= (since ?? 0));
  let database: TestDatabase;
  let faults: readonly FoundFault[];

  beforeAll(async () => {
    database = await testDatabase(version);
    const make = ({ name, make: statements }: RedundantShape) =>
      `CREATE SCHEMA ${quoted(name)}; SET search_path = ${quoted(name)}, public; ${TABLE}; ${statements}`;
    await inTurn(database, ...shapes.map(make), 'VACUUM ANALYZE');
    faults = (await Promise.all([duplicateIndex, redundantIndex].map((kind) => ask(kind, database)))).flatMap(
      (answer) => answer.faults,
    );
  }, 120_000);

  afterAll(() => database.drop());

  it('is asked about at least 24 shapes, in which some may go and some may not', () => {
    expect(SAFE_SHAPES.length).toBeGreaterThanOrEqual(24);
    expect(IRREPLACEABLE_SHAPES.length).toBeGreaterThanOrEqual(24);
  });

  it.each(shapes)('$name: $why', ({ name, mayGo }) => {
    const found = faults.filter((fault) => fault.schema === name);
    const advice = found.map(({ index, evidence }) => [
      index,
      (evidence['mustStay'] as { name: string }).name,
    ]);
    expect(Object.fromEntries(advice)).toEqual(mayGo);
    expect(found).toHaveLength(Object.keys(mayGo).length);
  });

  /** In the shape's schema, as the planner would without reading whole tables; what is dropped comes back. */
  async function without<T>(
    shape: RedundantShape,
    indexes: readonly string[],
    work: () => Promise<T>,
  ): Promise<T> {
    const drop = indexes.map((index) => `DROP INDEX ${quoted(index)}`);
    await database.run(
      [
        `BEGIN; SET LOCAL search_path = ${quoted(shape.name)}, public; SET LOCAL enable_seqscan = off`,
        ...drop,
      ].join('; '),
    );
    try {
      return await work();
    } finally {
      await database.run('ROLLBACK');
    }
  }

  /** By an index that finds the rows, or has them in order: one that is read from end to end for a filter does neither. */
  const isAnswered = async (query: string) => {
    const plan = await planOf(database, query);
    const isFiltered = plan.some(
      (node) => 'Index Name' in node && 'Filter' in node && !('Index Cond' in node),
    );
    return !reads(plan, 'Seq Scan', 'Sort', 'Incremental Sort') && !isFiltered;
  };

  it.each(shapes.filter(({ query }) => query !== undefined))(
    'the planner answers without what may go of $name',
    async (shape) => {
      const answer = () => isAnswered(shape.query!);
      expect(await without(shape, [], answer)).toBe(true);
      expect(await without(shape, Object.keys(shape.mayGo), answer)).toBe(true);
    },
  );

  it.each(shapes.filter(({ needs }) => needs !== undefined))(
    'the planner misses what must stay of $name',
    async (shape) => {
      const answer = () => isAnswered(shape.needs!.query);
      expect(await without(shape, [], answer)).toBe(true);
      expect(await without(shape, [shape.needs!.index], answer)).toBe(false);
    },
  );

  it.each(shapes.filter(({ forbids }) => forbids !== undefined))(
    'what must stay of $name forbids a row that nothing else does',
    async (shape) => {
      const { index, insert } = shape.forbids!;
      const insertion = () => database.run(insert);
      await expect(without(shape, [], insertion)).rejects.toThrow(index);
      const isConstraint = ['key', 'apart'].includes(index);
      const drop = isConstraint ? `ALTER TABLE t DROP CONSTRAINT ${index}` : `DROP INDEX ${index}`;
      await without(shape, [], async () => database.run(`${drop}; ${insert}`));
    },
  );
});

describe.each(VERSIONS)('advice about foreign keys on PostgreSQL %i', (version) => {
  const shapes = FOREIGN_KEY_SHAPES.filter(
    ({ since, until }) => version >= (since ?? 0) && version <= (until ?? 99),
  );
  let database: TestDatabase;
  let lookUps: LookUp[];
  let faults: readonly FoundFault[];

  beforeAll(async () => {
    database = await testDatabase(version);
    await inTurn(
      database,
      'CREATE EXTENSION btree_gin; CREATE EXTENSION btree_gist; CREATE EXTENSION bloom',
      ...shapes.map(
        ({ name, make }) =>
          `CREATE SCHEMA ${quoted(name)}; SET search_path = ${quoted(name)}, public; ${TABLES}; ${make}`,
      ),
      'VACUUM ANALYZE',
    );
    lookUps = await lookUpsOf(database);
    ({ faults } = await ask(missingForeignKeyIndex, database));
  }, 240_000);

  afterAll(() => database.drop());

  it('is asked about at least 19 shapes', () => {
    expect(shapes.length).toBeGreaterThanOrEqual(19);
    expect(new Set(lookUps.map(({ schema }) => schema)).size).toBe(shapes.length);
  });

  const isServedByUs = ({ schema, leaf, columns }: LookUp) =>
    !faults.some(
      (fault) =>
        fault.schema === schema &&
        JSON.stringify(fault.columns) === JSON.stringify(columns) &&
        (fault.evidence['unserved'] as string[]).includes(`${schema}.${leaf}`),
    );

  it.each(shapes)('$name: says what the planner does', async ({ name }) => {
    const ours = lookUps.filter(({ schema }) => schema === name);
    expect(ours.length).toBeGreaterThan(0);
    for (const lookUp of ours) {
      const { leaf, columns } = lookUp;
      const served = await isServedByPlanner(database, lookUp);
      expect({ leaf, columns, served: isServedByUs(lookUp) }).toEqual({ leaf, columns, served });
    }
  });

  it('says both that one serves and that none does', () => {
    const answers = lookUps.map(isServedByUs);
    expect(answers.filter((served) => served).length).toBeGreaterThan(10);
    expect(answers.filter((served) => !served).length).toBeGreaterThan(10);
  });
});
