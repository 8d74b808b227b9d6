import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { AUTHORISATION } from './authorisation.ts';
import { DATA } from './data.ts';
import { DOCUMENTS } from './documents.ts';
import { ROW_CANARY } from './prepare.ts';
import { RATE } from './rate.ts';
import { openScene, type Scene } from './scene.ts';
import { TARGETS } from './targets.ts';
import { TOKENS } from './tokens.ts';
import { SLOW, TRANSPORT } from './transport.ts';
import { WORKFLOW } from './workflow.ts';

const SUBJECTS = {
  transport: TRANSPORT,
  document: DOCUMENTS,
  token: TOKENS,
  authorisation: AUTHORISATION,
  rate: RATE,
  data: DATA,
  target: TARGETS,
  workflow: WORKFLOW,
} as const;

let scene: Scene;
let before: string[];
const table: string[] = [];
beforeAll(async () => {
  scene = await openScene();
  for (const text of Object.values(SLOW)) scene.slow.set(text, scene.raw(text));
  before = await scene.dump();
});
afterAll(async () => {
  process.stdout.write(`${table.join('\n')}\n`);
  await scene.close();
});

const line = (id: string, input: string, got: string) =>
  table.push(`${id.padEnd(14)}${input.slice(0, 48).padEnd(50)}${got}`);

describe.each(Object.entries(SUBJECTS))('a bad %s', (_subject, rows) => {
  it.each(rows.map((row) => [`${row.id} ${row.input}`, row] as const))('%s', async (_title, row) => {
    if ('file' in row) {
      const source = readFileSync(new URL(`../../${row.file}`, import.meta.url), 'utf8');
      expect(source).toContain(row.test);
      return void line(row.id, row.input, `see ${row.file}`);
    }
    const got = await row.got(scene);
    line(row.id, row.input, got);
    expect(got).toBe(row.expected);
  });
});

describe('after all of them', () => {
  it('the databases are as they were', async () => {
    expect(await scene.dump()).toEqual(before);
  });

  it('the server answers a good request', async () => {
    const { status, data } = await scene.ask('viewer', '{ databases { name } }');
    expect([status, data]).toEqual([200, { databases: [{ name: 'shop' }] }]);
  });

  it('no answer shows a password, a row, words of PostgreSQL, or where our code is', () => {
    const hidden = [scene.password, ROW_CANARY, 'canary-of-libpq', '/src/', 'node_modules'];
    const sql = /SQLSTATE|syntax error at or near|PrismaClient|invocation in|violates \w+ constraint/;
    for (const answer of scene.answers) {
      expect(hidden.filter((text) => answer.includes(text))).toEqual([]);
      expect(answer).not.toMatch(sql);
    }
  });

  it('the log is JSON, line by line, without a password, a token or a row', () => {
    const lines = scene.log().trimEnd().split('\n');
    for (const text of lines) expect(() => JSON.parse(text) as unknown).not.toThrow();
    expect(scene.log()).not.toContain(scene.password);
    expect(scene.log()).not.toContain(ROW_CANARY);
    expect(scene.log()).not.toMatch(/\beyJ[\w-]+\.[\w-]+\.[\w-]+/);
    expect(scene.log()).not.toContain('failed unexpectedly');
  });
});
