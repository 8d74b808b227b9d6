import { readdirSync, readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { VARIABLE_NAMES } from '../../src/config.ts';

const ROOT = new URL('../../', import.meta.url);

const read = (path: string) => readFileSync(new URL(path, ROOT), 'utf8');

const filesUnder = (folder: string) =>
  readdirSync(new URL(folder, ROOT), { recursive: true, encoding: 'utf8' }).filter((path) =>
    path.endsWith('.ts'),
  );

/** The words of a union of string literals, from the source: at run time there is nothing left of it. */
function wordsOfUnion(path: string, name: string): string[] {
  const body = new RegExp(`export type ${name} =([^;]*);`).exec(read(path))?.[1] ?? '';
  return [...body.matchAll(/'([A-Z_]+)'/g)].map((match) => match[1] as string);
}

/** Codes of blockers, warnings, checks and causes, wherever they are given as a constant. */
function noticeCodes(): string[] {
  const given = /\b(?:code: |(?:blocker|warning|notice|item|problem|cause)\(\s*)'([A-Z][A-Z_]+)'/g;
  const sources = filesUnder('src/').filter((path) => !path.startsWith('store/client/'));
  const codes = sources.flatMap((path) =>
    [...read(`src/${path}`).matchAll(given)].map((match) => match[1] as string),
  );
  return [...new Set(codes)].sort();
}

/** A code stands in the page as the first cell of a row, in backquotes. */
const undocumented = (page: string, words: readonly string[]) =>
  words.filter((word) => !new RegExp(`^\\| \`${word}\``, 'm').test(page));

describe('docs/errors.md', () => {
  it.each([
    ['src/errors.ts', 'ErrorCode'],
    ['src/domain/run.ts', 'StateCode'],
  ])('has a line for each word of %s %s', (path, name) => {
    const words = wordsOfUnion(path, name);
    expect(words.length).toBeGreaterThan(10);
    expect(undocumented(read('docs/errors.md'), words)).toEqual([]);
  });

  it('has a line for each code of a blocker, warning, check and cause', () => {
    const codes = noticeCodes();
    expect(codes.length).toBeGreaterThan(10);
    expect(undocumented(read('docs/errors.md'), codes)).toEqual([]);
  });
});

describe('docs/configuration.md', () => {
  it('has a line for each variable that is read', () => {
    expect(VARIABLE_NAMES).toContain('DATABASE_URL');
    expect(undocumented(read('docs/configuration.md'), VARIABLE_NAMES)).toEqual([]);
  });
});

describe('docs/faults.md', () => {
  it('names a test for each fault, and each of them is there', () => {
    const rows = read('docs/faults.md')
      .split('\n')
      .filter((line) => line.startsWith('| ') && !line.startsWith('| fault'));
    expect(rows.length).toBeGreaterThan(30);
    const named = rows.map((row) =>
      [...row.matchAll(/`(test\/[^`]+\.test\.ts)`/g)].map((match) => match[1] as string),
    );
    expect(rows.filter((_, i) => named[i]?.length === 0)).toEqual([]);
    const files = new Set(filesUnder('test/').map((path) => `test/${path}`));
    expect(named.flat().filter((path) => !files.has(path))).toEqual([]);
  });
});

describe('a kind', () => {
  const folders = [
    { source: 'src/analysis/kinds', pages: 'docs/analyses' },
    { source: 'src/operations/kinds', pages: 'docs/operations' },
    { source: 'src/engine/throttles', pages: 'docs/throttles' },
  ];
  const kinds = folders.flatMap(({ source, pages }) =>
    filesUnder(source).map((file) => ({ source, pages, name: basename(file, '.ts') })),
  );
  const tests = filesUnder('test/').filter(
    (path) => path.endsWith('.test.ts') && !path.startsWith('contract/'),
  );

  it.each(kinds)('has a page: $source/$name.ts', ({ pages, name }) => {
    expect(read(`${pages}/${name}.md`)).toMatch(/^# \S/);
  });

  it.each(kinds)('has a test that names it: $source/$name.ts', ({ name }) => {
    const word = `'${name.replaceAll('-', '_').toUpperCase()}'`;
    const imported = `/${name}.ts'`;
    expect(
      tests.filter((path) => [word, imported].some((text) => read(`test/${path}`).includes(text))),
    ).not.toEqual([]);
  });
});
