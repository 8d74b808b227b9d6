import { readFile } from 'node:fs/promises';
import { text as textOf } from 'node:stream/consumers';
import { parseDocument, stringify } from 'yaml';
import { ApiError } from './api-error.ts';
import type { PolicyEntry } from './policy-entry.ts';

/** The policies of all these files, in the order of their names; "-" is standard input. @throws ApiError */
export async function readPolicyFiles(paths: readonly string[]): Promise<PolicyEntry[]> {
  const seen = new Map<string, { readonly path: string; readonly entry: PolicyEntry }>();
  for (const path of new Set(paths)) {
    for (const entry of entriesOf(path, await read(path))) {
      const other = seen.get(entry.name);
      if (other !== undefined)
        throw notValid(path, `the policy "${entry.name}" is in ${other.path} already.`);
      seen.set(entry.name, { path, entry });
    }
  }
  return [...seen.values()].map(({ entry }) => entry).sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** As a file that `apply` reads. */
export const policyFile = (entries: readonly PolicyEntry[]): string =>
  stringify({ policies: entries }, { lineWidth: 0, aliasDuplicateObjects: false });

async function read(path: string): Promise<string> {
  try {
    return path === '-' ? await textOf(process.stdin) : await readFile(path, 'utf8');
  } catch (cause) {
    throw notValid(path, 'it cannot be read.', cause);
  }
}

function entriesOf(path: string, text: string): readonly PolicyEntry[] {
  const document = parseDocument(text);
  const [error] = document.errors;
  if (error !== undefined) throw notValid(path, error.message);
  const file = valueOf(path, document);
  if (typeof file !== 'object' || file === null || Object.keys(file).join() !== 'policies')
    throw notValid(path, 'it must have one key, policies, with a list of them.');
  const { policies } = file as { policies: unknown };
  if (!Array.isArray(policies) || !policies.every(isEntry))
    throw notValid(path, 'policies must be a list, and each of them must have a name.');
  return policies;
}

/** Aliases may be asked to grow without end; the library refuses that when the value is made. */
function valueOf(path: string, document: ReturnType<typeof parseDocument>): unknown {
  try {
    return document.toJS();
  } catch (cause) {
    throw notValid(path, 'it has too many aliases.', cause);
  }
}

const isEntry = (entry: unknown): entry is PolicyEntry =>
  typeof entry === 'object' && entry !== null && typeof (entry as { name?: unknown }).name === 'string';

const notValid = (path: string, message: string, cause?: unknown) =>
  new ApiError('BAD_USER_INPUT', `${path}: ${message}`, null, null, cause);
