import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { makeAnalysisUseCases } from '../../src/analysis/analysis-use-cases.ts';
import { systemClock } from '../../src/clock.ts';
import { makeConnect } from '../../src/databases/connect.ts';
import { makeLog } from '../../src/log.ts';
import type { Rounds } from '../../src/schedule/rounds.ts';
import { startSnapshotRounds } from '../../src/schedule/snapshot-rounds.ts';
import { listDatabases } from '../../src/store/databases.ts';
import { openStore, type Store } from '../../src/store/open-store.ts';
import { takeSnapshotTurn } from '../../src/store/snapshot-turns.ts';
import { readIdentity } from '../../src/target/identity.ts';
import { type TestDatabase, testDatabase, testStore } from '../support/postgres.ts';
import { registerRow } from '../support/registered.ts';

const HOUR = 3_600_000;

type TestStore = Awaited<ReturnType<typeof testStore>>;

async function until(condition: () => Promise<boolean>): Promise<void> {
  while (!(await condition())) await sleep(50);
}

describe('rounds of snapshots', () => {
  let control: TestStore;
  let targets: TestDatabase[];
  const rounds: Rounds[] = [];
  const ids: Record<string, string> = {};

  beforeAll(async () => {
    [control, ...targets] = await Promise.all([testStore(), testDatabase(), testDatabase()]);
    for (const [i, target] of targets.entries()) {
      await target.run('CREATE TABLE a AS SELECT g AS id FROM generate_series(1, 100) g');
      ids[`shop_${i + 1}`] = await register(`shop_${i + 1}`, target);
    }
    ids['dead'] = await registerRow(control.store, 'dead');
  });
  afterEach(async () => {
    await Promise.all(rounds.splice(0).map((round) => round.stop()));
  });
  afterAll(async () => {
    for (const target of targets) await target.drop();
    await control.close();
  });

  async function register(name: string, target: TestDatabase): Promise<string> {
    const session = await target.session();
    const { systemIdentifier, databaseOid } = await readIdentity(session);
    await session.close();
    const { host, port, user } = target.address;
    const address = { host, port, user, database: target.name, passwordRef: 'env:DECLUTTER_TARGET_PASSWORD' };
    return registerRow(control.store, name, {
      ...address,
      systemIdentifier,
      databaseOid: BigInt(databaseOid),
    });
  }

  /** A worker process of its own, as far as the control store can tell. */
  async function startRounds(store: Store, taken: string[]): Promise<void> {
    const { host, port, password } = targets[0]!.address;
    const connect = makeConnect({
      store,
      policy: { hosts: ['127.0.0.1'], embedded: { host, port } },
      secrets: { env: { DECLUTTER_TARGET_PASSWORD: await password() }, folders: [], box: null },
    });
    const deps = { store, connect, clock: systemClock, log: makeLog('silent') };
    const analysis = makeAnalysisUseCases({ ...deps, analyses: [], replicas: async () => [] });
    const takeSnapshot = async (id: string) => {
      taken.push(id);
      await analysis.takeSnapshot(id);
    };
    rounds.push(startSnapshotRounds({ ...deps, everyMs: HOUR, lookMs: 20, takeSnapshot }));
  }

  const due = (hoursAgo: number) =>
    control.store.prisma.database.updateMany({
      data: { snapshotTurnAt: new Date(Date.now() - hoursAgo * HOUR), snapshotRetryAt: null },
    });
  const snapshots = (name: string) =>
    control.store.prisma.snapshot.count({ where: { databaseId: ids[name]! } });

  it('take one of each database at each time, by however many processes, and one that is dead stops none', async () => {
    const others = await Promise.all([openStore(control.url), openStore(control.url)]);
    const taken: string[] = [];
    await due(2);
    for (const store of [control.store, ...others]) await startRounds(store, taken);
    await until(async () => (await snapshots('shop_1')) + (await snapshots('shop_2')) === 2);
    await until(async () =>
      (await listDatabases(control.store)).some(({ unreachable }) => unreachable !== null),
    );
    await sleep(300); // time for a second one, if somebody took it
    await Promise.all(rounds.splice(0).map((round) => round.stop()));
    await Promise.all(others.map((store) => store.close()));
    expect([...taken].sort()).toEqual(Object.values(ids).sort());
    expect([await snapshots('shop_1'), await snapshots('shop_2'), await snapshots('dead')]).toEqual([
      1, 1, 0,
    ]);
    const [dead, ...shops] = await listDatabases(control.store);
    expect(dead).toMatchObject({ name: 'dead', snapshotAt: null, sizeBytes: null });
    expect(dead!.unreachable).toMatch(/does not answer|refuse/i);
    for (const shop of shops) {
      expect(shop).toMatchObject({ unreachable: null, snapshotAt: expect.any(Date) });
      expect(shop.sizeBytes).toBeGreaterThan(1_000_000);
    }
  });

  it('take none before the time has come', async () => {
    await due(0.5);
    expect(await takeSnapshotTurn(control.store, HOUR)).toBeNull();
    expect(await takeSnapshotTurn(control.store, HOUR / 4)).not.toBeNull();
  });

  it('ask a database that gave none again before its next time', async () => {
    const taken: string[] = [];
    await due(0);
    await control.store.prisma.database.update({
      where: { id: ids['dead']! },
      data: { snapshotTurnAt: new Date(Date.now() - 2 * HOUR) },
    });
    await startRounds(control.store, taken);
    const row = () => control.store.prisma.database.findUniqueOrThrow({ where: { id: ids['dead']! } });
    await until(async () => (await row()).snapshotRetryAt !== null);
    const { snapshotRetryAt, snapshotTurnAt } = await row();
    expect(snapshotRetryAt!.getTime() - snapshotTurnAt.getTime()).toBeLessThan(0.25 * HOUR);
    expect(snapshotRetryAt!.getTime()).toBeGreaterThan(Date.now());
    expect(taken).toEqual([ids['dead']]);
  });

  it('are due once a run has ended, but not again and again', async () => {
    await due(0.1);
    const { store } = control;
    const plan = await store.prisma.plan.create({
      data: {
        kind: 'REINDEX',
        state: 'STARTED',
        hash: 'h',
        databaseId: ids['shop_2']!,
        requestedBy: 'ann',
        expiresAt: new Date(),
        needsApproval: false,
        spec: {},
        forecast: {},
      },
    });
    expect(await takeSnapshotTurn(store, HOUR)).toBeNull();
    const run = { planId: plan.id, databaseId: ids['shop_2']!, startedBy: 'ann', throttle: {} };
    await store.prisma.run.create({ data: { ...run, state: 'SUCCEEDED', endedAt: new Date() } });
    expect(await takeSnapshotTurn(store, HOUR)).toMatchObject({ name: 'shop_2' });
    expect(await takeSnapshotTurn(store, HOUR)).toBeNull();
  });
});
