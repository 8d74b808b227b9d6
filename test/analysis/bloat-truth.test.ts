import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { Bloat } from '../../src/domain/finding.ts';
import { availableVersions, type TestDatabase, testDatabase } from '../support/postgres.ts';
import { answersOf, bloatCases, buildCases, faultOf, truthOf } from './bloat-cases.ts';

const VERSIONS = availableVersions().filter(
  (version): version is 14 | 18 => version === 14 || version === 18,
);
/** All states on the newest; the oldest has the same formulas by other catalogs. */
const STATES = {
  14: ['fresh', 'scattered', 'dead'],
  18: ['fresh', 'scattered', 'older_gone', 'dead', 'dead_analyzed'],
};
const WATCHER = 'bloat_watcher';

type Answers = Map<string, Bloat>;

describe.each(VERSIONS)('on PostgreSQL %i', (version) => {
  const CASES = bloatCases(0.4, STATES[version]);
  let database: TestDatabase;
  let estimated: Answers;
  let measured: Answers;
  let watched: Answers;
  let watchedExactly: Answers;
  let truth: Map<string, number>;

  beforeAll(async () => {
    database = await testDatabase(version);
    await buildCases(database, CASES);
    await database.run(
      `DROP ROLE IF EXISTS ${WATCHER}; CREATE ROLE ${WATCHER}; GRANT pg_monitor TO ${WATCHER}`,
    );
    estimated = await answersOf(database, CASES);
    watched = await answersOf(database, CASES, { role: WATCHER });
    watchedExactly = await answersOf(database, CASES, { role: WATCHER, exact: true });
    measured = await answersOf(database, CASES, { exact: true });
    truth = await truthOf(database, CASES);
  }, 900_000);

  afterAll(async () => {
    await database.run(`DROP ROLE ${WATCHER}`);
    await database.drop();
  });

  const faults = (answers: Answers) =>
    CASES.flatMap((one) => {
      const fault = faultOf(one, answers.get(one.name), truth.get(one.name)!);
      return fault === null ? [] : [`${one.shape}, ${one.state}: ${fault}`];
    });
  const unknown = (answers: Answers, state: string) =>
    CASES.filter((one) => one.state === state && answers.get(one.name)?.ratio === null);

  it('tells from statistics what a rewrite gives back, or that it cannot', () => {
    expect(faults(estimated)).toEqual([]);
  });

  it('tells from reading what a rewrite gives back, or that it cannot', () => {
    expect(faults(measured)).toEqual([]);
  });

  it('is never wrong as a role with pg_monitor only', () => {
    expect(faults(watched)).toEqual([]);
    expect([...watched.values()].filter(({ verdict }) => verdict === 'UNKNOWN').length).toBeGreaterThan(50);
  });

  it('reads as a role with pg_monitor only, and calls nothing healthy that is not', () => {
    const healthy = CASES.filter(({ name }) => watchedExactly.get(name)?.verdict === 'HEALTHY');
    expect(healthy.length).toBeGreaterThan(50);
    const bloated = healthy.filter(
      ({ name, kind, state }) => truth.get(name)! > (kind === 'TABLE' ? 0.4 : 0.5) && state !== 'special',
    );
    expect(bloated.filter(({ name }) => (watchedExactly.get(name)!.wastedBytes ?? 0) >= 256 * 1024)).toEqual(
      [],
    );
  });

  it('knows about every table shape once it is vacuumed and analysed', () => {
    for (const state of STATES[version].filter((one) => !one.startsWith('dead')))
      expect(unknown(estimated, state).filter(({ kind }) => kind === 'TABLE')).toEqual([]);
  });

  it('admits what it has no model for, and where the number of distinct values is a guess', () => {
    const shapes = new Set(unknown(estimated, 'fresh').map(({ shape }) => shape));
    expect([...shapes].sort()).toEqual(['block_ranges', 'hashed', 'inverted', 'points', 'three_each']);
  });

  it('asks for VACUUM where rows are dead, and for a rewrite where room lies free', () => {
    for (const answers of [estimated, measured]) {
      expect(answers.get('short_text_dead')).toMatchObject({ verdict: 'NEEDS_VACUUM' });
      expect(answers.get('short_text_scattered')).toMatchObject({ verdict: 'NEEDS_REWRITE' });
      expect(answers.get('toast_three_quarters')).toMatchObject({ verdict: 'NEEDS_REWRITE' });
      expect(answers.get('unique_key_scattered_idx')).toMatchObject({ verdict: 'NEEDS_REWRITE' });
      expect(answers.get('few_pages')).toMatchObject({ verdict: 'HEALTHY' });
    }
  });

  it('names the partition that is to blame', () => {
    const bloat = estimated.get('one_bad_leaf')!;
    expect(bloat.causes[0]).toMatchObject({ code: 'PARTITION' });
    expect(bloat.causes[0]!.detail).toContain('one_bad_leaf_2a');
  });

  it('says how much is usable now, and how much after VACUUM', () => {
    const { wastedBytes, room } = measured.get('short_text_dead')!;
    expect(room!.dead).toBeGreaterThan(0.9 * wastedBytes!);
    expect(measured.get('short_text_scattered')!.room!.free).toBe(
      measured.get('short_text_scattered')!.wastedBytes,
    );
  });
});
