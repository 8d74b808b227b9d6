import { apiClient } from '../cli/client/api-client.ts';
import { ApiError } from '../cli/client/api-error.ts';
import type { Credentials } from '../cli/client/access-token.ts';
import { duration } from '../cli/client/format.ts';
import { archiveCarts } from './archive-carts.ts';
import { archiveEvents, restoreSample } from './archive-events.ts';
import { type Checks, makeChecks } from './checks.ts';
import { compare, tablesNow } from './compare.ts';
import { openShop, type ShopLogin } from './fill-shop.ts';
import { lookAround } from './look-around.ts';
import { purgeSessions } from './purge-sessions.ts';
import { reorganise } from './reorganise.ts';
import type { Stage } from './stage.ts';
import { timeQueries } from './typical-queries.ts';

export type Person = keyof Stage['as'];

export interface DemoSetting {
  /** Where the API is. */
  readonly url: string;
  readonly credentials: (person: Person) => Credentials;
  /** A shop that fillShop has made. */
  readonly shop: ShopLogin;
  readonly print: (line: string) => void;
}

/** Plays the main job on the shop through the public API, checking every figure. true when all of them held. */
export async function runDemo({ url, credentials, shop: login, print }: DemoSetting): Promise<boolean> {
  const started = performance.now();
  const as = (person: Person) => apiClient({ url, credentials: credentials(person) });
  const shop = await openShop(login);
  const checks = makeChecks(print);
  try {
    const people = {
      admin: as('admin'),
      operator: as('operator'),
      approver: as('approver'),
      viewer: as('viewer'),
    };
    await play({ as: people, shop, checks, print, database: login.database }, login);
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    checks.holds(`nothing is refused that should be done: ${error.code}: ${error.message}`, false);
  } finally {
    await shop.close();
  }
  print(`\n${verdict(checks)} ${duration((performance.now() - started) / 1000)}.`);
  return checks.wrong().length === 0;
}

function verdict(checks: Checks): string {
  const wrong = checks.wrong();
  if (wrong.length === 0) return `All ${checks.made()} checks held, in`;
  const lines = wrong.map((line) => `  ✗ ${line}`).join('\n');
  return `${wrong.length} of ${checks.made()} checks failed:\n${lines}\nafter`;
}

async function play(stage: Stage, login: ShopLogin): Promise<void> {
  const now = new Date().toISOString();
  const chapter = (title: string) => stage.print(`\n${title}\n`);
  chapter('1. What clutters the shop?');
  // First of all, so that the indexes that queries need have been used when unused ones are looked for.
  const queries = await timeQueries(stage.shop, now);
  const findings = await lookAround(stage, login);
  const before = { queries, tables: await tablesNow(stage) };
  chapter('2. Archive events of more than a year ago to files');
  const events = await archiveEvents(stage);
  chapter('3. Purge expired sessions: production, so somebody else must agree');
  await purgeSessions(stage);
  chapter('4. Archive abandoned carts to a table');
  await archiveCarts(stage);
  chapter('5. Put the tables in order: dead rows, free space, indexes, statistics');
  await reorganise(stage, findings);
  chapter('6. Bring a month of events back from the archive');
  await restoreSample(stage, events);
  chapter('7. Before and after');
  const after = { queries: await timeQueries(stage.shop, now), tables: await tablesNow(stage) };
  compare(stage, before, after);
}
