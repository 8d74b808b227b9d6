import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const RULES = join(ROOT, '.dependency-cruiser.mjs');

/** Rule, a file that breaks it, and what that file imports. */
const BREACHES = [
  ['domain-does-no-io', 'src/domain/rule.ts', 'src/store/rows.ts'],
  ['doors-know-the-domain-only', 'src/target/door.ts', 'src/store/rows.ts'],
  ['one-door-to-prisma', 'src/planning/save.ts', 'src/store/client/client.ts'],
  ['a-kind-is-a-leaf', 'src/analysis/kinds/one.ts', 'src/analysis/kinds/other.ts'],
  ['a-kind-knows-its-contract', 'src/operations/kinds/purge.ts', 'src/store/rows.ts'],
  ['kinds-come-by-registry', 'src/planning/plan-purge.ts', 'src/operations/kinds/archive.ts'],
  ['an-archive-needs-no-run', 'src/archive/segments.ts', 'src/operations/define-operation.ts'],
  ['planning-does-not-run', 'src/planning/start.ts', 'src/engine/worker.ts'],
  ['use-cases-know-no-transport', 'src/engine/answer.ts', 'src/graphql/run.ts'],
  ['transport-translates', 'src/graphql/table.ts', 'src/target/session.ts'],
  ['clients-use-the-public-api', 'src/cli/client/list.ts', 'src/planning/plan-purge.ts'],
  ['composed-once', 'src/engine/shortcut.ts', 'src/compose.ts'],
  ['product-without-tests', 'src/domain/fake.ts', 'test/support/rows.ts'],
] as const;

describe('the import rules', () => {
  let elsewhere: string;
  let report: string;

  beforeAll(() => {
    elsewhere = mkdtempSync(join(tmpdir(), 'declutter-imports-'));
    writeFileSync(join(elsewhere, 'package.json'), '{ "type": "module" }');
    writeFileSync(join(elsewhere, 'tsconfig.json'), '{ "compilerOptions": { "module": "nodenext" } }');
    for (const [, , imported] of BREACHES) write(imported);
    for (const [, importer, imported] of BREACHES) write(importer, relative(dirname(importer), imported));
    const command = join(ROOT, 'node_modules/.bin/depcruise');
    report = spawnSync(command, ['src', '--config', RULES], { cwd: elsewhere, encoding: 'utf8' }).stdout;
  });

  afterAll(() => {
    rmSync(elsewhere, { recursive: true });
  });

  const write = (path: string, imported?: string) => {
    mkdirSync(dirname(join(elsewhere, path)), { recursive: true });
    const line =
      imported === undefined ? '' : `import '${imported.startsWith('.') ? imported : `./${imported}`}';\n`;
    writeFileSync(join(elsewhere, path), `${line}export {};\n`);
  };

  it.each(BREACHES)('%s refuses that %s imports %s', (rule, importer, imported) => {
    expect(report).toContain(`error ${rule}: ${importer} → ${imported}`);
  });
});
