import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import pg from 'pg';
import { pino } from 'pino';
import { ANALYSES } from '../../src/analysis/analysis-registry.ts';
import { makeAnalysisUseCases } from '../../src/analysis/analysis-use-cases.ts';
import { systemClock } from '../../src/clock.ts';
import type { Principal } from '../../src/domain/principal.ts';
import { findingId } from '../../src/store/findings.ts';
import type { Page } from '../../src/store/page.ts';
import { Session, type TargetAddress } from '../../src/target/session.ts';
import { type TestDatabase, testDatabase, testStore } from '../support/postgres.ts';
import { inTurn } from './support.ts';

type TestStore = Awaited<ReturnType<typeof testStore>>;

const SOMEBODY: Principal = {
  subject: 'ann',
  clientId: null,
  roles: ['OPERATOR'],
  isMachine: false,
  mayApprove: true,
};

/** A registered database, as far as analysis is concerned. */
async function register({ store }: TestStore, name: string): Promise<string> {
  const id = randomUUID();
  await store.prisma.database.create({
    data: {
      id,
      name,
      host: 'h',
      port: 1,
      database: 'd',
      user: 'u',
      tls: 'DISABLE',
      environment: 'STAGING',
      createdBy: 'test',
    },
  });
  return id;
}

/** Enough to see how findings are kept; each kind has a test of its own. */
const ASKED: readonly string[] = ['TABLE_BLOAT', 'INDEX_BLOAT', 'UNUSED_INDEX', 'DUPLICATE_INDEX'];

const analysisOf = (store: TestStore, address: TargetAddress) =>
  makeAnalysisUseCases({
    store: store.store,
    connect: (_, settings) => Session.open(address, settings),
    replicas: async () => [],
    analyses: ANALYSES.filter(({ kind }) => ASKED.includes(kind)),
    clock: systemClock,
    log: pino({ level: 'silent' }),
  });

/** Every page of a list, read by its cursors. */
async function all<Node>(read: (after: string | null) => Promise<Page<Node>>): Promise<Node[]> {
  const nodes: Node[] = [];
  for (let after: string | null = null; ;) {
    const page = await read(after);
    nodes.push(...page.edges.map((edge) => edge.node));
    after = page.edges.at(-1)?.cursor ?? null;
    if (!page.hasNextPage) return nodes;
  }
}

