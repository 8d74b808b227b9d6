import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { Bloat } from '../../src/domain/finding.ts';
import { availableVersions, type TestDatabase, testDatabase } from '../support/postgres.ts';
import { INDEX_SHAPES, type Shape, SHAPES } from './shapes.ts';
import { figuresOf, inTurn, tableNamed } from './support.ts';

const VERSIONS = availableVersions().filter((version) => version === 14 || version === 18);
/** An answer may be wrong by so much, or it must be UNKNOWN. */
const TOLERANCE = 0.1;

const make = (shape: Shape) => shape.make.join('; ');

async function build(database: TestDatabase): Promise<void> {
  const all = [...SHAPES, ...INDEX_SHAPES];
  await inTurn(
    database,
    'CREATE EXTENSION pgstattuple',
    all.map(make).filter(Boolean).join('; '),
    'VACUUM ANALYZE',
  );
  for (const shape of all) await inTurn(database, ...(shape.then ?? []));
  const analyzed = all.filter((shape) => shape.analyze);
  await inTurn(
    database,
    ...analyzed.map((shape) => `ANALYZE ${INDEX_SHAPES.includes(shape) ? `t_${shape.name}` : shape.name}`),
  );
}

/** Heap and TOAST now, and what a rewrite leaves of them. */
const SIZE = (name: string) =>
  `SELECT (pg_relation_size(c.oid) + CASE WHEN c.reltoastrelid <> 0 THEN pg_relation_size(c.reltoastrelid) ELSE 0 END)::float8 AS bytes
     FROM pg_class c WHERE c.relname = '${name}'`;

async function wasteBy(database: TestDatabase, name: string, rewrite: string): Promise<number> {
  const [before] = await database.run(SIZE(name));
  await database.run(rewrite);
  const [after] = await database.run(SIZE(name));
  return 1 - Number(after!['bytes']) / Number(before!['bytes']);
}

describe.each(VERSIONS)('on PostgreSQL %i', (version) => {
  let database: TestDatabase;
  const estimated = new Map<string, Bloat>();
  const measured = new Map<string, Bloat>();
  const truth = new Map<string, number>();

  beforeAll(async () => {
    database = await testDatabase(version);
    await build(database);
    for (const [exact, answers] of [
      [false, estimated],
      [true, measured],
    ] as const) {
      const figures = await figuresOf(database, { exact });
      for (const { name } of SHAPES) answers.set(name, tableNamed(figures, name).bloat);
      for (const index of figures.tables.flatMap((table) => table.indexes))
        answers.set(index.name, index.bloat);
    }
    for (const { name } of SHAPES) truth.set(name, await wasteBy(database, name, `VACUUM FULL ${name}`));
    for (const { name } of INDEX_SHAPES)
      truth.set(name, await wasteBy(database, name, `REINDEX INDEX ${name}`));
  }, 240_000);

  afterAll(() => database.drop());

  const names = [...SHAPES, ...INDEX_SHAPES].map(({ name }) => name);
  const UNKNOWABLE = ['never_analysed', 'stale', 'three_each'];

  it.each(names.filter((name) => !UNKNOWABLE.includes(name)))(
    'statistics tell what a rewrite of %s gives back',
    (name) => {
      const bloat = estimated.get(name)!;
      expect(bloat.method).toBe('STATISTICS');
      expect(Math.abs(bloat.ratio! - truth.get(name)!)).toBeLessThan(TOLERANCE);
    },
  );

  it.each([
    ['never_analysed', 'NEVER_ANALYZED'],
    ['stale', 'STATISTICS_STALE'],
    ['three_each', 'DISTINCT_VALUES_UNKNOWN'],
  ])('statistics admit that they do not know about %s', (name, code) => {
    const bloat = estimated.get(name)!;
    expect(bloat).toMatchObject({ verdict: 'UNKNOWN', wastedBytes: null, ratio: null, method: 'NONE' });
    expect(bloat.causes.map((cause) => cause.code)).toContain(code);
    expect(bloat.advice).not.toBe('');
  });

  it.each(names)('reading tells what a rewrite of %s gives back', (name) => {
    const bloat = measured.get(name)!;
    expect(bloat.method).toBe('SCAN');
    expect(Math.abs(bloat.ratio! - truth.get(name)!)).toBeLessThan(TOLERANCE);
  });

  it('asks for VACUUM, not for a rewrite, where rows are dead', () => {
    expect(estimated.get('dead_rows')).toMatchObject({ verdict: 'NEEDS_VACUUM' });
    expect(measured.get('dead_rows')).toMatchObject({ verdict: 'NEEDS_VACUUM' });
  });

  it.each(['padded_half', 'outside_quarter', 'dropped_column', 'unique_key_half', 'few_values_third'])(
    'asks for a rewrite of %s',
    (name) => {
      expect(truth.get(name)).toBeGreaterThan(0.4);
      expect(estimated.get(name)!.verdict).toBe('NEEDS_REWRITE');
      expect(measured.get(name)!.verdict).toBe('NEEDS_REWRITE');
    },
  );

  it('is loud about nothing that holds little waste', () => {
    const loud = [...estimated, ...measured].filter(([, { verdict }]) => verdict.startsWith('NEEDS_'));
    expect(loud.length).toBeGreaterThan(10);
    expect(loud.filter(([name]) => truth.get(name)! < 0.2)).toEqual([]);
  });
});
