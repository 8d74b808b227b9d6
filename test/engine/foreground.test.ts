import { setTimeout as rest } from 'node:timers/promises';
import { randomUUID } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { systemClock } from '../../src/clock.ts';
import { DEFAULT_THROTTLE, type Throttle } from '../../src/domain/run.ts';
import { Foreground } from '../../src/engine/foreground.ts';
import { probeLock, takeFence } from '../../src/target/ledger.ts';
import { ensureLedger } from '../../src/target/ledger-tables.ts';
import { BATCH_SETTINGS, type Session } from '../../src/target/session.ts';
import { eventually } from '../support/eventually.ts';
import { ownServer, type TestDatabase, testDatabase } from '../support/postgres.ts';

const SETTINGS = { ...BATCH_SETTINGS, applicationName: 'declutter/probe' };

let database: TestDatabase;
let batches: Session;
let runId: string;
let foreground: Foreground | null = null;

async function open(from: TestDatabase): Promise<void> {
  database = from;
  batches = await database.session(SETTINGS);
  runId = randomUUID();
  await ensureLedger(batches);
  await takeFence(batches, runId, 'hash', 'worker');
}

async function watched(throttle: Partial<Throttle>): Promise<Foreground> {
  const whole = { ...DEFAULT_THROTTLE, ...throttle };
  foreground = new Foreground(
    () => database.session(SETTINGS),
    runId,
    systemClock,
    () => whole,
  );
  await foreground.start();
  return foreground;
}

afterEach(async () => {
  await foreground?.stop();
  foreground = null;
});

/** A batch, during which others have to wait for so long, and a rest. */
async function workAndRest(watching: Foreground, blocksMs: number): Promise<void> {
  await database.run('SELECT'); // somebody uses the server
  if (blocksMs > 0) await batches.script(`BEGIN; ${probeLock(runId)}`);
  watching.begins(0);
  await rest(blocksMs);
  if (blocksMs > 0) await batches.script('COMMIT');
  await rest(10);
  watching.ends();
  watching.rests(120);
  await rest(130);
}

describe('what others notice of the batches', () => {
  beforeEach(async () => open(await testDatabase()));
  afterEach(() => database.drop());

  it('is believed to be much until it is known, and says so', async () => {
    const watching = await watched({ dutyCycle: 0.2 });
    await workAndRest(watching, 0);
    expect(watching.dutyCycle).toBeLessThan(0.02);
    expect(watching.reason).toMatch(
      /^Learning how much others notice of the batches: working [\d.]+ % of the time instead of 20 %\.$/,
    );
  });

  it('makes the run work less where they wait for a batch', async () => {
    const watching = await watched({ dutyCycle: 0.2 });
    await eventually('enough to judge by', async () => {
      await workAndRest(watching, 40);
      return watching.reason?.startsWith('Learning') !== true;
    });
    expect(watching.reason).toMatch(/ slow .*: working \d[\d.]* % of the time instead of 20 %\.$/);
    expect(watching.dutyCycle).toBeLessThan(0.1);
  });

  it('leaves the run the share that it wants where they may be that slow', async () => {
    const watching = await watched({ dutyCycle: 0.2, maxSlowdown: 1_000_000 });
    await eventually('no reason to work less', async () => {
      await workAndRest(watching, 0);
      return watching.reason === null;
    });
    expect(watching.dutyCycle).toBeGreaterThan(0.18);
  });

  it('tells why it cannot be known, and knows again once it can', async () => {
    const watching = await watched({ dutyCycle: 0.2 });
    await database.run('ALTER TABLE declutter.lane RENAME TO lane_away');
    const reasonBegins = (text: string) =>
      eventually(text, async () => {
        await workAndRest(watching, 0);
        return watching.reason?.startsWith(text) === true;
      });
    await reasonBegins(
      'What others notice cannot be measured (A table, column, index or function is not there',
    );
    expect(watching.dutyCycle).toBe(0.005);
    await database.run('ALTER TABLE declutter.lane_away RENAME TO lane');
    await reasonBegins('Learning');
  });

  it('is not asked for where no rest is wanted: there is not even a session', async () => {
    const watching = await watched({ dutyCycle: 1 });
    await workAndRest(watching, 0);
    expect([watching.dutyCycle, watching.reason, watching.sessions]).toEqual([1, null, []]);
  });

  it('cannot be known once the session that measures is gone, which ends the turn', async () => {
    const watching = await watched({ dutyCycle: 0.2 });
    const [session] = watching.sessions;
    await database.run(`SELECT pg_terminate_backend(${session?.backend.pid})`);
    await eventually('a lost session', () => session?.isLost === true);
    expect(() => watching.dutyCycle).toThrow('The session that measures the database is gone.');
  });
});

it('holds no run back on a server that nobody else uses', async () => {
  const server = await ownServer();
  await open(await server.database());
  const watching = await watched({ dutyCycle: 0.2 });
  await eventually('that what the test itself has done is long ago', async () => {
    watching.rests(200);
    await rest(200);
    return watching.dutyCycle === 0.2;
  });
  expect([watching.dutyCycle, watching.reason]).toEqual([0.2, null]);
  await watching.stop();
  await database.drop();
  await server.stop();
}, 60_000);
