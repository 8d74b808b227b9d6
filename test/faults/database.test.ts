import { setTimeout as rest } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import pg from 'pg';
import { type Clock, systemClock } from '../../src/clock.ts';
import type { EngineDeps } from '../../src/engine/execute-run.ts';
import type { BatchWork, Operation } from '../../src/operations/define-operation.ts';
import { purge } from '../../src/operations/kinds/purge.ts';
import { findArchiveByRun } from '../../src/store/archives.ts';
import { Session } from '../../src/target/session.ts';
import { eventually } from '../support/eventually.ts';
import { hurry } from '../support/engine.ts';
import {
  type FaultScene,
  faultScene,
  FILES,
  ONE_LANE,
  PURGE,
  TABLE,
  through,
} from '../support/fault-scene.ts';
import { type OwnServer, ownServer } from '../support/postgres.ts';
import { tcpProxy } from '../support/tcp-proxy.ts';

/** Long enough to come in between. */
const SLOW = { ...ONE_LANE, dutyCycle: 0.05 };

let scene: FaultScene;
let server: OwnServer | null = null;

afterEach(async () => {
  await scene.close();
  await server?.stop();
  server = null;
});

const OURS = `FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'declutter/%'`;

const batchesOf = async () => {
  const [ledger] = await scene.database.run(`SELECT to_regclass('declutter.batch') IS NOT NULL AS there`);
  if (ledger?.['there'] !== true) return 0;
  return Number((await scene.database.run('SELECT count(*) AS n FROM declutter.batch'))[0]?.['n']);
};

async function untilBatches(wanted: number): Promise<void> {
  await eventually(`${wanted} batches`, async () => (await batchesOf()) >= wanted);
}

/** Disturbs the run after one batch more, so many times. */
async function disturbed(runId: string, disturb: () => Promise<unknown>, times: number): Promise<void> {
  const work = scene.engine.work(runId);
  for (let n = 0; n < times; n += 1) {
    await untilBatches((await batchesOf()) + 1);
    await disturb();
  }
  await hurry(scene.engine, runId);
  expect(await work).toMatchObject({ state: 'SUCCEEDED' });
  expect(await scene.violations(runId)).toEqual([]);
}

describe('sessions of ours', () => {
  beforeEach(async () => {
    scene = await faultScene();
  });

  it.each([
    ['to files', FILES],
    ['to a table', TABLE],
  ])('may be ended again and again while rows are archived %s', async (_, operation) => {
    const runId = await scene.queue(operation, { throttle: SLOW });
    await disturbed(runId, () => scene.database.run(`SELECT pg_terminate_backend(pid) ${OURS}`), 3);
  });

  it('may be cancelled again and again, and the run goes on', async () => {
    const runId = await scene.queue(FILES, { throttle: SLOW });
    await disturbed(runId, () => scene.database.run(`SELECT pg_cancel_backend(pid) ${OURS}`), 6);
  });
});

describe('a table', () => {
  let other: pg.Client;

  beforeEach(async () => {
    scene = await faultScene();
    other = new pg.Client({ connectionString: scene.database.url, application_name: 'payroll' });
    await other.connect();
  });

  const short = () => through(scene.database, scene.database.address.port, 300);
  const lock = (mode: string) => other.query(`BEGIN; LOCK TABLE event IN ${mode} MODE`);
  const locked = { state: 'PAUSED', stateCode: 'LOCKED', stateReason: expect.stringContaining('payroll') };

  it('that is locked pauses the run, which names who holds it, before its first batch or later', async () => {
    const runId = await scene.queue(FILES, { throttle: SLOW });
    await lock('ACCESS EXCLUSIVE');
    expect(await scene.engine.work(runId, undefined, short())).toMatchObject(locked);
    await other.query('COMMIT');
    const work = scene.resume(runId, short());
    await untilBatches(2);
    await lock('ACCESS EXCLUSIVE');
    const run = await work;
    expect(run).toMatchObject(locked);
    const archive = await findArchiveByRun(scene.engine.deps.store, runId);
    expect(archive?.rows).toBe(run.progress.rowsDone);
    await other.end();
    expect(await scene.resume(runId)).toMatchObject({ state: 'SUCCEEDED' });
    expect(await scene.violations(runId)).toEqual([]);
  });

  it('that is locked once all its rows are gone pauses the run as well', async () => {
    const allGone: BatchWork = {
      mode: 'BATCHES',
      overlaps: false,
      hasNext: false,
      prepare: () => Promise.resolve(false),
      pick: () => ({ treat: () => Promise.reject(new Error('There is nothing to treat')) }),
      confirm: () => undefined,
      rewind: () => undefined,
      finish: () => Promise.resolve(),
    };
    const operations = new Map([['PURGE', { ...purge, open: () => Promise.resolve(allGone) } as Operation]]);
    const runId = await scene.queue(PURGE);
    await lock('SHARE');
    expect(await scene.engine.work(runId, undefined, { ...short(), operations })).toMatchObject(locked);
    await other.end();
  });
});

