import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { decodeJwt, decodeProtectedHeader } from 'jose';
import pg from 'pg';
import { eventually } from './support/eventually.ts';
import { type TestDatabase, testDatabase } from './support/postgres.ts';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const MAIN = fileURLToPath(new URL('../src/main.ts', import.meta.url));

interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'declutter-cli-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

function start(
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
  nodeArgs: readonly string[] = [],
) {
  const child = spawn(
    process.execPath,
    ['--import', '@swc-node/register/esm-register', ...nodeArgs, MAIN, ...args],
    {
      cwd: ROOT,
      env: { PATH: process.env['PATH'], DECLUTTER_DATA_DIR: folder, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    },
  );
  const told = { stdout: '', stderr: '' };
  child.stdout.setEncoding('utf8').on('data', (text: string) => (told.stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (told.stderr += text));
  const ended = once(child, 'close').then(([code]): Ended => ({ code: code as number | null, ...told }));
  const says = async (text: string) => {
    while (!told.stderr.includes(text)) await once(child.stderr, 'data');
  };
  return { child, ended, says };
}

const run = (...given: Parameters<typeof start>): Promise<Ended> => start(...given).ended;

describe('the command line', () => {
  it('lists every problem of the configuration and ends with 78', async () => {
    const ended = await run(['up'], {
      DECLUTTER_PORT: 'http',
      DECLUTTER_HEARTBEAT: '5',
      DATABASE_URL: 'canary',
    });
    expect(ended).toMatchObject({ code: 78, stdout: '' });
    expect(ended.stderr).toMatch(
      /DATABASE_URL must be.*DECLUTTER_PORT must be.*DECLUTTER_HEARTBEAT is not a variable/s,
    );
    expect(ended.stderr).not.toContain('canary');
  });

  it('ends with 64 for a command that does not exist, and with 0 for help that names them all', async () => {
    expect(await run(['destroy'])).toMatchObject({ code: 64, stdout: '' });
    const help = await run(['--help']);
    expect(help.code).toBe(0);
    for (const name of ['up', 'serve', 'work', 'migrate', 'token', 'databases', 'bloat'])
      expect(help.stdout).toMatch(new RegExp(`^  ${name}\\b`, 'm'));
  });

  it('says in a sentence that Node.js is too old', async () => {
    const pretend = `data:text/javascript,Object.defineProperty(process.versions,'node',{value:'20.20.2'})`;
    const ended = await run(['up'], {}, ['--import', pretend]);
    expect(ended).toMatchObject({ code: 1, stdout: '' });
    expect(ended.stderr).toMatch(/^Declutter needs Node\.js 24 or newer, and this is 20\.20\.2\./);
  });

  it('says that the control store does not answer, and ends with 69', async () => {
    const ended = await run(['work'], { DATABASE_URL: 'postgres://me:canary@127.0.0.1:1/x' });
    expect(ended).toMatchObject({ code: 69, stdout: '' });
    expect(ended.stderr).toMatch(
      /^The control store does not answer; check DATABASE_URL\. \(.*ECONNREFUSED.*\)$/m,
    );
    expect(ended.stderr).not.toContain('canary');
  });
});

describe('token', () => {
  it('prints nothing but a token, and keeps the secrets that it makes to their owner', async () => {
    const { code, stdout } = await run(['token', '--client', 'viewer']);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^[\w-]+\.[\w-]+\.[\w-]+\n$/);
    expect(decodeProtectedHeader(stdout).typ).toBe('at+jwt');
    expect(decodeJwt(stdout)).toMatchObject({ sub: 'viewer', scope: 'declutter:read' });
    expect((await stat(join(folder, 'secrets'))).mode & 0o777).toBe(0o700);
    expect((await stat(join(folder, 'secrets/clients.json'))).mode & 0o777).toBe(0o600);
    expect(
      Object.keys(JSON.parse(await readFile(join(folder, 'secrets/clients.json'), 'utf8')) as object),
    ).toContain('admin');
  });

  it('refuses a client that does not exist, and one of another issuer', async () => {
    expect(await run(['token', '--client', 'root'])).toMatchObject({ code: 64, stdout: '' });
    const auth = { DECLUTTER_AUTH_ISSUER: 'https://id.example.com', DECLUTTER_AUTH_AUDIENCE: 'x' };
    expect(await run(['token', '--client', 'viewer'], auth)).toMatchObject({ code: 78, stdout: '' });
  });
});

describe('with a control store of its own', () => {
  let database: TestDatabase;
  beforeEach(async () => {
    database = await testDatabase();
  });
  afterEach(() => database.drop());

  it('migrates it by one command, without which a worker refuses to start', async () => {
    const env = { DATABASE_URL: database.url };
    const refused = await run(['work'], env);
    expect(refused.code).toBe(1);
    expect(refused.stderr).toMatch(/The control store lacks .*_init.*declutter migrate/);
    expect((await run(['migrate'], env)).stdout).toMatch(/^applied \d+_init\n/);
    expect(await run(['migrate'], env)).toMatchObject({
      code: 0,
      stdout: 'The control store is up to date.\n',
    });
    const whole = `The audit trail is whole: 0 events.\n0:${'0'.repeat(64)}\n`;
    expect(await run(['audit', 'verify'], env)).toMatchObject({ code: 0, stdout: whole });
    const cut = await run(['audit', 'verify', '--seen', `7:${'a'.repeat(64)}`], env);
    expect(cut).toMatchObject({ code: 1, stdout: expect.stringMatching(/^Event 1 .* up to 7,/) });
    expect(await run(['audit', 'verify', '--seen', '7'], env)).toMatchObject({ code: 64, stdout: '' });
    const worker = start(['work'], env);
    await worker.says('the worker takes runs');
    worker.child.kill('SIGTERM');
    expect(await worker.ended).toMatchObject({ code: 0, stdout: '' });
  });

  it('ends at once at a second signal, whatever it waits for', async () => {
    const env = { DATABASE_URL: database.url };
    await run(['migrate'], env);
    const holder = new pg.Client({ connectionString: database.url });
    await holder.connect();
    await holder.query('BEGIN; LOCK TABLE _prisma_migrations');
    const worker = start(['work'], env);
    const waiting = `SELECT FROM pg_locks WHERE NOT granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`;
    await eventually('it waits', async () => (await holder.query(waiting)).rows.length > 0);
    worker.child.kill('SIGTERM');
    await worker.says('shutting down');
    worker.child.kill('SIGTERM');
    expect(await worker.ended).toMatchObject({ code: 75, stdout: '' });
    await holder.end();
  });
});
