import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { readCapabilities } from '../../src/target/capabilities.ts';
import { READ_SETTINGS, Session } from '../../src/target/session.ts';
import {
  type FaultScene,
  faultScene,
  FILES,
  PURGE,
  through,
  TWO_LANES,
  until,
} from '../support/fault-scene.ts';
import { type Direction, type TcpProxy, tcpProxy } from '../support/tcp-proxy.ts';

let scene: FaultScene;
let proxy: TcpProxy;

beforeEach(async () => {
  scene = await faultScene();
  const { ip, port } = scene.database.address;
  proxy = await tcpProxy({ host: ip, port });
});

afterEach(async () => {
  await proxy.close();
  await scene.close();
});

const isEntry = (piece: Buffer) => piece.includes('INSERT INTO declutter.batch');

/** From the third entry of the ledger on, everything in these directions is lost on its connection. */
function loseAfterEntry(directions: readonly Direction[]): void {
  const lost = new Set<number>();
  let entries = 0;
  proxy.loses = (direction, piece, connection) => {
    if (direction === 'TO_SERVER' && isEntry(piece) && ++entries === 3) lost.add(connection);
    return lost.has(connection) && directions.includes(direction);
  };
}

async function succeeds(runId: string, statementTimeoutMs = 500): Promise<void> {
  const run = await scene.engine.work(
    runId,
    undefined,
    through(scene.database, proxy.port, statementTimeoutMs),
  );
  expect(run).toMatchObject({ state: 'SUCCEEDED' });
  expect(await scene.violations(runId)).toEqual([]);
}

const fencesOf = async (numbers: string) =>
  (
    await scene.database.run(
      `SELECT fence::int FROM declutter.batch WHERE number IN (${numbers}) ORDER BY number`,
    )
  ).map(({ fence }) => fence);

describe('a commit', () => {
  it('whose answer is lost is seen in the ledger, and the batch is not done again', async () => {
    const runId = await scene.queue(FILES);
    loseAfterEntry(['TO_CLIENT']);
    await succeeds(runId);
    expect(await fencesOf('3, 4')).toEqual([1, 2]);
  });

  it('that never arrives is seen not to have been, and the batch is done again', async () => {
    const runId = await scene.queue(FILES);
    loseAfterEntry(['TO_SERVER', 'TO_CLIENT']);
    await succeeds(runId);
    expect(await fencesOf('2, 3')).toEqual([1, 2]);
  });

  it('whose answer is lost with another batch under way leaves no gap', async () => {
    const runId = await scene.queue(FILES, { throttle: TWO_LANES });
    loseAfterEntry(['TO_CLIENT']);
    await succeeds(runId);
  });
});

describe('a connection pooler', () => {
  it('announces another backend than the one that serves, and is known by that', async () => {
    const announced = Buffer.from([0x4b, 0, 0, 0, 12]); // BackendKeyData: a pid follows
    const isPooled = async () => {
      const settings = { ...READ_SETTINGS, applicationName: 'declutter/test' };
      const session = await Session.open({ ...scene.database.address, port: proxy.port }, settings);
      const capabilities = await session.transaction(() => readCapabilities(session));
      await session.close();
      return capabilities.isPooled;
    };
    expect(await isPooled()).toBe(false);
    proxy.loses = (direction, piece) => {
      const at = direction === 'TO_CLIENT' ? piece.indexOf(announced) : -1;
      if (at >= 0) piece.writeInt32BE(1, at + announced.length);
      return false;
    };
    expect(await isPooled()).toBe(true);
  });
});

describe('a connection', () => {
  it('that dies without a word is given up, and the run goes on by another', async () => {
    const runId = await scene.queue(PURGE);
    const work = scene.engine.work(runId, undefined, through(scene.database, proxy.port, 500));
    await until(scene.engine, runId, ({ progress }) => progress.rowsDone > 0);
    proxy.blackHole();
    expect(await work).toMatchObject({ state: 'SUCCEEDED' });
    expect(await scene.violations(runId)).toEqual([]);
  });

  it('that is cut in the middle of the rows of a batch takes none of them along', async () => {
    const runId = await scene.queue(FILES);
    let copies = 0;
    proxy.loses = (direction, piece) => {
      if (direction === 'TO_SERVER' && piece.includes('COPY (') && ++copies === 3) proxy.cut();
      return false;
    };
    await succeeds(runId);
    expect(copies).toBeGreaterThan(3);
  });

  it('that is slow makes the run slow, and nothing worse', async () => {
    await scene.database.run('DELETE FROM event WHERE id > 1200 AND old');
    await scene.database.run('VACUUM event');
    const runId = await scene.queue(PURGE);
    proxy.slowness = { latencyMs: 60, bytesPerSecond: 100_000 };
    const run = await scene.engine.work(runId, undefined, through(scene.database, proxy.port, 5_000));
    expect(run).toMatchObject({ state: 'SUCCEEDED', result: { rowsDeleted: 600 } });
    const fences = await scene.database.run('SELECT max(fence)::int AS fence FROM declutter.run');
    expect(fences).toEqual([{ fence: 1 }]);
  });
});
