import { setFlagsFromString } from 'node:v8';
import { type Parts, openParts, type Setting } from './compose/parts.ts';
import { openWorker } from './compose/worker.ts';
import { type AuditMark, type AuditVerdict, makeAudit } from './store/audit.ts';
import { type Embedded, startEmbedded } from './store/embedded-postgres.ts';
import { migrate, requireMigrated } from './store/migrate.ts';
import { openStore } from './store/open-store.ts';

// The only place where parts are put together. Workers are many and small: what only the API needs (GraphQL, HTTP, OAuth) is
// imported when an API is wanted.

export interface Running {
  /** Finishes what is under way and closes everything, the last opened first. */
  stop(): Promise<void>;
}

/** The API, a worker, and in embedded mode the demo shop as a database to try things on. */
export const composeUp = (setting: Setting): Promise<Running> =>
  running(async (stack) => {
    const parts = await openParts(setting, stack, true);
    const { openApi } = await import('./compose/api.ts');
    const api = await openApi(parts, stack);
    await openWorker(parts, stack);
    const { provideShop } = await import('./compose/demo-shop.ts');
    await provideShop(parts, api.useCases);
    api.setReady();
    announce(parts, api.url);
  });

export const composeApi = (setting: Setting): Promise<Running> =>
  running(async (stack) => {
    const parts = await openParts(setting, stack, false);
    const { openApi } = await import('./compose/api.ts');
    const api = await openApi(parts, stack);
    api.setReady();
    announce(parts, api.url);
  });

export const composeWorker = (setting: Setting): Promise<Running> =>
  running(async (stack) => {
    // Next to nothing of what a worker makes lives on; V8 would still let its heap and what hangs on it grow to twice the size.
    setFlagsFromString('--optimize-for-size');
    const parts = await openParts(setting, stack, false);
    await openWorker(parts, stack);
    parts.log.info('the worker takes runs');
  });

/** Returns the names of the migrations that were missing. */
export async function composeMigration({ config, log }: Setting): Promise<string[]> {
  if (config.store.url !== null) return migrate(config.store.url);
  const embedded = await startEmbedded(config.dataDir, log);
  return migrate(embedded.url).finally(() => embedded.stop());
}

/** Reads the whole audit trail. */
export async function composeAuditCheck(
  { config, log }: Setting,
  seen: AuditMark | undefined,
): Promise<AuditVerdict> {
  await using stack = new AsyncDisposableStack();
  const embedded = config.store.url === null ? await startEmbedded(config.dataDir, log) : null;
  if (embedded) stack.defer(() => embedded.stop());
  const url = config.store.url ?? (embedded as Embedded).url;
  await requireMigrated(url);
  const store = stack.adopt(await openStore(url), (opened) => opened.close());
  return await makeAudit(store).verify(seen); // the store is closed at the end of this function
}

/** What was opened before a failure is closed again. */
async function running(open: (stack: AsyncDisposableStack) => Promise<void>): Promise<Running> {
  await using stack = new AsyncDisposableStack();
  await open(stack);
  const opened = stack.move();
  return { stop: () => opened.disposeAsync() };
}

function announce({ log }: Parts, url: string): void {
  log.info({ url }, 'the API answers');
  process.stdout.write(`Declutter answers at ${url}/graphql (in a browser: the playground).\n`);
}
