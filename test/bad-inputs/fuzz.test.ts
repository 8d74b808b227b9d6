import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { buildSchema } from 'graphql';
import type { Client } from '../support/api-server.ts';
import { dumpOf } from './dump.ts';
import { ROW_CANARY } from './prepare.ts';
import { type Random, randomBy } from './random.ts';
import { operationSource, type RandomOperation } from './random-operation.ts';
import { TYPED_CANARY } from './random-value.ts';
import { openScene, type Reply, type Scene } from './scene.ts';

/** `npm run test:fuzz` sends many more. */
const OPERATIONS = Number(process.env['DECLUTTER_TEST_OPERATIONS'] ?? 200);
const AT_ONCE = 6;
/** Another one each time; a failure is repeated by giving the one that it printed. */
const SEED = Number(process.env['DECLUTTER_TEST_SEED'] ?? Date.now() % 1_000_000);
const TIMEOUT_MS = 120_000 + OPERATIONS * 200;
const EVERYBODY: readonly Client[] = ['viewer', 'operator', 'approver', 'admin'];

const SQL_WORDS =
  /SQLSTATE|syntax error at or near|PrismaClient|invocation in|violates [\w-]+ constraint|invalid input syntax|relation "[^"]*" does not exist|duplicate key value|\bat .*\.ts:\d+/;

let scene: Scene;
let random: Random;
beforeAll(async () => {
  scene = await openScene();
  random = randomBy(SEED);
}, 120_000);
afterAll(() => scene.close());

/** What is wrong with an answer; null when nothing. */
function faultOf({ client }: RandomOperation, { status, text, data, errors }: Reply): string | null {
  if (!text.startsWith('{') || (data === null && errors.length === 0)) return 'no answer of GraphQL';
  if (status >= 500 || errors.some(({ extensions }) => extensions['code'] === 'INTERNAL_SERVER_ERROR'))
    return `an unexpected failure ${String(errors[0]?.extensions['errorId'])}`;
  if (SQL_WORDS.test(text)) return 'words of SQL';
  if (text.includes(scene.password)) return 'a password';
  if (text.includes(TYPED_CANARY)) return 'a value that did not fit, or a secret';
  if (['viewer', 'approver'].includes(client) && text.includes(ROW_CANARY)) return 'a row';
  return null;
}

/** How often each code was answered. */
type Tally = Map<string, number>;

async function attempt(operation: RandomOperation, seen: Tally): Promise<string | null> {
  const reply = await scene.ask(operation.client, operation.query, operation.variables);
  const code = reply.errors.length === 0 ? 'OK' : String(reply.errors[0]?.extensions['code']);
  const kind = `${code === 'OK' ? `${operation.kind} ` : ''}${code}`;
  seen.set(kind, (seen.get(kind) ?? 0) + 1);
  scene.answers.length = 0;
  const fault = faultOf(operation, reply);
  return fault && `${fault}: ${JSON.stringify(operation)}\n  ${reply.text.slice(0, 300)}`;
}

/** Sends so many operations of these clients, and expects nothing of them but answers without a fault. */
async function send(count: number, clients: readonly Client[]): Promise<Tally> {
  const { started, second, purge, ownPurge } = scene.known;
  const schema = buildSchema(readFileSync(new URL('../../schema.graphql', import.meta.url), 'utf8'));
  const next = operationSource(schema, random, clients, {
    ids: [started.id, started.run, second.id, purge.id, ownPurge.id],
    hashes: [second.hash, purge.hash],
  });
  const faults: string[] = [];
  const seen: Tally = new Map();
  let done = 0;
  const worker = async () => {
    while (done < count && faults.length < 20) {
      done += 1;
      const fault = await attempt(next(), seen);
      if (fault !== null) faults.push(fault);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
  const tally = [...seen].sort(([, a], [, b]) => b - a).map(([kind, times]) => `${kind} ${times}`);
  process.stdout.write(`seed ${SEED}: ${done} operations of ${clients.join(', ')}: ${tally.join(', ')}\n`);
  expect({ seed: SEED, faults }).toEqual({ seed: SEED, faults: [] });
  return seen;
}

describe('random operations over the whole schema', () => {
  it(
    'change nothing where the caller may change nothing',
    async () => {
      const before = await scene.dump();
      const seen = await send(OPERATIONS / 5, ['viewer']);
      expect(seen.get('mutation OK')).toBeUndefined();
      expect(await scene.dump()).toEqual(before);
    },
    TIMEOUT_MS,
  );

  it(
    'get no unexpected failure, no secret, and no words of SQL, and leave the rows as they were',
    async () => {
      const before = await dumpOf(scene.target.run);
      const seen = await send((OPERATIONS * 4) / 5, EVERYBODY);
      expect(seen.get('query OK')).toBeGreaterThan(OPERATIONS / 50);
      expect(await dumpOf(scene.target.run)).toEqual(before);
    },
    TIMEOUT_MS,
  );

  it('leave a server that answers, and a log without secrets', async () => {
    const { status } = await scene.ask('viewer', '{ databases { name } }');
    expect(status).toBe(200);
    expect(scene.log()).not.toContain(scene.password);
    expect(scene.log()).not.toContain(TYPED_CANARY);
    expect(scene.log()).not.toContain(ROW_CANARY);
  });
});
