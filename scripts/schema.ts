import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { CriticalityLevel, diff, DiffRule } from '@graphql-inspector/core';
import { buildSchema, lexicographicSortSchema, printSchema } from 'graphql';
import { buildApiSchema } from '../src/graphql/schema.ts';

// schema.graphql is printed from the built schema: what people and programs read is what is served.
//   node scripts/schema.ts          writes the file
//   node scripts/schema.ts check    fails when the file is not current, or breaks those who use the API

const FILE = new URL('../schema.graphql', import.meta.url);
const CHANGELOG = new URL('../CHANGELOG.md', import.meta.url);

const printed = `${printSchema(lexicographicSortSchema(buildApiSchema()))}\n`;
if (process.argv[2] === 'check') await check();
else writeFileSync(FILE, printed);

async function check(): Promise<void> {
  if (readFileSync(FILE, 'utf8') !== printed)
    fail('schema.graphql is not what is served; run: npm run schema');
  const announced = pendingChanges();
  for (const before of earlierSchemas()) {
    for (const { path, message } of await breakingChanges(before)) {
      if (path !== undefined && announced.includes(`\`${path}\``)) continue;
      fail(`Breaking: ${message} (${path ?? 'schema'}). Deprecate it first, or announce it in CHANGELOG.md.`);
    }
  }
}

/** What is deprecated may go; everything else that callers rely on stays. */
async function breakingChanges(before: string) {
  const changes = await diff(buildSchema(before), buildSchema(printed), [
    DiffRule.suppressRemovalOfDeprecatedField,
  ]);
  return changes.filter((change) => change.criticality.level === CriticalityLevel.Breaking);
}

/** As of the last release; before the first one, as of the last two commits. */
function earlierSchemas(): string[] {
  const release = git('describe', '--tags', '--abbrev=0', '--match', 'v*');
  const commits = release === null ? ['HEAD', 'HEAD^'] : [release.trim()];
  return commits.map((commit) => git('show', `${commit}:schema.graphql`)).filter((text) => text !== null);
}

/** A break that is meant is announced by its path, in backquotes, under the heading of what is not released yet. */
function pendingChanges(): string {
  return /## Pending\n([\s\S]*?)(?=\n## |$)/.exec(readFileSync(CHANGELOG, 'utf8'))?.[1] ?? '';
}

function git(...words: string[]): string | null {
  try {
    return execFileSync('git', words, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
  } catch {
    return null; // no such release or file, or no repository at all
  }
}

function fail(message: string): void {
  process.stderr.write(`${message}\n`);
  process.exitCode = 1;
}
