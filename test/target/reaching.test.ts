import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { READ_SETTINGS, Session, type TargetAddress } from '../../src/target/session.ts';
import { type TestDatabase, testDatabase } from '../support/postgres.ts';
import { makeCertificate, tlsFront } from '../support/tls-front.ts';

let database: TestDatabase;
let role: string;
const fronts: { close(): Promise<void> }[] = [];
beforeAll(async () => {
  database = await testDatabase();
  role = `role_${database.name}`;
  await database.run(`CREATE ROLE ${role} LOGIN PASSWORD 'right'; CREATE ROLE no_${role} PASSWORD 'right'`);
});
afterAll(async () => {
  await Promise.all(fronts.map((front) => front.close()));
  await database.run(`DROP OWNED BY ${role}; DROP ROLE ${role}, no_${role}`);
  await database.drop();
});

const open = (change: Partial<TargetAddress>) =>
  Session.open({ ...database.address, ...change }, { ...READ_SETTINGS, applicationName: 'declutter/test' });
const reach = (change: Partial<TargetAddress>) =>
  open(change).then(
    (session) => session.close().then(() => 'reached'),
    (error: unknown) => (error as Error).message,
  );
const front = async (names: string, expired = false) => {
  const certificate = makeCertificate(names, expired);
  const started = await tlsFront({ host: database.address.ip, port: database.address.port }, certificate);
  fronts.push(started);
  return { port: started.port, ca: certificate.cert };
};

describe('a server that lets nobody in', () => {
  it.each([
    ['a wrong password', () => ({ user: role, password: async () => 'wrong' }), /password is wrong.*28P01/],
    [
      'a role without LOGIN',
      () => ({ user: `no_${role}`, password: async () => 'right' }),
      /may not log in.*28000/,
    ],
    ['another database', () => ({ database: 'absent' }), /no database of this name.*3D000/],
  ])('is told apart from a lack of rights: %s', async (_what, change, words) => {
    const answer = await reach(change());
    expect(answer).toMatch(words);
    expect(answer).not.toMatch(/lacks a right/);
  });

  it('is one where the role may not connect to the database', async () => {
    await database.run(`REVOKE CONNECT ON DATABASE ${database.name} FROM PUBLIC`);
    expect(await reach({ user: role, password: async () => 'right' })).toMatch(/GRANT CONNECT.*42501/);
    await database.run(`GRANT CONNECT ON DATABASE ${database.name} TO ${role}`);
    expect(await reach({ user: role, password: async () => 'right' })).toBe('reached');
  });

  it('is one that does not answer at all', async () => {
    expect(await reach({ port: 1 })).toBe('The database does not answer or has ended the connection.');
  });
});

describe('TLS', () => {
  it('is missed on a server that does not speak it, and the way out is named', async () => {
    for (const tls of ['REQUIRE', 'VERIFY_FULL'] as const)
      expect(await reach({ tls })).toMatch(/speaks no TLS.*tls: DISABLE/);
  });

  it('asks for a certificate of a known authority, unless only encryption is asked for', async () => {
    const { port, ca } = await front('DNS:db.test');
    expect(await reach({ host: 'db.test', port, tls: 'VERIFY_FULL' })).toMatch(
      /not signed by an authority.*caRef/,
    );
    expect(await reach({ host: 'db.test', port, tls: 'VERIFY_FULL', ca })).toBe('reached');
    expect(await reach({ host: 'db.test', port, tls: 'REQUIRE' })).toBe('reached');
  });

  it('asks for a certificate of that name, also where the name is an address', async () => {
    const named = await front('DNS:localhost,DNS:db.test');
    const numbered = await front('IP:127.0.0.1');
    expect(await reach({ ...named, host: 'other.test', tls: 'VERIFY_FULL' })).toMatch(/for another name/);
    expect(await reach({ ...named, host: '127.0.0.1', tls: 'VERIFY_FULL' })).toMatch(/for another name/);
    expect(await reach({ ...numbered, host: '127.0.0.1', tls: 'VERIFY_FULL' })).toBe('reached');
  });

  it('tells that a certificate has expired', async () => {
    const { port, ca } = await front('DNS:db.test', true);
    expect(await reach({ host: 'db.test', port, ca, tls: 'VERIFY_FULL' })).toMatch(/has expired/);
  });
});
