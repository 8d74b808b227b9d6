import { readFile, writeFile } from 'node:fs/promises';
import { ApiError } from './api-error.ts';
import type { FindingKind, Severity } from './generated/api.ts';
import { type GateFinding, isSeverity, subjectOf } from './gate.ts';

/** A finding that is known and put up with, as the file has it. The id decides; the rest is for people. */
export interface KnownFinding {
  readonly id: string;
  readonly database: string;
  readonly kind: FindingKind;
  readonly severity: Severity;
  readonly subject: string;
}

const VERSION = 1;

/** @throws ApiError when the file is not there, or not a baseline */
export async function readBaseline(path: string): Promise<KnownFinding[]> {
  return parsed(path, await textOf(path));
}

/** What the file has about databases that were not looked at stays. */
export async function writeBaseline(
  path: string,
  databases: readonly string[],
  findings: readonly GateFinding[],
): Promise<void> {
  const before = await readFile(path, 'utf8').catch(() => null); // the first time there is none
  const kept = (before === null ? [] : parsed(path, before)).filter(
    ({ database }) => !databases.includes(database),
  );
  const known = [...kept, ...findings.map(knownOf)].sort(inOrder);
  await writeFile(path, `${JSON.stringify({ version: VERSION, findings: known }, null, 2)}\n`);
}

const knownOf = (finding: GateFinding): KnownFinding => ({
  id: finding.id,
  database: finding.database,
  kind: finding.kind,
  severity: finding.severity,
  subject: subjectOf(finding),
});

const sortKey = ({ database, kind, subject, id }: KnownFinding) => [database, kind, subject, id].join('\0');

/** By code units: the same order on every machine, so that a change of the file shows what has changed. */
const inOrder = (a: KnownFinding, b: KnownFinding) => (sortKey(a) < sortKey(b) ? -1 : 1);

async function textOf(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (cause) {
    throw notRead(`The baseline ${path} cannot be read; --write-baseline makes one.`, cause);
  }
}

function parsed(path: string, text: string): KnownFinding[] {
  let file: unknown;
  try {
    file = JSON.parse(text);
  } catch (cause) {
    throw notRead(`The baseline ${path} is not JSON.`, cause);
  }
  const { version, findings } = (file ?? {}) as { version?: unknown; findings?: unknown };
  if (version !== VERSION || !Array.isArray(findings) || !findings.every(isKnown))
    throw notRead(`${path} is not a baseline of version ${VERSION}.`);
  return findings;
}

function isKnown(entry: unknown): entry is KnownFinding {
  const { id, database, severity } = (entry ?? {}) as Partial<Record<keyof KnownFinding, unknown>>;
  return typeof id === 'string' && typeof database === 'string' && isSeverity(severity);
}

const notRead = (message: string, cause?: unknown) =>
  new ApiError('BAD_USER_INPUT', message, null, null, cause);