describe('analysis', () => {
  let target: TestDatabase;
  let store: TestStore;
  let id: string;
  let analysis: ReturnType<typeof analysisOf>;

  beforeAll(async () => {
    [target, store] = await Promise.all([testDatabase(), testStore()]);
    id = await register(store, 'shop');
    analysis = analysisOf(store, target.address);
    await inTurn(
      target,
      `CREATE SCHEMA declutter; CREATE TABLE declutter.run (id int); CREATE SCHEMA other;
       CREATE TABLE bloated AS SELECT g id, md5(g::text) t FROM generate_series(1, 40000) g;
       CREATE INDEX bloated_id ON bloated (id); CREATE INDEX bloated_id_too ON bloated (id);
       CREATE TABLE other.fine AS SELECT g id FROM generate_series(1, 100) g;
       CREATE TABLE "Ünïcode ""q""" (id int)`,
      'VACUUM ANALYZE',
      'DELETE FROM bloated WHERE id % 2 = 0',
      'VACUUM ANALYZE',
    );
  });

  afterAll(async () => {
    await target.drop();
    await store.close();
  });

  it('has nothing to show before the first snapshot', async () => {
    expect((await analysis.tables(id, {})).edges).toEqual([]);
    expect((await analysis.snapshots(id, {})).edges).toEqual([]);
  });

  it('keeps a snapshot with the sums of the database', async () => {
    await analysis.takeSnapshot(id);
    const [snapshot] = (await analysis.snapshots(id, {})).edges.map((edge) => edge.node);
    const tables = await all((after) => analysis.tables(id, { after, first: 2 }));
    const wasted = tables.flatMap((table) => [table.bloat, ...table.indexes.map((index) => index.bloat)]);
    expect(snapshot!.wastedBytes).toBe(wasted.reduce((sum, bloat) => sum + (bloat.wastedBytes ?? 0), 0));
    expect(snapshot!.wastedBytes).toBeGreaterThan(1_000_000);
    expect(snapshot!.exact).toBe(false);
    const [size] = await target.run('SELECT pg_database_size(current_database())::float8 AS bytes');
    expect(snapshot!.sizeBytes / Number(size!['bytes'])).toBeCloseTo(1, 1);
  });

  it.each([
    ['WASTED_BYTES', ['bloated']],
    ['TOTAL_BYTES', ['bloated', 'fine']],
    ['NAME', ['fine', 'bloated', 'Ünïcode "q"']],
  ] as const)(
    'pages through the tables by %s, and our own schema is not among them',
    async (orderBy, names) => {
      const tables = await all((after) => analysis.tables(id, { orderBy, after, first: 1 }));
      expect(tables).toHaveLength(3);
      const seen = tables.map((table) => table.name);
      if (orderBy === 'NAME')
        expect(tables.map((table) => table.schema)).toEqual(['other', 'public', 'public']);
      else expect(seen.slice(0, names.length)).toEqual(names);
      expect([...seen].sort()).toEqual(['bloated', 'fine', 'Ünïcode "q"'].sort());
      expect((await analysis.tables(id, { schema: 'other' })).edges.map((edge) => edge.node.name)).toEqual([
        'fine',
      ]);
    },
  );

  it('adds up a table as PostgreSQL does', async () => {
    const [table] = (await analysis.tables(id, { first: 1 })).edges.map((edge) => edge.node);
    const [truth] = await target.run(
      `SELECT pg_total_relation_size('bloated')::float8 AS total, pg_indexes_size('bloated')::float8 AS indexes, pg_table_size('bloated')::float8 AS heap`,
    );
    expect(table).toMatchObject({
      totalBytes: truth!['total'],
      indexBytes: truth!['indexes'],
      liveRows: 20_000,
    });
    expect(table!.heapBytes + table!.toastBytes).toBe(truth!['heap']);
    expect(table!.bloat.verdict).toBe('NEEDS_REWRITE');
    expect(table!.lastAnalyzeAt).toMatch(/^\d{4}-.*Z$/);
  });

  it('asks the database itself for one table, one index', async () => {
    expect(await analysis.table('shop', 'public', 'bloated')).toMatchObject({
      name: 'bloated',
      liveRows: 20_000,
    });
    expect(await analysis.table('shop', 'public', 'nothing')).toBeNull();
    expect(await analysis.table('shop', 'declutter', 'run')).toBeNull();
    expect((await analysis.indexBloat('shop', 'public', 'bloated_id', false)).verdict).toBe('NEEDS_REWRITE');
    await expect(analysis.indexBloat('shop', 'public', 'bloated', false)).rejects.toMatchObject({
      code: 'NOT_FOUND',
    });
    await expect(analysis.tableBloat('nowhere', 'public', 'bloated', false)).rejects.toMatchObject({
      code: 'NOT_FOUND',
    });
  });

  it('reads a relation only when it can, and says what is missing', async () => {
    const without = await analysis.tableBloat('shop', 'public', 'bloated', true);
    expect(without.method).toBe('STATISTICS');
    expect(without.causes.map((cause) => cause.code)).toContain('EXTENSION_MISSING');
    await inTurn(target, 'CREATE EXTENSION pgstattuple SCHEMA other');
    expect(await analysis.tableBloat('shop', 'public', 'bloated', true)).toMatchObject({
      method: 'SCAN',
      verdict: 'NEEDS_REWRITE',
    });
    expect((await analysis.indexBloat('shop', 'public', 'bloated_id', true)).method).toBe('SCAN');
  });

  it('answers two callers at a time with one snapshot', async () => {
    const [one, two] = await Promise.all([analysis.analyze('shop', false), analysis.analyze('shop', false)]);
    expect(one.id).toBe(two.id);
    const history = await analysis.history(id, 'public', 'bloated');
    expect(history).toHaveLength(2);
    expect(history[0]!.takenAt.getTime()).toBeGreaterThan(history[1]!.takenAt.getTime());
  });

  it('gives a fault the same id tomorrow, and keeps it suppressed', async () => {
    const before = await all((after) => analysis.findings({ databaseName: 'shop', first: 1, after }));
    expect(before.map((finding) => finding.kind).sort()).toEqual([
      'DUPLICATE_INDEX',
      'INDEX_BLOAT',
      'INDEX_BLOAT',
      'TABLE_BLOAT',
      // of the two that are the same; the other one is advised to stay while its twin is there
      'UNUSED_INDEX',
    ]);
    const bloat = before.find((finding) => finding.kind === 'TABLE_BLOAT')!;
    expect(bloat.id).toBe(
      findingId('shop', {
        kind: 'TABLE_BLOAT',
        schema: 'public',
        table: 'bloated',
        index: null,
        columns: [],
      }),
    );
    await expect(analysis.suppress(bloat.id, '  ', null, SOMEBODY)).rejects.toMatchObject({
      code: 'BAD_USER_INPUT',
    });
    await expect(analysis.suppress(bloat.id, 'late', new Date(0), SOMEBODY)).rejects.toMatchObject({
      code: 'BAD_USER_INPUT',
    });
    expect(await analysis.suppress(bloat.id, 'it will grow again', null, SOMEBODY)).toMatchObject({
      suppressed: true,
      suppression: { by: 'ann', reason: 'it will grow again', until: null },
    });
    await analysis.analyze('shop', false);
    const ids = async (includeSuppressed: boolean) =>
      (await analysis.findings({ databaseId: id, includeSuppressed })).edges
        .map((edge) => edge.node.id)
        .sort();
    const known = before.map((finding) => finding.id).sort();
    expect(await ids(true)).toEqual(known);
    expect(await ids(false)).toEqual(known.filter((other) => other !== bloat.id));
    expect(await analysis.unsuppress(bloat.id)).toMatchObject({ suppressed: false });
    await expect(analysis.unsuppress('nothing')).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });

  it('filters findings by kind and severity', async () => {
    const bloat = await analysis.findings({ databaseId: id, kinds: ['TABLE_BLOAT'] });
    expect(bloat.edges.map((edge) => edge.node.kind)).toEqual(['TABLE_BLOAT']);
    const grave = await analysis.findings({ databaseId: id, minSeverity: 'CRITICAL' });
    expect(grave.edges).toEqual([]);
  });

  it('answers about all other tables while one is locked, and calls that one UNKNOWN', async () => {
    const locker = new pg.Client({ connectionString: target.url });
    await locker.connect();
    await locker.query('BEGIN; LOCK TABLE bloated IN ACCESS EXCLUSIVE MODE');
    const started = performance.now();
    await analysis.analyze('shop', true);
    const took = performance.now() - started;
    const tables = await all((after) => analysis.tables(id, { after }));
    const live = await analysis.table('shop', 'public', 'bloated');
    await locker.query('ROLLBACK');
    await locker.end();
    expect(took).toBeLessThan(5_000);
    expect(tables.find((table) => table.name === 'fine')!.bloat.verdict).toBe('HEALTHY');
    for (const table of [tables.find(({ name }) => name === 'bloated')!, live!]) {
      expect(table.bloat).toMatchObject({ verdict: 'UNKNOWN', wastedBytes: null });
      expect(table.bloat.causes[0]!.code).toBe('LOCKED');
      expect(table.totalBytes).toBeGreaterThan(0);
    }
    // What was known of it before is still true as far as anybody can tell.
    expect((await analysis.findings({ databaseId: id, kinds: ['TABLE_BLOAT'] })).edges).toHaveLength(1);
  });

  it('closes a finding once its fault is gone', async () => {
    await inTurn(target, 'VACUUM FULL bloated', 'ANALYZE', 'DROP INDEX bloated_id_too, bloated_id');
    await analysis.analyze('shop', false);
    expect((await analysis.findings({ databaseId: id, includeSuppressed: true })).edges).toEqual([]);
  });

  it('never calls a table healthy that a role with pg_monitor only cannot judge', async () => {
    const role = `watcher_${target.name}`;
    await target.run(`CREATE ROLE ${role} LOGIN PASSWORD 'watch'; GRANT pg_monitor TO ${role}`);
    const watcher = analysisOf(store, { ...target.address, user: role, password: async () => 'watch' });
    await watcher.analyze('shop', false);
    const [hidden] = (await watcher.tables(id, { first: 1, orderBy: 'TOTAL_BYTES' })).edges.map(
      (edge) => edge.node,
    );
    expect(hidden).toMatchObject({ name: 'bloated', bloat: { verdict: 'UNKNOWN' } });
    expect(hidden!.bloat.causes[0]!.code).toBe('STATISTICS_HIDDEN');
    expect(hidden!.bloat.advice).toContain('GRANT');
    await target.run(`GRANT USAGE ON SCHEMA other TO ${role}`);
    const measured = await watcher.tableBloat('shop', 'public', 'bloated', true);
    await target.run(`DROP OWNED BY ${role}; DROP ROLE ${role}`);
    expect(measured).toMatchObject({ method: 'SCAN', verdict: 'HEALTHY' });
  });
});
