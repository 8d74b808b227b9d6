import { setTimeout as rest } from 'node:timers/promises';
import { afterEach, beforeEach, expect, it } from '@jest/globals';
import type { Principal } from '../../src/domain/principal.ts';
import { hasEnded, mayFollow } from '../../src/domain/run.ts';
import type { RunState } from '../../src/domain/words.ts';
import { makeRunControl } from '../../src/engine/control-run.ts';
import { DeclutterError } from '../../src/errors.ts';
import { interruptLost, settlePauses } from '../../src/store/leases.ts';
import { requireRun } from '../../src/store/runs.ts';
import { archiveUpTo, FILES } from '../support/archives.ts';
import { FAST, STEADY, testEngine, type TestEngine } from '../support/engine.ts';
import { loseLease, until } from '../support/fault-scene.ts';
import { fingerprintOf, loadArchive } from '../support/fingerprint.ts';
import { type TestDatabase, testDatabase } from '../support/postgres.ts';

const BY: Principal = {
  subject: 'somebody',
  clientId: null,
  roles: ['OPERATOR'],
  isMachine: false,
  mayApprove: false,
};
const STORMS = 12;
const COMMANDS = 84;
const ROWS = 600;
/** A turn takes as long as the run has work; a lease that nobody gives back, some of them. */
const TURNS = 200;
const TURN_MS = 100;

let database: TestDatabase;
let engine: TestEngine;

beforeEach(async () => {
  database = await testDatabase();
  engine = await testEngine(database);
  await engine.deps.store.prisma.$executeRawUnsafe(
    'CREATE TABLE seen (run uuid, was text, became text, n serial)',
  );
  await engine.deps.store.prisma.$executeRawUnsafe(
    `CREATE FUNCTION look() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO seen VALUES (NEW.id, OLD.state, NEW.state); RETURN NEW; END'`,
  );
  await engine.deps.store.prisma.$executeRawUnsafe(
    'CREATE TRIGGER look AFTER UPDATE ON run FOR EACH ROW WHEN (OLD.state <> NEW.state) EXECUTE FUNCTION look()',
  );
});

afterEach(async () => {
  await engine.close();
  await database.drop();
});

