import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { Command } from 'commander';
import { addClientCommands } from '../../../src/cli/client/commands.ts';
import { issueToken, openEmbeddedIssuer } from '../../../src/security/embedded-issuer.ts';
import type { Client } from '../../support/api-server.ts';
import { type TestDatabase, testDatabase, testStore } from '../../support/postgres.ts';

const ROOT = fileURLToPath(new URL('../../..', import.meta.url));

/** More than anything here makes; comments and order are the author's own. */
const FILE = `
# what we keep
policies:
  - name: old-events
    schedule: "30 2 * * *" # at night
    timeZone: Europe/Berlin
    window: { from: 22:00, to: 06:00 }
    archive:
      database: shop
      table: event
      where: { column: at, op: OLDER_THAN, age: P90D }
      destination: { kind: TABLE }
  - { name: by-hand, archive: { database: shop, table: event, where: { column: id, op: LT, value: "11" }, destination: { kind: TABLE } } }
`;

describe('policies on the command line', () => {
  let control: Awaited<ReturnType<typeof testStore>>;
  let target: TestDatabase;
  let folder: string;
  let server: ChildProcess;
  let url: string;
  const printed: string[] = [];

  beforeAll(async () => {
    [control, target, folder] = await Promise.all([
      testStore(),
      testDatabase(),
      mkdtemp(join(tmpdir(), 'declutter-apply-')),
    ]);
    await target.run(
      `CREATE TABLE event AS SELECT g AS id, now() - interval '1 day' AS at FROM generate_series(1, 100) g;
       ALTER TABLE event ADD PRIMARY KEY (id); ANALYZE event`,
    );
    const password = await target.address.password();
    server = spawn(
      process.execPath,
      ['--import', '@swc-node/register/esm-register', join(ROOT, 'src/main.ts'), 'up'],
      {
        cwd: ROOT,
        env: {
          PATH: process.env['PATH'],
          DATABASE_URL: control.url,
          DECLUTTER_DATA_DIR: folder,
          DECLUTTER_PORT: '0',
          DECLUTTER_TARGET_HOSTS: 'localhost',
          DECLUTTER_TARGET_SHOP_PASSWORD: password,
          DECLUTTER_SECRET_KEY: 'ab'.repeat(32),
        },
        stdio: ['ignore', 'pipe', 'ignore'],
      },
    );
    for await (const line of createInterface({ input: server.stdout! })) {
      url = /answers at (http:\S+)\/graphql/.exec(line)?.[1] ?? '';
      if (url !== '') break;
    }
    await register();
  });
  afterAll(async () => {
    server.kill('SIGTERM');
    await once(server, 'exit');
    await target.drop();
    await control.close();
    await rm(folder, { recursive: true });
  });

  beforeEach(async () => {
    await control.store.prisma.policy.deleteMany();
    jest.spyOn(process.stdout, 'write').mockImplementation((text) => printed.push(String(text)) > 0);
    jest.spyOn(process.stderr, 'write').mockImplementation((text) => printed.push(String(text)) > 0);
  });
  afterEach(() => {
    jest.restoreAllMocks();
    process.exitCode = 0;
  });

  const tokenOf = async (client: Client) =>
    issueToken(await openEmbeddedIssuer(join(folder, 'secrets')), client, new Date());

  async function ask(client: Client, query: string): Promise<Record<string, never>> {
    const headers = { 'content-type': 'application/json', authorization: `Bearer ${await tokenOf(client)}` };
    const answer = await fetch(`${url}/graphql`, {
      method: 'POST',
      headers,
      body: JSON.stringify({ query }),
    });
    const { data, errors } = (await answer.json()) as { data: Record<string, never>; errors?: unknown };
    expect(errors).toBeUndefined();
    return data;
  }

  const register = () =>
    ask(
      'admin',
      `mutation { registerDatabase(input: {
        name: "shop", host: "localhost", port: ${target.address.port}, database: "${target.name}", user: "${target.address.user}", environment: PRODUCTION
        passwordRef: "env:DECLUTTER_TARGET_SHOP_PASSWORD", tls: DISABLE, allowSuperuser: true }) { name } }`,
    );

  /** The exit code, and everything that was printed. */
  async function declutter(args: readonly string[], client: Client = 'admin') {
    process.exitCode = 0;
    printed.splice(0);
    const program = new Command('declutter').exitOverride();
    addClientCommands(program, { DECLUTTER_URL: url, DECLUTTER_TOKEN: await tokenOf(client) });
    await program.parseAsync(['node', 'declutter', ...args]);
    return { code: process.exitCode, text: printed.join('') };
  }

  async function file(text: string): Promise<string> {
    const path = join(folder, `${Math.random()}.yaml`);
    await writeFile(path, text);
    return path;
  }
  const saved = async () => (await control.store.prisma.policy.findMany()).map(({ name }) => name).sort();
  const SMALL = 'database: shop, table: event, where: { column: id, op: LT, value: "11" }';

  it('are brought to what a file says, which is shown first', async () => {
    const path = await file(FILE);
    const shown = await declutter(['apply', '-f', path, '--dry-run']);
    expect(shown.code).toBe(2);
    expect(shown.text).toContain('+ old-events\n');
    expect(shown.text).toContain('    archive.where.age: P90D\n');
    expect(shown.text).toContain('    archive.schema: public\n');
    expect(shown.text).toContain('2 to add, 0 to change, 0 to delete, 0 as they are.');
    expect(await saved()).toEqual([]);

    const done = await declutter(['apply', '-f', path]);
    expect([done.code, await saved()]).toEqual([0, ['by-hand', 'old-events']]);
    const again = await declutter(['apply', '-f', path, '--dry-run']);
    expect(again).toEqual({ code: 0, text: '0 to add, 0 to change, 0 to delete, 2 as they are.\n' });

    const changed = await file(
      FILE.replace('P90D', 'P60D').replace('    window: { from: 22:00, to: 06:00 }\n', ''),
    );
    const { text } = await declutter(['apply', '-f', changed]);
    expect(text).toContain('~ old-events\n');
    expect(text).toContain('    archive.where.age: P90D → P60D\n');
    expect(text).toContain('    window.from: 22:00 → not given\n');
    expect(text).toContain('0 to add, 1 to change, 0 to delete, 1 as they are.\nsaved old-events\n');
  });

  it('are deleted only when pruning was asked for', async () => {
    await declutter(['apply', '-f', await file(FILE)]);
    const one = await file(`policies: [{ name: another, purge: { ${SMALL} } }]`);
    expect((await declutter(['apply', '-f', one])).text).toContain('1 to add, 0 to change, 0 to delete');
    expect(await saved()).toEqual(['another', 'by-hand', 'old-events']);
    const pruned = await declutter(['apply', '-f', one, '--prune', '--json']);
    expect(pruned.text).toContain('{"policy":"by-hand","change":"DELETE","fields":[]}\n');
    expect(await saved()).toEqual(['another']);
  });

  it('come out as a file that changes nothing when it is applied', async () => {
    await declutter(['apply', '-f', await file(FILE)]);
    const { text } = await declutter(['policies', 'export']);
    const [whole, one] = [
      await file(text),
      await file((await declutter(['policies', 'export', 'by-hand'])).text),
    ];
    expect(await readFile(one, 'utf8')).not.toContain('old-events');
    expect((await declutter(['apply', '-f', whole, '--prune', '--dry-run'])).code).toBe(0);
    await control.store.prisma.policy.deleteMany();
    await declutter(['apply', '-f', whole]);
    expect((await declutter(['policies', 'export'])).text).toBe(text);
    expect((await declutter(['policies', 'export', 'nobody'])).code).toBe(1);
    expect((await declutter(['policies'])).text).toMatch(
      /^old-events +ARCHIVE +30 2 \* \* \* +Europe\/Berlin/m,
    );
  });

  it.each([
    ['policies: [', /Flow sequence/],
    ['[]', /one key, policies/],
    ['policies: [{ schedule: "* * * * *" }]', /must have a name/],
    ['policies: [{ name: a }, { name: a }]', /"a" is in .* already/],
    [
      'a: &a [x, x, x, x, x, x, x, x, x]\nb: &b [*a, *a, *a, *a, *a, *a, *a]\nc: [*b, *b, *b, *b, *b, *b, *b, *b]',
      /aliases|one key/,
    ],
    [
      `policies: [{ name: good, purge: { ${SMALL} } }, { name: bad, schedule: sometimes, purge: { ${SMALL} } }, { name: worse }]`,
      /bad: BAD_USER_INPUT: schedule.*worse: BAD_USER_INPUT: .*exactly one/s,
    ],
    ['policies: [{ name: odd, purje: { database: shop } }]', /odd: BAD_USER_INPUT/],
  ])('change nothing when a file is not valid: %s', async (text, message) => {
    const { code, text: said } = await declutter(['apply', '-f', await file(text), '--prune']);
    expect([code, await saved()]).toEqual([1, []]);
    expect(said).toMatch(message);
  });

  it('are changed by an admin only', async () => {
    const { code, text } = await declutter(['apply', '-f', await file(FILE)], 'operator');
    expect([code, await saved()]).toEqual([1, []]);
    expect(text).toContain('FORBIDDEN');
  });

  describe('run', () => {
    beforeEach(async () => {
      const text = `policies: [{ name: moves, archive: { ${SMALL}, destination: { kind: TABLE } } }, { name: purges, purge: { ${SMALL} } },
        { name: blocked, purge: { database: shop, table: event, where: { column: id, op: GT, value: "50" }, limits: { maxRows: 1 } } }]`;
      expect((await declutter(['apply', '-f', await file(text)])).code).toBe(0);
    });
    const run = (...args: string[]) => declutter(['policies', 'run', ...args], 'operator');

    it('to their end when they are waited for, once for each key', async () => {
      const first = await run('moves', '--wait', '--key', 'build-7');
      expect(first.text).toContain('SUCCEEDED, 10 rows deleted, 10 archived');
      expect(first.code).toBe(0);
      const [again, { code }] = [
        await run('moves', '--key', 'build-7', '--json'),
        await run('moves', '--wait'),
      ];
      expect([JSON.parse(again.text), code]).toEqual([{ run: expect.any(String) }, 0]);
      expect(await control.store.prisma.run.count()).toBe(2);
    });

    it('with exit codes of their own where somebody is needed', async () => {
      const waits = await run('purges', '--wait');
      expect(waits.code).toBe(3);
      expect(waits.text).toMatch(/^The plan [\w-]+ is NEEDS_APPROVAL/);
      const blocked = await run('blocked', '--wait');
      expect(blocked.code).toBe(4);
      expect(blocked.text).toMatch(/is BLOCKED\.\n[A-Z_]+: /);
      expect((await run('nobody')).code).toBe(1);
    });
  });
});
