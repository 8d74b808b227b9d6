import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const MAIN = fileURLToPath(new URL('../src/main.ts', import.meta.url));

/** Tells every module that a process loads. */
const TELL_MODULES = `data:text/javascript,import{registerHooks}from'node:module';registerHooks({resolve(name,context,next){const found=next(name,context);process.stderr.write('loads '+found.url+'\\n');return found}})`;

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'declutter-up-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

function start(command: readonly string[], nodeArgs: readonly string[] = []) {
  const child = spawn(
    process.execPath,
    ['--import', '@swc-node/register/esm-register', ...nodeArgs, MAIN, ...command],
    {
      cwd: ROOT,
      env: {
        PATH: process.env['PATH'],
        DECLUTTER_DATA_DIR: folder,
        DECLUTTER_PORT: '0',
        DECLUTTER_DEMO: '0',
      },
      stdio: ['ignore', 'pipe', 'pipe'],
    },
  );
  return { child, ended: once(child, 'exit') };
}

async function firstLine(stream: NodeJS.ReadableStream, pattern: RegExp): Promise<RegExpExecArray> {
  for await (const line of createInterface({ input: stream })) {
    const match = pattern.exec(line);
    if (match) return match;
  }
  throw new Error(`The process ended without saying ${pattern}.`);
}

describe('up', () => {
  let server: { child: ChildProcess; ended: Promise<unknown[]> };
  let url: string;
  beforeAll(async () => {
    server = start(['up']);
    server.child.stderr?.pipe(process.stderr);
    url =
      (await firstLine(server.child.stdout as NodeJS.ReadableStream, /answers at (http:\S+)\/graphql/))[1] ??
      '';
  });
  afterAll(() => void server.child.kill('SIGKILL'));

  const tokenOf = async (client: string) => {
    const { child } = start(['token', '--client', client]);
    return (await firstLine(child.stdout as NodeJS.ReadableStream, /^[\w.-]+$/))[0];
  };

  const ask = async (query: string, token?: string) => {
    const response = await fetch(`${url}/graphql`, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      },
      body: JSON.stringify({ query }),
    });
    return {
      response,
      answer: (await response.json()) as { data?: unknown; errors?: { extensions: { code: string } }[] },
    };
  };

  it('is alive and ready', async () => {
    expect((await fetch(`${url}/livez`)).status).toBe(200);
    expect((await fetch(`${url}/readyz`)).status).toBe(200);
  });

  it('answers to a token of its own issuer, and to nobody else', async () => {
    const nobody = await ask('{ databases { name } }');
    expect(nobody.response.status).toBe(401);
    expect(nobody.response.headers.get('www-authenticate')).toMatch(/^Bearer /);
    const viewer = await ask('{ databases { name } }', await tokenOf('viewer'));
    expect(viewer.answer).toEqual({ data: { databases: [] } });
  });

  it('refuses to change anything for a viewer', async () => {
    const [viewer, admin] = await Promise.all([tokenOf('viewer'), tokenOf('admin')]);
    const state = '{ maintenanceStop { on reason } }';
    const refused = await ask(
      'mutation { setMaintenanceStop(on: true, reason: "by a viewer") { on } }',
      viewer,
    );
    expect(refused.answer.errors?.[0]?.extensions.code).toBe('FORBIDDEN');
    expect((await ask(state, admin)).answer).toMatchObject({ data: { maintenanceStop: { on: false } } });
    await ask('mutation { setMaintenanceStop(on: true, reason: "by an admin") { on } }', admin);
    expect((await ask(state, viewer)).answer).toMatchObject({
      data: { maintenanceStop: { on: true, reason: 'by an admin' } },
    });
  });

  it('shares its server with a worker that loads nothing of the API', async () => {
    const worker = start(['work'], ['--import', TELL_MODULES]);
    let loaded = '';
    worker.child.stderr.setEncoding('utf8').on('data', (text: string) => (loaded += text));
    while (!loaded.includes('the worker takes runs')) await once(worker.child.stderr, 'data');
    worker.child.kill('SIGTERM');
    expect(await worker.ended).toEqual([0, null]);
    expect(loaded).toMatch(/^loads .*\/src\/engine\/worker\.ts$/m);
    expect(
      loaded.match(
        /^loads .*\/(graphql|type-graphql|@apollo|express|oidc-provider|src\/(http|graphql|cli|demo))\/.*$/gm,
      ),
    ).toBeNull();
    expect((await fetch(`${url}/readyz`)).status).toBe(200);
  });

  it('ends within the grace period at a signal', async () => {
    server.child.kill('SIGTERM');
    expect(await server.ended).toEqual([0, null]);
    await expect(fetch(`${url}/livez`)).rejects.toThrow('fetch failed');
  });
});