describe('a role', () => {
  const asRole = (): Pick<EngineDeps, 'connect'> => ({
    connect: (_id, settings) =>
      Session.open(
        { ...scene.database.address, user: scene.database.name, password: () => Promise.resolve('first') },
        settings,
      ),
  });

  beforeEach(async () => {
    scene = await faultScene();
    const { name } = scene.database;
    await scene.database.run(
      `CREATE ROLE ${name} LOGIN PASSWORD 'first'; GRANT CREATE ON DATABASE ${name} TO ${name}; GRANT pg_monitor TO ${name};
       GRANT SELECT, DELETE ON event TO ${name}`,
    );
  });

  afterEach(async () => {
    // its own database goes with the scene, and the ledger in it
    await scene.database.run(
      `DROP OWNED BY ${scene.database.name} CASCADE; DROP ROLE ${scene.database.name}`,
    );
  });

  it.each([
    ['may delete no more', 'REVOKE DELETE ON event FROM', 'GRANT DELETE ON event TO', 'RIGHTS'],
    ['gets no connection any more', 'CONNECTION LIMIT 0', 'CONNECTION LIMIT -1', 'RESOURCE'],
    ['has another password', `PASSWORD 'other'`, `PASSWORD 'first'`, 'RIGHTS'],
  ])('that %s pauses its run, and nothing is lost', async (_, take, give, code) => {
    const { name } = scene.database;
    const change = (what: string) =>
      scene.database.run(what.includes('event') ? `${what} ${name}` : `ALTER ROLE ${name} ${what}`);
    const runId = await scene.queue(PURGE, { throttle: SLOW });
    const work = scene.engine.work(runId, undefined, asRole());
    await untilBatches(1);
    await change(take);
    await scene.database.run(`SELECT pg_terminate_backend(pid) ${OURS}`);
    expect(await work).toMatchObject({ state: 'PAUSED', stateCode: code });
    await change(give);
    expect(await scene.resume(runId, asRole())).toMatchObject({ state: 'SUCCEEDED' });
    expect(await scene.violations(runId)).toEqual([]);
  });
});

describe('a database that cannot be reached', () => {
  it('is tried for two minutes; then the run pauses, and goes on when somebody resumes it', async () => {
    scene = await faultScene({ times: { leaseMs: 60_000, heartbeatMs: 500 } });
    const { ip, port } = scene.database.address;
    const proxy = await tcpProxy({ host: ip, port });
    const reached = through(scene.database, proxy.port);
    const runId = await scene.queue(FILES, { throttle: SLOW });
    const work = scene.engine.work(runId, undefined, { ...reached, clock: hurried(60) });
    await untilBatches(1);
    proxy.refuses = true;
    proxy.cut();
    expect(await work).toMatchObject({ state: 'PAUSED', stateCode: 'UNREACHABLE' });
    proxy.refuses = false;
    expect(await scene.resume(runId, reached)).toMatchObject({ state: 'SUCCEEDED' });
    expect(await scene.violations(runId)).toEqual([]);
    await proxy.close();
  });
});

/** A clock on which so many seconds pass in one. */
const hurried = (factor: number): Clock => ({
  ...systemClock,
  monotonicMs: () => systemClock.monotonicMs() * factor,
  sleep: (ms, signal) => systemClock.sleep(ms / factor, signal),
});

describe('a server', () => {
  async function onServer(settings: Record<string, string>): Promise<OwnServer> {
    server = await ownServer(settings);
    const database = await server.database();
    scene = await faultScene({ database, times: { leaseMs: 20_000, heartbeatMs: 500 } });
    return server;
  }

  it('that is restarted as by a crash, and one of whose backends is killed, loses nothing', async () => {
    const { restart } = await onServer({ synchronous_commit: 'on' });
    const runId = await scene.queue(FILES, { throttle: SLOW });
    const work = scene.engine.work(runId);
    await untilBatches(1);
    await restart();
    await untilBatches((await batchesOf()) + 1);
    const [backend] = await scene.database.run(`SELECT pid ${OURS} AND application_name NOT LIKE '%/watch'`);
    process.kill(Number(backend?.['pid']), 'SIGKILL');
    await hurry(scene.engine, runId);
    expect(await work).toMatchObject({ state: 'SUCCEEDED' });
    expect(await scene.violations(runId)).toEqual([]);
  });

  it('that is set read-only pauses the run, which can be resumed later', async () => {
    await onServer({ synchronous_commit: 'on' });
    const runId = await scene.queue(FILES, { throttle: SLOW });
    const work = scene.engine.work(runId);
    await untilBatches(1);
    await scene.database.run('ALTER SYSTEM SET default_transaction_read_only = on');
    await scene.database.run('SELECT pg_reload_conf()');
    expect(await work).toMatchObject({ state: 'PAUSED', stateCode: 'READ_ONLY' });
    await scene.database.run('ALTER SYSTEM RESET default_transaction_read_only');
    await scene.database.run('SELECT pg_reload_conf()');
    await rest(200);
    expect(await scene.resume(runId)).toMatchObject({ state: 'SUCCEEDED' });
    expect(await scene.violations(runId)).toEqual([]);
  });

  it('that has forgotten the last commits, as a standby that was behind has, has their rows again, once', async () => {
    const { restart } = await onServer({
      synchronous_commit: 'off',
      wal_writer_delay: '10s',
      wal_writer_flush_after: '1GB',
      bgwriter_lru_maxpages: '0',
    });
    const runId = await scene.queue(FILES, { throttle: SLOW });
    await scene.turn(runId, { failpoints: 'batch.committed=kill@2' });
    await scene.database.run('CHECKPOINT');
    const work = scene.takeOver(runId);
    await untilBatches(5);
    await restart();
    expect(await batchesOf()).toBeLessThan(5);
    await hurry(scene.engine, runId);
    expect(await work).toMatchObject({ state: 'SUCCEEDED' });
    expect(await scene.violations(runId)).toEqual([]);
  });
});
