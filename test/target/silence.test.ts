import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { READ_SETTINGS, Session } from '../../src/target/session.ts';
import { literal, sql, toBoundStatement } from '../../src/target/sql.ts';
import { type TestDatabase, testDatabase } from '../support/postgres.ts';
import { type TcpProxy, tcpProxy } from '../support/tcp-proxy.ts';

let database: TestDatabase;
const proxies: TcpProxy[] = [];
beforeAll(async () => {
  database = await testDatabase();
});
afterAll(async () => {
  await Promise.all(proxies.map((proxy) => proxy.close()));
  await database.drop();
});

async function throughProxy() {
  const proxy = await tcpProxy({ host: database.address.ip, port: database.address.port });
  proxies.push(proxy);
  const session = await Session.open(
    { ...database.address, port: proxy.port },
    { ...READ_SETTINGS, applicationName: 'declutter/test', statementTimeoutMs: 200 },
  );
  return { proxy, session };
}

describe('a server that falls silent without closing the connection', () => {
  it.each([
    ['a statement', (session: Session) => session.query(sql`SELECT 1`)],
    [
      'a COPY',
      (session: Session) =>
        session.copyOut(toBoundStatement(sql`COPY (SELECT ${literal('x')}) TO STDOUT`), () => undefined),
    ],
  ])('is given up in %s', async (_, ask) => {
    const { proxy, session } = await throughProxy();
    await session.script(session.begin());
    proxy.blackHole();
    await expect(ask(session)).rejects.toMatchObject({ failure: 'CONNECTION' });
    expect(session.isLost).toBe(true);
  });

  it('is waited for while it reads long', async () => {
    const { session } = await throughProxy();
    await session.transaction(async () => {
      await session.longRead();
      await session.query(sql`SELECT pg_catalog.pg_sleep(5)`);
    });
    expect(session.isLost).toBe(false);
    await session.close();
  });
});
