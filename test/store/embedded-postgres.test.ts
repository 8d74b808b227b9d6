import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { statSync } from 'node:fs';
import { chmod, mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { networkInterfaces, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import pg from 'pg';
import { makeLog } from '../../src/log.ts';
import { startEmbedded } from '../../src/store/embedded-postgres.ts';

const log = makeLog('silent');
const PROGRAM = fileURLToPath(new URL('embedded-process.ts', import.meta.url));
const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const NOBODY = { uid: 65_534, gid: 65_534 };
const isRoot = process.getuid?.() === 0;

let folder: string;
let processes: ChildProcess[];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'declutter-embedded-'));
  processes = [];
});

afterEach(async () => {
  for (const child of processes) child.kill('SIGKILL');
  const server = await postmaster();
  if (server !== null && isAlive(server)) process.kill(server, 'SIGQUIT');
  while (server !== null && isAlive(server)) await new Promise((resolve) => setTimeout(resolve, 20));
  await rm(folder, { recursive: true, force: true });
});

interface Member {
  readonly child: ChildProcess;
  readonly url: string;
  readonly superuserUrl: string;
  readonly port: number;
  leave(): Promise<void>;
  kill(): Promise<void>;
}

async function member(ids: object = {}): Promise<Member> {
  const child = spawn(process.execPath, [PROGRAM, folder], {
    cwd: ROOT,
    stdio: ['pipe', 'pipe', 'inherit'],
    ...ids,
  });
  processes.push(child);
  const ended = once(child, 'exit');
  for await (const line of createInterface({ input: child.stdout })) {
    const told = JSON.parse(line) as { url: string; superuserUrl: string; port: number };
    const leave = async () => {
      child.stdin.end();
      expect(await ended).toEqual([0, null]);
    };
    const kill = async () => {
      child.kill('SIGKILL');
      await ended;
    };
    return { child, ...told, leave, kill };
  }
  throw new Error('The process ended before its server was up.');
}

async function query(url: string, statement: string): Promise<Record<string, unknown>[]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query<Record<string, unknown>>(statement)).rows;
  } finally {
    await client.end();
  }
}

