import { randomBytes } from 'node:crypto';
import { link, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/** Where a data folder keeps its secrets; only its owner may look into it. */
export async function secretsFolder(dataDir: string): Promise<string> {
  const folder = join(dataDir, 'secrets');
  await mkdir(dataDir, { recursive: true, mode: 0o711 });
  await mkdir(folder, { recursive: true, mode: 0o700 });
  return folder;
}

/**
 * The 32 random bytes that are kept under that name in the data folder, made the first time. Of several processes that make them at
 * once one wins, and all get the same.
 */
export async function secretOf(dataDir: string, name: string): Promise<Buffer> {
  const file = join(await secretsFolder(dataDir), name);
  return (await read(file)) ?? (await make(file)) ?? readFile(file);
}

async function read(file: string): Promise<Buffer | null> {
  try {
    return await readFile(file);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
}

/** null: another process was quicker. A link appears whole or not at all, and never replaces. */
async function make(file: string): Promise<Buffer | null> {
  const secret = randomBytes(32);
  const draft = `${file}.${randomBytes(6).toString('hex')}`;
  await writeFile(draft, secret, { mode: 0o600, flag: 'wx' });
  try {
    await link(draft, file);
    return secret;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return null;
    throw error;
  } finally {
    await rm(draft);
  }
}
