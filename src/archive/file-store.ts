import { randomUUID } from 'node:crypto';
import { constants } from 'node:fs';
import { type FileHandle, lstat, mkdir, open, readdir, rename } from 'node:fs/promises';
import path from 'node:path';
import { Stop } from '../domain/stop.ts';

/** A folder that keeps segments. All names in it are ours: run ids and numbers, so that no caller can name a path. */
export interface FileStore {
  readonly name: string;
  readonly root: string;
}

/** Where files go that no ledger row speaks of: kept for people to look at, never deleted by a run. */
export const ORPHANS = 'orphans';

/** Creates a new file that must not exist yet, and makes its name durable. */
export async function createFile(store: FileStore, location: string): Promise<FileHandle> {
  const file = path.join(store.root, location);
  await guarded(() => mkdir(path.dirname(file), { recursive: true, mode: 0o700 }));
  const flags = constants.O_CREAT | constants.O_EXCL | constants.O_RDWR | constants.O_NOFOLLOW;
  const handle = await guarded(() => open(file, flags, 0o600));
  await syncFolder(path.dirname(file));
  await syncFolder(store.root);
  return handle;
}

export const openFile = (store: FileStore, location: string): Promise<FileHandle> =>
  guarded(() => open(path.join(store.root, location), constants.O_RDONLY | constants.O_NOFOLLOW));

/** Never over another file: what has a final name holds rows that are nowhere else. */
export async function renameFile(store: FileStore, from: string, to: string): Promise<void> {
  if (await fileExists(store, to)) {
    throw new Stop(
      'ARCHIVE_STORE',
      `The archive store has a file ${to} already. Look at it, then resume the run.`,
    );
  }
  await guarded(() => rename(path.join(store.root, from), path.join(store.root, to)));
  await syncFolder(path.join(store.root, path.dirname(to)));
}

/** Moves everything in the run's folder that the ledger does not know to orphans/. */
export async function moveOrphans(
  store: FileStore,
  runId: string,
  known: ReadonlySet<string>,
): Promise<string[]> {
  const moved: string[] = [];
  for (const name of await filesOf(store, runId)) {
    const location = `${runId}/${name}`;
    if (known.has(location) || name === MANIFEST) continue;
    await guarded(() => mkdir(path.join(store.root, ORPHANS), { recursive: true, mode: 0o700 }));
    await renameFile(store, location, `${ORPHANS}/${runId}-${randomUUID()}-${name}`);
    moved.push(location);
  }
  return moved;
}

export const MANIFEST = 'manifest.json';

export async function fileExists(store: FileStore, location: string): Promise<boolean> {
  return lstat(path.join(store.root, location)).then(
    (status) => status.isFile(),
    () => false,
  );
}

/** Replaces a small file as a whole: the old one stays until the new one is durable. */
export async function replaceFile(store: FileStore, location: string, text: string): Promise<void> {
  await guarded(() => mkdir(path.dirname(path.join(store.root, location)), { recursive: true, mode: 0o700 }));
  const temporary = `${location}.${process.pid}.new`;
  const handle = await guarded(() => open(path.join(store.root, temporary), 'w', 0o600));
  try {
    await handle.writeFile(text);
    await handle.sync();
  } finally {
    await handle.close();
  }
  await guarded(() => rename(path.join(store.root, temporary), path.join(store.root, location)));
  await syncFolder(path.dirname(path.join(store.root, location)));
}

async function filesOf(store: FileStore, runId: string): Promise<string[]> {
  try {
    return await readdir(path.join(store.root, runId));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw storeFailure(error);
  }
}

async function syncFolder(folder: string): Promise<void> {
  const handle = await guarded(() => open(folder, constants.O_RDONLY | constants.O_DIRECTORY));
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

const NO_ROOM = new Set(['ENOSPC', 'EDQUOT', 'EFBIG']);

/** What a failing store means for a run: it pauses, nothing is committed, and it can be resumed once there is room. */
export function storeFailure(error: unknown): Error {
  if (error instanceof Stop) return error;
  const code = (error as NodeJS.ErrnoException | null)?.code ?? 'unknown';
  return NO_ROOM.has(code)
    ? new Stop('RESOURCE', `The archive store is full (${code}). Make room, then resume the run.`, 'PAUSED', {
        cause: error,
      })
    : new Stop(
        'ARCHIVE_STORE',
        `The archive store failed (${code}). Mend it, then resume the run.`,
        'PAUSED',
        { cause: error },
      );
}

export async function guarded<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw storeFailure(error);
  }
}
