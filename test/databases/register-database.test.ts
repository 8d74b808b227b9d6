import { randomBytes } from 'node:crypto';
import { createServer, type Socket } from 'node:net';
import { mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { makeConnect } from '../../src/databases/connect.ts';
import type { RegisterDatabaseInput } from '../../src/domain/database-inputs.ts';
import { type DatabaseDeps, makeDatabases } from '../../src/databases/database-use-cases.ts';
import type { Principal } from '../../src/domain/principal.ts';
import { makeSecretBox } from '../../src/security/secret-box.ts';
import { findDatabase } from '../../src/store/databases.ts';
import { READ_SETTINGS } from '../../src/target/session.ts';
import { sql } from '../../src/target/sql.ts';
import { testDatabase, type TestDatabase, testStore } from '../support/postgres.ts';

const ADMIN: Principal = {
  subject: 'ada',
  clientId: null,
  roles: ['ADMIN'],
  isMachine: false,
  mayApprove: true,
};

const SETTINGS = { ...READ_SETTINGS, applicationName: 'declutter/test' };

const PASSWORD = 'canary-4711-"\'\\';

let control: Awaited<ReturnType<typeof testStore>>;

let target: TestDatabase;

let secrets: string;

const snapshots: string[] = [];

beforeAll(async () => {
  control = await testStore();
  target = await testDatabase();
  secrets = await mkdtemp(join(tmpdir(), 'declutter-secrets-'));
  await writeFile(join(secrets, 'password'), `${PASSWORD}\n`);
  await symlink('/etc/passwd', join(secrets, 'link'));
  await target.run(`CREATE ROLE ${role()} LOGIN PASSWORD '${PASSWORD.replaceAll("'", "''")}'; GRANT CREATE ON DATABASE ${target.name} TO ${role()};
    CREATE TABLE t (id int); GRANT SELECT ON t TO ${role()}`);
});

afterAll(async () => {
  await target.run(`DROP OWNED BY ${role()}; DROP ROLE ${role()}`);
  await target.drop();
  await control.close();
  await rm(secrets, { recursive: true });
});

// A database can be registered under one name only, and all tests register the same one.
afterEach(async () => {
  const { prisma } = control.store;
  await prisma.$transaction([prisma.run.deleteMany(), prisma.plan.deleteMany(), prisma.hold.deleteMany()]);
  await prisma.database.deleteMany();
});

const role = () => `role_${target.name}`;

function deps(change: Partial<DatabaseDeps> = {}): DatabaseDeps {
  return {
    store: control.store,
    policy: { hosts: ['127.0.0.0/8', '::1', 'localhost'], embedded: null },
    secrets: {
      env: { DECLUTTER_TARGET_SHOP_PASSWORD: PASSWORD, PATH: '/bin' },
      folders: [secrets],
      box: makeSecretBox(randomBytes(32)),
    },
    takeFirstSnapshot: async (id) => void snapshots.push(id),
    ...change,
  };
}

const input = (name: string, change: Partial<RegisterDatabaseInput> = {}): RegisterDatabaseInput => ({
  name,
  host: target.address.host,
  port: target.address.port,
  database: target.name,
  user: role(),
  password: PASSWORD,
  tls: 'DISABLE',
  environment: 'PRODUCTION',
  allowSuperuser: false,
  ...change,
});

const superuser = () => ({ user: target.address.user, allowSuperuser: true });

describe('registerDatabase', () => {
  it('keeps the password sealed, takes a first snapshot and connects with it later', async () => {
    const use = deps();
    const view = await makeDatabases(use).register(input('sealed'), ADMIN);
    expect(view).toMatchObject({
      name: 'sealed',
      environment: 'PRODUCTION',
      unreachable: null,
      snapshotAt: null,
    });
    expect(view.serverVersion).toMatch(/^18/);
    expect(snapshots).toContain(view.id);
    const row = (await findDatabase(control.store, 'sealed'))!;
    expect(JSON.stringify(view) + row.passwordBox!.toString('latin1')).not.toContain('canary');
    const session = await makeConnect(use)(view.id, SETTINGS);
    expect(await session.query(sql`SELECT current_user AS role`)).toEqual([{ role: role() }]);
    await session.close();
  });

  it('does not open a password that was moved from another database', async () => {
    const use = deps();
    const { id } = await makeDatabases(use).register(input('moved'), ADMIN);
    const from = await testDatabase();
    const other = (await makeDatabases(use).register(input('moved-from', { database: from.name }), ADMIN)).id;
    const { passwordBox } = (await findDatabase(control.store, 'moved-from'))!;
    await control.store.prisma.database.update({
      where: { id },
      data: { passwordBox: new Uint8Array(passwordBox!) },
    });
    await expect(makeConnect(use)(id, SETTINGS)).rejects.toThrow();
    const session = await makeConnect(use)(other, SETTINGS);
    await session.close();
    await from.drop();
  });

  it.each([
    ['a variable for targets', () => 'env:DECLUTTER_TARGET_SHOP_PASSWORD', null],
    ['a file of secrets', () => `file:${secrets}/password`, null],
    ['any other variable', () => 'env:PATH', 'BAD_USER_INPUT'],
    ['a key of our own', () => 'env:DECLUTTER_SECRET_KEY', 'BAD_USER_INPUT'],
    ['any other file', () => 'file:/etc/shadow', 'BAD_USER_INPUT'],
    ['a way out of the folder', () => `file:${secrets}/../../etc/passwd`, 'BAD_USER_INPUT'],
    ['a link out of the folder', () => `file:${secrets}/link`, 'PRECONDITION_FAILED'],
    ['a variable that is not set', () => 'env:DECLUTTER_TARGET_OTHER_PASSWORD', 'PRECONDITION_FAILED'],
    ['the password itself', () => PASSWORD, 'BAD_USER_INPUT'],
  ])('reads a password reference only where it may lead: %s', async (what, reference, code) => {
    const name = `ref-${what.replaceAll(' ', '-')}`;
    const done = makeDatabases(deps()).register(
      input(name, { password: null, passwordRef: reference() }),
      ADMIN,
    );
    if (code === null) expect((await done).name).toBe(name);
    else await expect(done).rejects.toMatchObject({ code, message: expect.not.stringContaining('root:') });
  });

  it.each([
    ['a host that nobody named', { host: '10.0.0.1' }, 'BAD_USER_INPUT', /DECLUTTER_TARGET_HOSTS/],
    ['a socket', { host: '/var/run/postgresql' }, 'BAD_USER_INPUT', /sockets/],
    [
      'a replica that nobody named',
      { replicas: [{ host: '169.254.169.254', port: 5432 }] },
      'BAD_USER_INPUT',
      /DECLUTTER_TARGET_HOSTS/,
    ],
    [
      'password and passwordRef',
      { passwordRef: 'env:DECLUTTER_TARGET_X_PASSWORD' },
      'BAD_USER_INPUT',
      /not both/,
    ],
    ['a name of spaces', { database: '  ' }, 'BAD_USER_INPUT', /database/],
    ['a name that PostgreSQL would cut', { user: 'ä'.repeat(32) }, 'BAD_USER_INPUT', /63 bytes/],
    ['a wrong password', { password: 'wrong' }, 'PRECONDITION_FAILED', /log-in/],
    ['a database that is not there', { database: 'nowhere' }, 'PRECONDITION_FAILED', /./],
    ['a port where nobody listens', { port: 1 }, 'TARGET_UNREACHABLE', /does not answer/],
    ['TLS where there is none', { tls: 'REQUIRE' }, 'TARGET_UNREACHABLE', /./],
  ] as const)('refuses %s, and keeps nothing', async (what, change, code, message) => {
    const name = `bad-${what.replaceAll(' ', '-').toLowerCase()}`;
    const done = makeDatabases(deps()).register(input(name, change as Partial<RegisterDatabaseInput>), ADMIN);
    await expect(done).rejects.toMatchObject({ code, message: expect.stringMatching(message) });
    expect(await findDatabase(control.store, name)).toBeNull();
  });

  it('refuses a role with more power than it needs, unless it is wanted', async () => {
    const use = deps();
    const asked = input('powerful', { user: target.address.user, password: await target.address.password() });
    await expect(makeDatabases(use).register(asked, ADMIN)).rejects.toMatchObject({
      code: 'UNSAFE_OPERATION',
      details: { reason: 'ROLE_TOO_POWERFUL' },
    });
    expect((await makeDatabases(use).register({ ...asked, allowSuperuser: true }, ADMIN)).name).toBe(
      'powerful',
    );
  });

  it('refuses its own control store', async () => {
    const asked = input('self', {
      ...superuser(),
      password: await target.address.password(),
      database: new URL(control.url).pathname.slice(1),
    });
    await expect(makeDatabases(deps()).register(asked, ADMIN)).rejects.toMatchObject({
      code: 'UNSAFE_OPERATION',
      details: { reason: 'CONTROL_STORE' },
    });
  });

  it('refuses a second database of the same name', async () => {
    await makeDatabases(deps()).register(input('twice'), ADMIN);
    await expect(makeDatabases(deps()).register(input('twice'), ADMIN)).rejects.toMatchObject({
      code: 'CONFLICT',
    });
  });

  it('refuses two targets that are the same database, and names the first', async () => {
    const again = (name: string, change: Partial<RegisterDatabaseInput> = {}) =>
      makeDatabases(deps()).register(input(name, change), ADMIN);
    await again('first');
    const second = again('second', { host: 'localhost', environment: 'DEVELOPMENT' });
    await expect(second).rejects.toMatchObject({
      code: 'CONFLICT',
      message: expect.stringContaining('registered already, as "first"'),
    });
    await makeDatabases(deps()).remove('first');
    const both = await Promise.allSettled([again('one'), again('other')]);
    expect(both.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
    expect(both.find(({ status }) => status === 'rejected')).toMatchObject({
      reason: { code: 'CONFLICT', message: expect.stringContaining('registered already, as "o') },
    });
    expect(await makeDatabases(deps()).list()).toHaveLength(1);
  });

  it('hangs up on a server that asks for the password in clear text, before a byte of it is sent', async () => {
    let heard = '';
    const rogue = createServer((socket: Socket) => {
      socket.on('error', () => undefined);
      socket.on('data', (data) => {
        heard += data.toString('latin1');
        if (heard.includes(target.name)) socket.write(Buffer.from([0x52, 0, 0, 0, 8, 0, 0, 0, 3]));
      });
    });
    await new Promise<void>((resolve) => rogue.listen(0, '127.0.0.1', resolve));
    const { port } = rogue.address() as { port: number };
    await expect(makeDatabases(deps()).register(input('rogue', { port }), ADMIN)).rejects.toMatchObject({
      code: 'TARGET_UNREACHABLE',
      message: expect.stringContaining('weak form'),
    });
    expect([heard.includes(target.name), heard.includes('canary')]).toEqual([true, false]);
    await new Promise((resolve) => rogue.close(resolve));
  });

  it('keeps a database whose first snapshot fails, and says why', async () => {
    const takeFirstSnapshot = async (id: string) => {
      const session = await makeConnect(deps())(id, SETTINGS);
      await session.query(sql`SELECT 1 FROM not_there`).finally(() => session.close());
    };
    const view = await makeDatabases(deps({ takeFirstSnapshot })).register(
      input('no-snapshot', { passwordRef: 'env:DECLUTTER_TARGET_SHOP_PASSWORD', password: null }),
      ADMIN,
    );
    expect(view.unreachable).toMatch(/first snapshot failed/);
  });
});
