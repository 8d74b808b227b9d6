import { randomUUID } from 'node:crypto';
import { constants } from 'node:fs';
import { link, open, readFile, rm } from 'node:fs/promises';
import path from 'node:path';

/** Says which store a folder is: an empty mount, or the folder of somebody else, has none or another one. */
export const STORE_ID_FILE = '.declutter-store-id';

/** What is wrong with the folder, in words; null when it is the store of that id. */
export async function otherStore(root: string, id: string): Promise<string | null> {
  const seen = await readFile(path.join(root, STORE_ID_FILE), 'utf8').catch((error: unknown) => ({ error }));
  if (typeof seen === 'string' && seen.trim() === id) return null;
  const what =
    typeof seen === 'string'
      ? 'names another store'
      : `cannot be read (${(seen.error as NodeJS.ErrnoException).code ?? 'unknown'})`;
  return `The folder of the store is not the one that it was: its file ${STORE_ID_FILE} ${what}. Mount the right folder; or, once all that was archived is in this one, write ${id} to that file.`;
}

/** The id that the folder has, or gets now: of several processes one writes it. */
export async function ensureStoreId(root: string): Promise<string> {
  const file = path.join(root, STORE_ID_FILE);
  const temporary = `${file}.${randomUUID()}`;
  try {
    await writeDurably(temporary, `${randomUUID()}\n`);
    await link(temporary, file);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  } finally {
    await rm(temporary, { force: true });
  }
  // Also where another process has made the link: it may not have come so far.
  await syncFolder(root);
  return (await readFile(file, 'utf8')).trim();
}

async function writeDurably(file: string, text: string): Promise<void> {
  const handle = await open(file, 'wx', 0o600);
  try {
    await handle.writeFile(text);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
