import { randomBytes } from 'node:crypto';
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
import { availableVersions, testDatabase, type TestDatabase, testStore } from '../support/postgres.ts';

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

describe('connect', () => {
  it('checks the address at every look-up', async () => {
    let address = '127.0.0.1';
    const use = deps({
      policy: { hosts: ['db.test', '127.0.0.1'], embedded: null },
      resolve: async () => [address],
    });
    const { id } = await makeDatabases(use).register(input('rebound', { host: 'db.test' }), ADMIN);
    address = '169.254.169.254';
    await expect(makeConnect(use)(id, SETTINGS)).rejects.toMatchObject({ code: 'BAD_USER_INPUT' });
  });

  it('refuses a database that was made anew under the same name, and marks one that is gone', async () => {
    const shortLived = await testDatabase();
    const use = deps();
    const asked = input('anew', {
      ...superuser(),
      password: await target.address.password(),
      database: shortLived.name,
    });
    const { id } = await makeDatabases(use).register(asked, ADMIN);
    await shortLived.drop();
    await expect(makeConnect(use)(id, SETTINGS)).rejects.toMatchObject({ code: 'PRECONDITION_FAILED' });
    expect((await makeDatabases(use).find('anew'))!.unreachable).not.toBeNull();
    expect(await makeDatabases(use).list()).toMatchObject([{ name: 'anew' }]);
    await target.run(`CREATE DATABASE ${shortLived.name}`);
    await expect(makeConnect(use)(id, SETTINGS)).rejects.toThrow(/not the database that was registered/);
    await target.run(`DROP DATABASE ${shortLived.name} WITH (FORCE)`);
  });
});

describe('updateDatabase and removeDatabase', () => {
  it('change the password and what else is given, but never the database', async () => {
    const use = deps();
    const other = await testDatabase();
    await makeDatabases(use).register(input('changing'), ADMIN);
    const updated = await makeDatabases(use).update('changing', {
      environment: 'STAGING',
      password: null,
      passwordRef: 'env:DECLUTTER_TARGET_SHOP_PASSWORD',
    });
    expect(updated.environment).toBe('STAGING');
    expect(await findDatabase(control.store, 'changing')).toMatchObject({
      passwordBox: null,
      passwordRef: 'env:DECLUTTER_TARGET_SHOP_PASSWORD',
    });
    await expect(makeDatabases(use).update('changing', { password: 'wrong' })).rejects.toMatchObject({
      code: 'PRECONDITION_FAILED',
    });
    await expect(makeDatabases(use).update('absent', {})).rejects.toMatchObject({ code: 'NOT_FOUND' });
    expect(await findDatabase(control.store, 'changing')).toMatchObject({
      passwordRef: 'env:DECLUTTER_TARGET_SHOP_PASSWORD',
    });
    await other.drop();
  });

  it('keep the environment as strict as it is while holds or runs rely on it', async () => {
    const use = deps();
    const { id } = await makeDatabases(use).register(input('strict'), ADMIN);
    const change = (environment: 'DEVELOPMENT' | 'STAGING' | 'PRODUCTION') =>
      makeDatabases(use)
        .update('strict', { environment })
        .then(
          (view) => view.environment,
          (error: unknown) => `${(error as { code: string }).code}: ${(error as Error).message}`,
        );
    const { prisma } = control.store;
    const held = { databaseId: id, schema: 'public', table: 't', reason: 'law', placedBy: 'ada' };
    const hold = await prisma.hold.create({ data: held });
    expect(await change('STAGING')).toMatch(/^CONFLICT: "strict" stays PRODUCTION while it has 1 holds/);
    expect((await findDatabase(control.store, 'strict'))!.environment).toBe('PRODUCTION');
    await prisma.hold.update({ where: { id: hold.id }, data: { releasedAt: new Date() } });
    expect(await change('STAGING')).toBe('STAGING');
    const plan = await prisma.plan.create({
      data: {
        databaseId: id,
        ...{ kind: 'PURGE', state: 'STARTED', hash: 'h', requestedBy: 'ada', needsApproval: false },
        ...{ expiresAt: new Date(), spec: {}, forecast: {} },
      },
    });
    const run = await prisma.run.create({
      data: { planId: plan.id, databaseId: id, state: 'PAUSED', startedBy: 'ada', throttle: {} },
    });
    expect(await change('DEVELOPMENT')).toMatch(/^CONFLICT: "strict" stays STAGING while it has 1 runs/);
    expect(await change('PRODUCTION')).toBe('PRODUCTION');
    expect(await change('STAGING')).toMatch(/^CONFLICT/);
    await prisma.run.update({ where: { id: run.id }, data: { state: 'CANCELLED' } });
    expect(await change('DEVELOPMENT')).toBe('DEVELOPMENT');
  });

  it('keep a database that holds protect', async () => {
    const use = deps();
    const { id } = await makeDatabases(use).register(input('held'), ADMIN);
    const hold = await control.store.prisma.hold.create({
      data: { databaseId: id, schema: 'public', table: 't', reason: 'law', placedBy: 'ada' },
    });
    await expect(makeDatabases(use).remove('held')).rejects.toMatchObject({ code: 'CONFLICT' });
    await control.store.prisma.hold.update({ where: { id: hold.id }, data: { releasedAt: new Date() } });
    expect(await makeDatabases(use).remove('held')).toBe(true);
    expect(await makeDatabases(use).find('held')).toBeNull();
  });
});

describe('checkDatabase', () => {
  it('says for each capability what is missing and the GRANT that helps', async () => {
    const use = deps();
    await makeDatabases(use).register(input('checked'), ADMIN);
    const check = await makeDatabases(use).check('checked');
    expect(check.ok).toBe(false);
    const item = (code: string) => check.items.find((found) => found.code === code);
    expect(item('DELETE')).toEqual({
      code: 'DELETE',
      ok: false,
      detail: expect.stringContaining(`GRANT SELECT, DELETE ON <table> TO ${role()}`),
    });
    expect(item('STATISTICS')).toMatchObject({
      ok: false,
      detail: expect.stringContaining('GRANT pg_read_all_stats'),
    });
    expect(item('MAINTAIN')).toMatchObject({ ok: false, detail: expect.stringContaining('GRANT MAINTAIN') });
    expect(item('SELECT')).toMatchObject({ ok: true, detail: 'Reads 1 of 1 tables.' });
    expect(item('LEDGER')).toMatchObject({ ok: true });
    expect(item('POOLER')).toMatchObject({ ok: true });
  });

  it('tells that a database does not answer instead of failing', async () => {
    const use = deps();
    const { id } = await makeDatabases(use).register(input('silent'), ADMIN);
    await control.store.prisma.database.update({ where: { id }, data: { port: 1 } });
    expect(await makeDatabases(use).check('silent')).toMatchObject({
      ok: false,
      items: [{ code: 'REACHABLE', ok: false }],
    });
  });

  it.each(availableVersions())('answers on PostgreSQL %i', async (version) => {
    const database = await testDatabase(version);
    const use = deps();
    const { host, port, user, password } = database.address;
    const asked = input(`v${version}`, {
      host,
      port,
      user,
      password: await password(),
      database: database.name,
      allowSuperuser: true,
    });
    await makeDatabases(use).register(asked, ADMIN);
    const check = await makeDatabases(use).check(`v${version}`);
    const failed = check.items.filter(({ ok }) => !ok).map(({ code }) => code);
    expect(failed).toEqual(['ROLE', 'EXTENSION_PGSTATTUPLE', 'EXTENSION_PG_STAT_STATEMENTS']);
    await database.drop();
  });
});
