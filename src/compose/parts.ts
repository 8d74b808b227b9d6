import { mkdir } from 'node:fs/promises';
import { type ArchiveKeys, makeArchiveKeys } from '../archive/archive-keys.ts';
import type { ArchiveStore } from '../archive/archive-store.ts';
import { makeFileStore } from '../archive/file-store.ts';
import { ensureStoreId } from '../archive/store-id.ts';
import { type Clock, systemClock } from '../clock.ts';
import type { Config, Environment } from '../config.ts';
import { type Connect, type ConnectDeps, makeConnect } from '../databases/connect.ts';
import { SECRET_FOLDERS } from '../databases/secrets.ts';
import type { Log } from '../log.ts';
import { makeSecretBox, type SecretBox } from '../security/secret-box.ts';
import { type Embedded, startEmbedded } from '../store/embedded-postgres.ts';
import { fileStoreId } from '../store/file-stores.ts';
import { migrate, requireMigrated } from '../store/migrate.ts';
import { openStore, type Store } from '../store/open-store.ts';
import { openQueue, type Queue } from '../store/queue.ts';
import { secretOf } from '../store/secret-file.ts';

/** What a process is told at its start. */
export interface Setting {
  readonly config: Config;
  readonly env: Environment;
  readonly log: Log;
}

/** What the API and a worker both stand on. */
export interface Parts extends Setting {
  readonly clock: Clock;
  readonly store: Store;
  readonly queue: Queue;
  /** null: DATABASE_URL names the control store. */
  readonly embedded: Embedded | null;
  readonly connectDeps: ConnectDeps;
  readonly connect: Connect;
  readonly archiveStores: ReadonlyMap<string, ArchiveStore>;
  readonly archiveKeys: ArchiveKeys;
}

/** Opens them in order; the stack closes them in reverse. Migrations are applied unless that is left to `migrate`. */
export async function openParts(
  setting: Setting,
  stack: AsyncDisposableStack,
  mayMigrate: boolean,
): Promise<Parts> {
  const { config, log } = setting;
  const embedded = config.store.url === null ? await startEmbedded(config.dataDir, log) : null;
  if (embedded) stack.defer(() => embedded.stop());
  const url = config.store.url ?? (embedded as Embedded).url;
  await bringUpToDate(url, mayMigrate || embedded !== null, log);
  const store = stack.adopt(await openStore(url), (opened) => opened.close());
  const queue = stack.adopt(await openQueue(url, log), (opened) => opened.stop());
  const connectDeps: ConnectDeps = {
    store,
    policy: { hosts: config.targetHosts, embedded },
    secrets: { env: setting.env, folders: SECRET_FOLDERS, box: await secretBox(config) },
  };
  return {
    ...setting,
    clock: systemClock,
    store,
    queue,
    embedded,
    connectDeps,
    connect: makeConnect(connectDeps),
    archiveStores: await archiveStores(config, store, stack),
    archiveKeys: makeArchiveKeys(config.archiveKeys),
  };
}

async function bringUpToDate(url: string, mayMigrate: boolean, log: Log): Promise<void> {
  if (!mayMigrate) return requireMigrated(url);
  const applied = await migrate(url);
  if (applied.length > 0) log.info({ applied }, 'the control store has been migrated');
}

/** In embedded mode the key is made once and kept beside the data; elsewhere several machines must be given the same one. */
async function secretBox({ secretKey, store, dataDir }: Config): Promise<SecretBox | null> {
  const key = secretKey ?? (store.url === null ? await secretOf(dataDir, 'secret-key') : null);
  return key === null ? null : makeSecretBox(key);
}

async function archiveStores(
  { archiveDir, s3 }: Config,
  store: Store,
  stack: AsyncDisposableStack,
): Promise<ReadonlyMap<string, ArchiveStore>> {
  await mkdir(archiveDir, { recursive: true, mode: 0o700 });
  const id = await fileStoreId(store, 'local', () => ensureStoreId(archiveDir));
  const stores: ArchiveStore[] = [makeFileStore('local', archiveDir, id)];
  if (s3 !== null) {
    // The SDK takes its time to load and its memory: only who has a bucket pays for it.
    const { makeS3Store } = await import('../archive/s3-store.ts');
    stores.push(stack.adopt(makeS3Store('s3', s3), (store) => store.close()));
  }
  return new Map(stores.map((store) => [store.name, store]));
}
