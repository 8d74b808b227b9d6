import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Environment, loadConfig } from '../config.ts';
import type { Credentials } from '../cli/client/access-token.ts';
import { runDemo } from '../demo/run-demo.ts';
import { makeLog } from '../log.ts';
import type { Embedded } from '../store/embedded-postgres.ts';
import { type Api, openApi } from './api.ts';
import { makeShop } from './demo-shop.ts';
import { openParts } from './parts.ts';
import { openWorker } from './worker.ts';

/**
 * Plays the main job through the API of a server of its own, in a folder that is removed afterwards: whatever else runs on this
 * machine is left alone. true when every check held.
 */
export async function composeDemo(
  env: Environment,
  stack: AsyncDisposableStack,
  print: (line: string) => void,
): Promise<boolean> {
  const folder = await mkdtemp(join(tmpdir(), 'declutter-demo-'));
  stack.defer(() => rm(folder, { recursive: true, force: true }));
  const config = loadConfig({
    DECLUTTER_LOG_LEVEL: env['DECLUTTER_LOG_LEVEL'] || 'warn',
    DECLUTTER_DATA_DIR: folder,
    DECLUTTER_PORT: '0',
  });
  const log = makeLog(config.logLevel);
  print('Starting PostgreSQL and the API ...');
  const parts = await openParts({ config, env, log }, stack, true);
  const api = await openApi(parts, stack);
  await openWorker(parts, stack);
  api.setReady();
  print('Making a cluttered shop of about a million rows ...');
  const shop = await makeShop(parts, parts.embedded as Embedded);
  return runDemo({
    url: api.url,
    credentials: (person) => credentialsOf(api, person),
    shop,
    print,
  });
}

function credentialsOf({ issuer }: Api, person: string): Credentials {
  const client = issuer?.clients.find(({ id }) => id === person);
  if (!client) throw new TypeError(`The embedded issuer has no client ${person}.`);
  return { clientId: client.id, clientSecret: client.secret };
}