async function postmaster(): Promise<number | null> {
  const text = await readFile(join(folder, 'postgres/data/postmaster.pid'), 'utf8').catch(() => null);
  return text === null ? null : Number(text.split('\n')[0]);
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

function answers(host: string, port: number): Promise<boolean> {
  const socket = connect({ host, port, timeout: 2_000 });
  return new Promise((resolve) => {
    const told = (answer: boolean) => {
      socket.destroy();
      resolve(answer);
    };
    socket
      .once('connect', () => told(true))
      .once('error', () => told(false))
      .once('timeout', () => told(false));
  });
}

const modeOf = async (path: string) => (await stat(join(folder, path))).mode & 0o777;

describe('an embedded server', () => {
  it('listens on 127.0.0.1 only, and asks everybody for a password by SCRAM', async () => {
    const server = await startEmbedded(folder, log);
    const [settings] = await query(
      server.superuserUrl,
      `SELECT current_setting('listen_addresses') AS listens, current_setting('unix_socket_directories') AS sockets,
              current_setting('fsync') AS fsync, current_setting('synchronous_commit') AS commit, current_setting('autovacuum') AS vacuum,
              current_setting('server_version_num')::int / 10000 AS major,
              (SELECT string_agg(DISTINCT auth_method, ',') FROM pg_hba_file_rules) AS methods`,
    );
    expect(settings).toEqual({
      listens: '127.0.0.1',
      sockets: '',
      fsync: 'on',
      commit: 'on',
      vacuum: 'on',
      major: 18,
      methods: 'scram-sha-256',
    });
    expect(await answers('127.0.0.1', server.port)).toBe(true);
    const others = Object.values(networkInterfaces()).flatMap((all) =>
      (all ?? []).filter((one) => !one.internal),
    );
    for (const { address } of [...others, { address: '127.0.0.2' }])
      expect(await answers(address, server.port)).toBe(false);
    const wrong = server.superuserUrl.replace(/:[^:@]+@/, ':wrong@');
    await expect(query(wrong, 'SELECT 1')).rejects.toMatchObject({ code: '28P01' });
    await server.stop();
    expect(await answers('127.0.0.1', server.port)).toBe(false);
  });

  it('keeps its secrets to itself', async () => {
    const server = await startEmbedded(folder, log);
    await server.stop();
    expect(await modeOf('secrets')).toBe(0o700);
    expect(await modeOf('secrets/postgres')).toBe(0o600);
    expect(await modeOf('postgres/data')).toBe(0o700);
    expect((await modeOf('.')) & 0o066).toBe(0);
  });

  it('gives each database to an owner who is no superuser and may not enter another one', async () => {
    const server = await startEmbedded(folder, log);
    const shop = await server.createDatabase('shop');
    const at = (database: string) =>
      `postgres://${shop.user}:${shop.password}@${shop.host}:${shop.port}/${database}`;
    const [role] = await query(
      at('shop'),
      `CREATE SCHEMA mine; SELECT rolsuper OR rolcreaterole OR rolcreatedb OR rolbypassrls OR rolreplication AS mighty
         FROM pg_roles WHERE rolname = current_user`.replace(/^CREATE SCHEMA mine; /, ''),
    );
    expect(role).toEqual({ mighty: false });
    await expect(query(at('declutter'), 'SELECT 1')).rejects.toMatchObject({ code: '42501' });
    await query(at('shop'), 'CREATE TABLE t AS SELECT 1 AS a');
    expect(await query(at('shop'), `SELECT tuple_count::int FROM pgstattuple('t')`)).toEqual([
      { tuple_count: 1 },
    ]);
    await server.stop();
  });

  it('fills a database once, and anew when the first attempt did not finish', async () => {
    const server = await startEmbedded(folder, log);
    const fill =
      (text: string, fails: boolean) =>
      async (draft: { user: string; password: string; port: number; database: string }) => {
        await query(
          `postgres://${draft.user}:${draft.password}@127.0.0.1:${draft.port}/${draft.database}`,
          `CREATE TABLE t AS SELECT '${text}' AS a`,
        );
        if (fails) throw new TypeError('killed');
      };
    await expect(server.createDatabase('shop', fill('first', true))).rejects.toThrow('killed');
    await Promise.all([
      server.createDatabase('shop', fill('second', false)),
      server.createDatabase('shop', fill('second', false)),
    ]);
    const shop = await server.createDatabase('shop', fill('third', false));
    expect(
      await query(`postgres://${shop.user}:${shop.password}@127.0.0.1:${shop.port}/shop`, 'SELECT a FROM t'),
    ).toEqual([{ a: 'second' }]);
    await server.stop();
  });
});

describe('processes on one data folder', () => {
  it('share one server when they start at the same time; the last one stops it', async () => {
    const [first, second] = await Promise.all([member(), member()]);
    expect(second.port).toBe(first.port);
    await query(first.url, 'CREATE TABLE t AS SELECT 1 AS a');
    await first.leave();
    expect(await query(second.url, 'SELECT a FROM t')).toEqual([{ a: 1 }]);
    await second.leave();
    expect(await answers('127.0.0.1', first.port)).toBe(false);
    expect(await postmaster()).toBeNull();
  });

  it('join the server of a process that was killed with -9, and do not count that process', async () => {
    const killed = await member();
    const pid = await postmaster();
    await query(killed.url, 'CREATE TABLE t AS SELECT 1 AS a');
    await killed.kill();
    const server = await startEmbedded(folder, log);
    expect(await postmaster()).toBe(pid);
    expect(await query(server.url, 'SELECT a FROM t')).toEqual([{ a: 1 }]);
    await server.stop();
    expect(await answers('127.0.0.1', killed.port)).toBe(false);
  });

  it('start it again when server and process were killed with -9, on the same port, with every committed row', async () => {
    const killed = await member();
    await query(killed.url, 'CREATE TABLE t AS SELECT 1 AS a');
    await killed.kill();
    const pid = (await postmaster()) ?? 0;
    process.kill(pid, 'SIGKILL');
    while (isAlive(pid)) await new Promise((resolve) => setTimeout(resolve, 10));
    const server = await startEmbedded(folder, log);
    expect(server.port).toBe(killed.port);
    expect(await query(server.url, 'SELECT a FROM t')).toEqual([{ a: 1 }]);
    await server.stop();
  });

  it('start it again for a process that goes on when the server dies', async () => {
    const server = await startEmbedded(folder, log);
    const pid = (await postmaster()) ?? 0;
    process.kill(pid, 'SIGKILL');
    for (let next = null; next === null || next === pid; next = await postmaster()) {
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    const joined = await startEmbedded(folder, log);
    expect(joined.port).toBe(server.port);
    await server.stop();
    expect(await answers('127.0.0.1', server.port)).toBe(true);
    await joined.stop();
    expect(await answers('127.0.0.1', server.port)).toBe(false);
  });

  it('are not misled by a lock file whose process id another program has got since', async () => {
    await (await startEmbedded(folder, log)).stop();
    const file = join(folder, 'postgres/data/postmaster.pid');
    await writeFile(
      file,
      [process.pid, join(folder, 'postgres/data'), 1, 5432, '', '127.0.0.1', '', 'ready   '].join('\n'),
    );
    const server = await startEmbedded(folder, log);
    expect(await postmaster()).not.toBe(process.pid);
    expect(await query(server.url, 'SELECT 1 AS a')).toEqual([{ a: 1 }]);
    await server.stop();
  });
});

/** The project stands where its owner put it; nobody must be able to read it there. */
function othersMayRead(path = ROOT): boolean {
  return (statSync(path).mode & 0o005) === 0o005 && (path === '/' || othersMayRead(dirname(path)));
}

describe('started by root', () => {
  (isRoot ? it : it.skip)('serves a folder that its own user may not enter', async () => {
    await chmod(folder, 0o700);
    const inner = join(folder, 'inner');
    await mkdir(inner);
    const outer = folder;
    folder = inner;
    const server = await startEmbedded(inner, log);
    expect((await stat(outer)).mode & 0o777).toBe(0o700);
    const pid = (await postmaster()) ?? 0;
    const status = await readFile(`/proc/${pid}/status`, 'utf8');
    expect(status).toMatch(/^Uid:\s+[1-9]/m);
    expect(status).toMatch(/^CapEff:\s+000000000000000[24]$/m);
    await server.stop();
    await rm(outer, { recursive: true });
  });
});

describe('started by another user', () => {
  (isRoot && othersMayRead() ? it : it.skip)('serves all the same', async () => {
    await rm(folder, { recursive: true });
    await mkdir(folder, { mode: 0o777 });
    await chmod(folder, 0o777);
    const first = await member(NOBODY);
    expect(await query(first.url, 'SELECT 1 AS a')).toEqual([{ a: 1 }]);
    expect((await stat(join(folder, 'postgres/data'))).uid).toBe(NOBODY.uid);
    await first.leave();
    expect(await answers('127.0.0.1', first.port)).toBe(false);
  });
});