/** The same numbers for the same seed. */
function numbersOf(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

interface Storm {
  readonly table: string;
  readonly runId: string;
  readonly next: () => number;
}

/** A run whose batches fail for good while its name is in the table trouble. */
async function makeStorm(
  n: number,
  seed: number,
  throttle = { ...FAST, batchRows: 10, batchMs: 2 },
): Promise<Storm> {
  const table = `item_${n}`;
  await database.run(`CREATE TABLE ${table} (id int PRIMARY KEY, note text);
    INSERT INTO ${table} SELECT i, repeat('x', 100) FROM generate_series(1, ${ROWS}) i; ANALYZE ${table};
    CREATE TRIGGER fail BEFORE DELETE ON ${table} FOR EACH ROW WHEN (OLD.id % 50 = 0) EXECUTE FUNCTION fail()`);
  const runId = await engine.queue({ name: table }, archiveUpTo(500, FILES), { throttle });
  return { table, runId, next: numbersOf(seed) };
}

const runControl = () => makeRunControl({ ...engine.deps, queue: { nudge: () => Promise.resolve() } });

function commandsOf({ table, runId }: Storm): (() => Promise<unknown>)[] {
  const control = runControl();
  const resume = () => control.resume(runId, BY);
  const lost = () => loseLease(engine, runId);
  return [
    ...[resume, resume, resume, lost],
    () => control.pause(runId, null, BY),
    () => control.pause(runId, 'again', BY),
    () => control.retry(runId, BY),
    () => control.updateThrottle(runId, { batchRows: 30 }, BY),
    () => database.run(`INSERT INTO trouble VALUES ('${table}')`),
    () => database.run(`DELETE FROM trouble WHERE name = '${table}'`),
  ];
}

/** A command is done or refused, and nothing else. */
async function given(command: () => Promise<unknown>): Promise<void> {
  try {
    await command();
  } catch (error) {
    if (!(error instanceof DeclutterError) || error.code !== 'CONFLICT') throw error;
  }
}

/** Up to three commands at the same time, again and again, beside workers that come by and go; then perhaps a cancel. */
async function rage(storm: Storm, isCancelled: boolean): Promise<void> {
  const commands = commandsOf(storm);
  const turns: Promise<unknown>[] = [];
  const any = <T>(list: readonly T[]): T => list[Math.floor(storm.next() * list.length)] as T;
  for (let sent = 0; sent < COMMANDS;) {
    const some = Array.from({ length: 1 + Math.floor(storm.next() * 3) }, () => given(any(commands)));
    turns.push(engine.work(storm.runId));
    await Promise.all(some);
    sent += some.length;
    await rest(storm.next() * 60);
  }
  if (isCancelled) await given(() => runControl().cancel(storm.runId, null, BY));
  await Promise.all(turns);
}

/** One command after the other, each when the run is there: through all states on the way to CANCELLED, which chance may leave out. */
async function goThroughAllStates({ table, runId }: Storm): Promise<void> {
  const control = runControl();
  const goesOn = (rows: number) =>
    until(engine, runId, ({ state, progress }) => state === 'RUNNING' && progress.rowsDone > rows);
  await database.run(`INSERT INTO trouble VALUES ('${table}')`);
  expect(await engine.work(runId)).toMatchObject({ state: 'FAILED' });
  await database.run(`DELETE FROM trouble WHERE name = '${table}'`);
  await control.retry(runId, BY);
  const first = engine.work(runId);
  await goesOn(0);
  await control.pause(runId, null, BY);
  const paused = await first;
  expect(paused).toMatchObject({ state: 'PAUSED' });
  await control.resume(runId, BY);
  const second = engine.work(runId);
  await goesOn(paused.progress.rowsDone);
  await loseLease(engine, runId);
  await second;
  await control.cancel(runId, null, BY);
  expect(await engine.work(runId)).toMatchObject({ state: 'CANCELLED' });
}

/** Somebody looks after it until it has ended. */
async function isBroughtToAnEnd(storm: Storm): Promise<RunState> {
  const { table, runId } = storm;
  await database.run(`DELETE FROM trouble WHERE name = '${table}'`);
  const control = runControl();
  const states: RunState[] = [];
  for (let turns = 0; turns < TURNS; turns += 1) {
    await interruptLost(engine.deps.store); // a machine that stands still for long loses a lease by itself
    await settlePauses(engine.deps.store);
    const { state } = await requireRun(engine.deps.store, runId);
    if (state === 'PAUSED') await control.resume(runId, BY);
    if (state === 'FAILED') await control.retry(runId, BY);
    const { state: became } = await engine.work(runId);
    if (hasEnded(became) && became !== 'FAILED') return became;
    states.push(became);
    await rest(TURN_MS);
  }
  throw new Error(`${runId} comes to no end: ${[...new Set(states)].join(', ')}`);
}

async function isWhole({ table, runId }: Storm): Promise<void> {
  const [begun] = await database.run(
    `SELECT count(*)::int AS n FROM declutter.batch WHERE run_id = '${runId}'`,
  );
  const rows = [`SELECT * FROM ${table}`];
  if (begun?.['n'] !== 0) {
    await loadArchive(database, engine.archiveDir, runId, table, `${table}_kept`);
    rows.push(`SELECT * FROM ${table}_kept`);
  }
  const original = `SELECT i, repeat('x', 100) FROM generate_series(1, ${ROWS}) i`;
  expect(await fingerprintOf(database, rows.join(' UNION ALL '))).toEqual(
    await fingerprintOf(database, original),
  );
}

it('a thousand commands at any time lead from state to state as the table says, and lose no row', async () => {
  await database.run(`CREATE TABLE trouble (name text);
    CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN IF EXISTS (SELECT FROM public.trouble WHERE name = TG_TABLE_NAME) THEN RAISE 'trouble'; END IF; RETURN OLD; END $$`);
  const seed = Math.floor(Math.random() * 2 ** 31);
  const storms: Storm[] = [];
  for (let n = 0; n < STORMS; n += 1) storms.push(await makeStorm(n, seed + n));
  const ends = new Set<RunState>();
  for (let n = 0; n < STORMS; n += 4) {
    await Promise.all(storms.slice(n, n + 4).map((storm, i) => rage(storm, i % 2 === 1)));
    for (const storm of storms.slice(n, n + 4)) ends.add(await isBroughtToAnEnd(storm));
  }
  const calm = await makeStorm(STORMS, seed, { ...STEADY, dutyCycle: 0.05, batchRows: 10 });
  await goThroughAllStates(calm);
  ends.add(await isBroughtToAnEnd(calm));
  storms.push(calm);
  for (const storm of storms) await isWhole(storm);
  const { prisma } = engine.deps.store;
  const seen = await prisma.$queryRaw<
    { was: RunState; became: RunState }[]
  >`SELECT DISTINCT was, became FROM seen`;
  const illegal = seen.filter(({ was, became }) => !mayFollow(was, became));
  expect({ seed, illegal }).toEqual({ seed, illegal: [] });
  expect(seen.map(({ became }) => became)).toEqual(
    expect.arrayContaining(['RUNNING', 'PAUSING', 'PAUSED', 'QUEUED', 'INTERRUPTED', 'FAILED', 'CANCELLED']),
  );
  expect([...ends].sort()).toEqual(['CANCELLED', 'SUCCEEDED']);
  for (const { runId } of storms)
    expect(hasEnded((await requireRun(engine.deps.store, runId)).state)).toBe(true);
  expect(await prisma.runTable.count()).toBe(0);
}, 180_000);
