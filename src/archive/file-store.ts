import { constants } from 'node:fs';
import {
  access,
  type FileHandle,
  lstat,
  mkdir,
  open,
  readdir,
  rename,
  statfs,
  unlink,
} from 'node:fs/promises';
import path from 'node:path';
import { Stop } from '../domain/stop.ts';
import { failpoint } from '../failpoint.ts';
import type { ArchiveStore, StoredFile } from './archive-store.ts';
import { otherStore } from './store-id.ts';

/** A folder that keeps segments. */
export interface FileStore extends ArchiveStore {
  readonly kind: 'FILES';
  /** absolute */
  readonly root: string;
  /** what the file .declutter-store-id has to say there; nothing is done in a folder where it does not */
  readonly id: string;
}

type Folder = Pick<FileStore, 'root' | 'id'>;

export function makeFileStore(name: string, root: string, id: string): FileStore {
  const folder = { root, id };
  return {
    name,
    kind: 'FILES',
    ...folder,
    trouble: () => troubleOf(folder),
    create: (location, bytes) => writeFile(folder, location, bytes),
    open: (location) => openWhole(folder, location),
    replace: (location, text) => replaceFile(folder, location, text),
    list: (runId) => filesOf(folder, runId),
    move: async (from, to) => {
      await requireSame(folder);
      await guarded(() => mkdir(path.dirname(path.join(root, to)), { recursive: true, mode: 0o700 }));
      await renameFile(folder, from, to);
    },
    remove: (location) => removeFile(folder, location),
    freeBytes: async () => {
      await requireSame(folder);
      const { bavail, bsize } = await guarded(() => statfs(root));
      return bavail * bsize;
    },
  };
}

export const isFileStore = (store: ArchiveStore): store is FileStore => store.kind === 'FILES';

async function troubleOf({ root, id }: Folder): Promise<string | null> {
  return access(root, constants.W_OK | constants.X_OK).then(
    () => otherStore(root, id),
    (error: unknown) => `The folder of the store cannot be written to (${codeOf(error)}).`,
  );
}

/** An empty mount would take new segments, and hide the old ones: what is not there would count as removed. */
async function requireSame({ root, id }: Folder): Promise<void> {
  const trouble = await otherStore(root, id);
  if (trouble !== null) throw new Stop('ARCHIVE_STORE', trouble);
}

/** Creates a new file that must not exist yet, and makes its name durable. */
export async function createFile(store: Folder, location: string): Promise<FileHandle> {
  const file = path.join(store.root, location);
  await requireSame(store);
  await guarded(() => mkdir(path.dirname(file), { recursive: true, mode: 0o700 }));
  const flags = constants.O_CREAT | constants.O_EXCL | constants.O_RDWR | constants.O_NOFOLLOW;
  const handle = await guarded(() => open(file, flags, 0o600));
  try {
    await syncFolder(path.dirname(file));
    await syncFolder(store.root);
  } catch (error) {
    await handle.close();
    throw error;
  }
  return handle;
}

async function writeFile(store: Folder, location: string, bytes: Buffer): Promise<void> {
  const handle = await createFile(store, location);
  await thenClose(handle, async () => {
    await handle.writeFile(bytes);
    await handle.sync();
  });
}

/** A folder is made durable too, and what its disk says then counts as much as with a file. */
const thenClose = (handle: FileHandle, work: () => Promise<void>): Promise<void> =>
  guarded(async () => {
    try {
      await work();
    } finally {
      await handle.close();
    }
  });

async function openWhole(store: Folder, location: string): Promise<StoredFile> {
  const handle = await openFile(store, location);
  const { size } = await guarded(() => handle.stat());
  return {
    size,
    read: (into, offset, length, position) => guarded(() => handle.read(into, offset, length, position)),
    close: () => handle.close(),
  };
}

export async function openFile(store: Folder, location: string): Promise<FileHandle> {
  await requireSame(store);
  return guarded(() => open(path.join(store.root, location), constants.O_RDONLY | constants.O_NOFOLLOW));
}

/** Never over another file: what has a final name holds rows that are nowhere else. */
export async function renameFile(store: Folder, from: string, to: string): Promise<void> {
  await requireSame(store);
  if (await fileExists(store, to)) {
    throw new Stop(
      'ARCHIVE_STORE',
      `The archive store has a file ${to} already. Look at it, then resume the run.`,
    );
  }
  await guarded(() => rename(path.join(store.root, from), path.join(store.root, to)));
  await syncFolder(path.join(store.root, path.dirname(to)));
}

async function removeFile(store: Folder, location: string): Promise<void> {
  await requireSame(store);
  const file = path.join(store.root, location);
  await guarded(async () => {
    try {
      await unlink(file);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    }
  });
  if (await folderExists(path.dirname(file))) await syncFolder(path.dirname(file));
}

const folderExists = (folder: string): Promise<boolean> =>
  lstat(folder).then(
    (status) => status.isDirectory(),
    () => false,
  );

export async function fileExists(store: Folder, location: string): Promise<boolean> {
  return lstat(path.join(store.root, location)).then(
    (status) => status.isFile(),
    () => false,
  );
}

/** The old one stays until the new one is durable. */
async function replaceFile(store: Folder, location: string, text: string): Promise<void> {
  await requireSame(store);
  await guarded(() => mkdir(path.dirname(path.join(store.root, location)), { recursive: true, mode: 0o700 }));
  const temporary = `${location}.${process.pid}.new`;
  const handle = await guarded(() => open(path.join(store.root, temporary), 'w', 0o600));
  await thenClose(handle, async () => {
    await handle.writeFile(text);
    await handle.sync();
  });
  failpoint('manifest.written');
  await guarded(() => rename(path.join(store.root, temporary), path.join(store.root, location)));
  await syncFolder(path.dirname(path.join(store.root, location)));
}

async function filesOf(store: Folder, runId: string): Promise<string[]> {
  await requireSame(store);
  try {
    return (await readdir(path.join(store.root, runId))).map((name) => `${runId}/${name}`);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw storeFailure(error);
  }
}

async function syncFolder(folder: string): Promise<void> {
  const handle = await guarded(() => open(folder, constants.O_RDONLY | constants.O_DIRECTORY));
  await thenClose(handle, () => handle.sync());
}

const NO_ROOM = new Set(['ENOSPC', 'EDQUOT', 'EFBIG']);

/** What a failing store means for a run: it pauses, nothing is committed, and it can be resumed once there is room. */
function storeFailure(error: unknown): Error {
  if (error instanceof Stop) return error;
  const code = codeOf(error);
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

const codeOf = (error: unknown): string => (error as NodeJS.ErrnoException | null)?.code ?? 'unknown';

export async function guarded<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw storeFailure(error);
  }
}
