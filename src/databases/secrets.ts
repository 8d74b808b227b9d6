import { readFile, realpath } from 'node:fs/promises';
import { badInput, DeclutterError } from '../errors.ts';
import type { SecretBox } from '../security/secret-box.ts';

/** Where passwords and certificates are read from. */
export interface SecretSources {
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Folders that file: references may lead into. */
  readonly folders: readonly string[];
  /** null: no key is configured, so that no password can be stored. */
  readonly box: SecretBox | null;
}

export const SECRET_FOLDERS: readonly string[] = ['/run/secrets'];

/** Only these: a reference to any variable or file would hand it to whatever server the reference is used for. */
const ENV_REFERENCE = /^env:(DECLUTTER_TARGET_[A-Z0-9_]+)$/;
const FILE_REFERENCE = /^file:(\/[^\0]+)$/;
const MAX_LENGTH = 65_536;

/** @throws BAD_USER_INPUT when the reference leads to what is not meant for targets */
export function checkReference(reference: string, sources: SecretSources): void {
  const path = FILE_REFERENCE.exec(reference)?.[1];
  if (ENV_REFERENCE.test(reference) || (path !== undefined && isInside(path, sources.folders))) return;
  throw badInput(
    `A reference is env:DECLUTTER_TARGET_..._PASSWORD or file:<path> below ${sources.folders.join(', ')}.`,
  );
}

/** @throws PRECONDITION_FAILED when nothing is there */
export async function readReference(reference: string, sources: SecretSources): Promise<string> {
  checkReference(reference, sources);
  const variable = ENV_REFERENCE.exec(reference)?.[1];
  const text = variable === undefined ? await readSecretFile(reference, sources) : sources.env[variable];
  if (text === undefined || text === '') throw missing(reference);
  return text;
}

async function readSecretFile(reference: string, sources: SecretSources): Promise<string> {
  const path = FILE_REFERENCE.exec(reference)?.[1] ?? '';
  try {
    // A link inside the folder may lead out of it; Kubernetes links within it.
    const real = await realpath(path);
    const folders = await Promise.all(sources.folders.map((folder) => realpath(folder).catch(() => folder)));
    if (!isInside(real, folders)) throw missing(reference);
    return (await readFile(real, 'utf8')).slice(0, MAX_LENGTH).replace(/\r?\n$/, '');
  } catch (error) {
    throw error instanceof DeclutterError ? error : missing(reference, error);
  }
}

const isInside = (path: string, folders: readonly string[]): boolean =>
  !path.split('/').includes('..') && folders.some((folder) => path.startsWith(`${folder}/`));

const missing = (reference: string, cause?: unknown) =>
  new DeclutterError(
    'PRECONDITION_FAILED',
    `Nothing can be read at the reference ${reference}.`,
    {},
    { cause },
  );
