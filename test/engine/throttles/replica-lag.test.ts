import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { DEFAULT_THROTTLE } from '../../../src/domain/run.ts';
import type { Objection } from '../../../src/engine/define-throttle.ts';
import { replicaLag } from '../../../src/engine/throttles/replica-lag.ts';
import { READ_SETTINGS, Session } from '../../../src/target/session.ts';
import { eventually } from '../../support/eventually.ts';
import { FakeStandby } from '../../support/fake-standby.ts';
import { type OwnServer, ownServer, type TestDatabase } from '../../support/postgres.ts';

describe('replica lag', () => {
  let server: OwnServer;
  let database: TestDatabase;
  let standby: FakeStandby | null;

  beforeAll(async () => {
    server = await ownServer();
  });

  afterAll(async () => {
    await server.stop();
  });

  beforeEach(async () => {
    database = await server.database();
    await database.run('CREATE TABLE note (text text)');
    standby = null;
  });

  afterEach(async () => {
    await standby?.close();
    await database.drop();
  });

  const objection = (monitor: Session, maxReplicaLagMs: number, maxReplicaLagBytes = 1e9) =>
    replicaLag.objection({
      monitor,
      workerPids: [0],
      throttle: { ...DEFAULT_THROTTLE, maxReplicaLagMs, maxReplicaLagBytes },
      tables: [],
      now: new Date(),
      archiveFreeBytes: () => Promise.resolve(null),
    });

  it('does not object where there is no standby', async () => {
    expect(await objection(await database.session(), 0)).toBeNull();
  });

  it('objects while a standby is further behind than allowed', async () => {
    const monitor = await database.session();
    standby = await FakeStandby.start(database.url);
    const received = standby.received();
    await database.run(`INSERT INTO note VALUES ('new')`);
    await received;
    await new Promise((resolve) => setTimeout(resolve, 50)); // this is the lag
    standby.apply();
    let found: Objection | null = null;
    await eventually('lag', async () => (found = await objection(monitor, 10)) !== null);
    expect(found).toMatch(/^A standby lags \d+ ms behind; at most 10 ms are allowed\.$/);
    expect(await objection(monitor, 60_000)).toBeNull();
  });

  it('objects while a standby lacks more WAL than allowed', async () => {
    const monitor = await database.session();
    standby = await FakeStandby.start(database.url);
    const received = standby.received();
    await database.run(`INSERT INTO note SELECT repeat('x', 1000) FROM generate_series(1, 100)`);
    await received;
    standby.apply();
    const told = 'SELECT FROM pg_stat_replication WHERE replay_lsn IS NOT NULL';
    await eventually('a standby that tells', async () => (await database.run(told)).length > 0);
    await database.run(`INSERT INTO note SELECT repeat('x', 1000) FROM generate_series(1, 100)`);
    let found: Objection | null = null; // the server writes its WAL a little later
    await eventually('lag', async () => (found = await objection(monitor, 86_400_000, 50_000)) !== null);
    expect(found).toMatch(/^A standby lags \d+ bytes of WAL behind; at most 50000 are allowed\.$/);
    expect(await objection(monitor, 86_400_000)).toBeNull();
  });

  it('objects to a standby whose lag the role may not see', async () => {
    await database.run(`CREATE ROLE blind LOGIN PASSWORD 'secret'`);
    const address = { ...database.address, user: 'blind', password: () => Promise.resolve('secret') };
    const blind = await Session.open(address, { ...READ_SETTINGS, applicationName: 'declutter/test' });
    expect(await objection(blind, 60_000)).toBeNull();
    standby = await FakeStandby.start(database.url);
    expect(await objection(blind, 60_000)).toMatch(/GRANT pg_monitor/);
    await blind.close();
  });
});
