import { setTimeout as rest } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { type Clock, systemClock } from '../../src/clock.ts';
import { interruptLost } from '../../src/store/leases.ts';
import { isStoreFailure, openStore } from '../../src/store/open-store.ts';
import { requireRun } from '../../src/store/runs.ts';
import { hurry } from '../support/engine.ts';
import {
  type FaultScene,
  faultScene,
  FILES,
  ONE_LANE,
  PURGE,
  until,
  untilSeen,
} from '../support/fault-scene.ts';
import { eventually } from '../support/eventually.ts';
import { tcpProxy } from '../support/tcp-proxy.ts';

let scene: FaultScene;

beforeEach(async () => {
  scene = await faultScene();
});

afterEach(() => scene.close());

const SLOW = { ...ONE_LANE, dutyCycle: 0.08 };

const prisma = () => scene.engine.deps.store.prisma;

describe('a control store', () => {
  it('whose connection breaks under a statement is known to have failed: the run is none that fails for it', async () => {
    const url = new URL(scene.engine.storeUrl);
    const proxy = await tcpProxy({ host: url.hostname, port: Number(url.port) });
    url.port = String(proxy.port);
    const store = await openStore(url.href);
    const asked = store.prisma.$queryRaw`SELECT 1 AS asked FROM pg_sleep(60)`.catch(
      (error: unknown) => error,
    );
    const seen = `SELECT pid FROM pg_stat_activity WHERE query LIKE 'SELECT 1 AS asked%' AND state = 'active'`;
    await eventually('a statement', async () => (await prisma().$queryRawUnsafe<object[]>(seen)).length > 0);
    proxy.cut();
    const failure = await asked;
    const left = `SELECT pg_terminate_backend(pid) FROM (${seen}) AS asking`; // the server sleeps on
    await eventually('its end', async () => (await prisma().$queryRawUnsafe<object[]>(left)).length === 0);
    await store.close();
    await proxy.close();
    expect(isStoreFailure(failure)).toBe(true);
  });

  it('that cannot be reached any more has its worker stop by itself, before another may take over', async () => {
    const url = new URL(scene.engine.storeUrl);
    const proxy = await tcpProxy({ host: url.hostname, port: Number(url.port) });
    url.port = String(proxy.port);
    const store = await openStore(url.href);
    const runId = await scene.queue(FILES, { throttle: SLOW });
    const work = scene.engine.work(runId, undefined, { store });
    await until(scene.engine, runId, ({ progress }) => progress.rowsDone > 0);
    proxy.refuses = true;
    proxy.cut();
    await work.catch(() => undefined);
    const [left] = await scene.database.run('SELECT count(*)::int AS n FROM event WHERE old');
    expect(left?.['n']).toBeGreaterThan(0);
    expect((await requireRun(scene.engine.deps.store, runId)).state).toBe('RUNNING');
    await store.close();
    await proxy.close();
    await hurry(scene.engine, runId);
    expect(await scene.takeOver(runId)).toMatchObject({ state: 'SUCCEEDED' });
    expect(await scene.violations(runId)).toEqual([]);
  });

  it.each([
    ['the list of segments', 'archive_segment', 'INSERT'],
    ['the end of the run', 'run', 'UPDATE'],
  ])('that fails to commit %s has it drawn from the ledger by the next worker', async (_, table, event) => {
    const runId = await scene.queue(FILES);
    const when = table === 'run' ? `WHEN (NEW.state = 'SUCCEEDED')` : '';
    await prisma().$executeRawUnsafe(
      `CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'the commit fails'; END $$`,
    );
    await prisma().$executeRawUnsafe(
      `CREATE CONSTRAINT TRIGGER fail AFTER ${event} ON "${table}" DEFERRABLE INITIALLY DEFERRED FOR EACH ROW ${when} EXECUTE FUNCTION fail()`,
    );
    const work = scene.engine.work(runId);
    await untilSeen(scene.database, `SELECT WHERE NOT EXISTS (SELECT FROM event WHERE old)`);
    await rest(500);
    await prisma().$executeRawUnsafe(`DROP TRIGGER fail ON "${table}"`);
    await work;
    const run = await requireRun(scene.engine.deps.store, runId);
    if (run.state !== 'SUCCEEDED') expect(await scene.takeOver(runId)).toMatchObject({ state: 'SUCCEEDED' });
    expect(await scene.violations(runId)).toEqual([]);
  });
});

describe('the clock of a worker', () => {
  it.each([
    ['a year ahead', 365 * 86_400_000],
    ['two hours behind', -2 * 3_600_000],
  ])('that is %s shortens no lease, and loses nothing', async (_, ms) => {
    const clock: Clock = { ...systemClock, now: () => new Date(Date.now() + ms) };
    const runId = await scene.queue(PURGE, { throttle: SLOW });
    const work = scene.engine.work(runId, undefined, { clock });
    await until(scene.engine, runId, ({ progress }) => progress.rowsDone > 0);
    await interruptLost(scene.engine.deps.store);
    expect((await requireRun(scene.engine.deps.store, runId)).state).toBe('RUNNING');
    await hurry(scene.engine, runId);
    expect(await work).toMatchObject({ state: 'SUCCEEDED' });
    expect(await scene.violations(runId)).toEqual([]);
  });
});
