import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { decodeJwt, decodeProtectedHeader } from 'jose';
import { makeAuthenticate } from '../../src/security/authenticate.ts';
import { issueToken, openEmbeddedIssuer } from '../../src/security/embedded-issuer.ts';
import { type ApiServer, apiServer } from '../support/api-server.ts';

describe('the embedded issuer', () => {
  let api: ApiServer;
  beforeAll(async () => {
    api = await apiServer({});
  });
  afterAll(() => api.close());

  const ask = async (form: Record<string, string>, headers: Record<string, string> = {}) => {
    const response = await fetch(`${api.url}/oauth/token`, {
      method: 'POST',
      body: new URLSearchParams(form),
      headers,
    });
    return { status: response.status, body: (await response.json()) as Record<string, string> };
  };
  const clientOf = (id: string) =>
    api.issuer.clients.find((client) => client.id === id) ?? { id, secret: '', scope: '' };
  const basic = (id: string, secret: string) => ({
    authorization: `Basic ${Buffer.from(`${id}:${secret}`).toString('base64')}`,
  });
  const whoIs = async (token: string) => {
    const { data } = await api.post(JSON.stringify({ query: '{ viewer { subject roles } }' }), {
      authorization: `Bearer ${token}`,
    });
    return data?.['viewer'];
  };

  it('gives each of its clients a token with the rights of its role', async () => {
    for (const role of ['VIEWER', 'OPERATOR', 'APPROVER', 'ADMIN']) {
      const { id, secret } = clientOf(role.toLowerCase());
      const { status, body } = await ask({ grant_type: 'client_credentials' }, basic(id, secret));
      expect({ status, type: body['token_type'] }).toEqual({ status: 200, type: 'Bearer' });
      expect(await whoIs(body['access_token'] ?? '')).toEqual({ subject: id, roles: [role] });
    }
  });

  it('signs tokens as RFC 9068 has them, short-lived', async () => {
    const { id, secret } = clientOf('operator');
    const { body } = await ask({ grant_type: 'client_credentials', client_id: id, client_secret: secret });
    const token = body['access_token'] ?? '';
    expect(decodeProtectedHeader(token)).toMatchObject({ alg: 'ES256', typ: 'at+jwt' });
    const claims = decodeJwt(token);
    expect(claims).toMatchObject({
      iss: api.issuer.issuer,
      aud: api.issuer.audience,
      sub: 'operator',
      client_id: 'operator',
      jti: expect.any(String),
    });
    expect((claims.exp ?? 0) - (claims.iat ?? 0)).toBe(900);
  });

  it('gives less when less is asked for, and never more', async () => {
    const { id, secret } = clientOf('operator');
    const less = await ask({ grant_type: 'client_credentials', scope: 'declutter:read' }, basic(id, secret));
    expect(less.body['scope']).toBe('declutter:read');
    const more = await ask(
      { grant_type: 'client_credentials', scope: 'declutter:read declutter:admin' },
      basic(id, secret),
    );
    expect(more.status === 400 || more.body['scope'] === 'declutter:read').toBe(true);
  });

  it('refuses a wrong secret, an unknown client and other grants', async () => {
    const { id, secret } = clientOf('admin');
    expect((await ask({ grant_type: 'client_credentials' }, basic(id, `${secret}x`))).status).toBe(401);
    expect((await ask({ grant_type: 'client_credentials' }, basic('nobody', secret))).status).toBe(401);
    expect(
      (await ask({ grant_type: 'password', username: 'a', password: 'b' }, basic(id, secret))).status,
    ).toBe(400);
  });

  it('shows the public part of its key alone', async () => {
    const { keys } = (await (await fetch(`${api.url}/oauth/jwks`)).json()) as {
      keys: Record<string, unknown>[];
    };
    expect(keys).toHaveLength(1);
    expect(keys[0]).not.toHaveProperty('d');
  });

  it('signs a token with no server running', async () => {
    const token = await issueToken(api.issuer, 'admin', new Date());
    expect(await whoIs(token)).toEqual({ subject: 'admin', roles: ['ADMIN'] });
    await expect(issueToken(api.issuer, 'root', new Date())).rejects.toMatchObject({
      code: 'BAD_USER_INPUT',
    });
  });

  it('lets approver and admin stand for people, viewer and operator not', async () => {
    const authenticate = makeAuthenticate(api.issuer, () => new Date());
    const may = async (client: string) =>
      (await authenticate(await issueToken(api.issuer, client, new Date()))).principal.mayApprove;
    expect([await may('viewer'), await may('operator'), await may('approver'), await may('admin')]).toEqual([
      false,
      false,
      true,
      true,
    ]);
  });
});

describe('the files of the embedded issuer', () => {
  let dataDir: string;
  beforeAll(async () => {
    dataDir = await mkdtemp(join(tmpdir(), 'declutter-issuer-'));
  });
  afterAll(() => rm(dataDir, { recursive: true }));

  it('are made once, also when two processes start together, and only their owner can read them', async () => {
    const [one, other] = await Promise.all([openEmbeddedIssuer(dataDir), openEmbeddedIssuer(dataDir)]);
    expect(one.clients).toEqual(other.clients);
    expect(one.privateKey).toEqual(other.privateKey);
    for (const file of ['keys.json', 'clients.json'])
      expect((await stat(join(dataDir, file))).mode & 0o777).toBe(0o600);
    const token = await issueToken(one, 'admin', new Date());
    expect((await makeAuthenticate(other, () => new Date())(token)).principal.subject).toBe('admin');
  });

  it('hold what is told about them: the secrets of four clients', async () => {
    const clients = JSON.parse(await readFile(join(dataDir, 'clients.json'), 'utf8')) as Record<
      string,
      string
    >;
    expect(Object.keys(clients)).toEqual(['viewer', 'operator', 'approver', 'admin']);
    expect(new Set(Object.values(clients)).size).toBe(4);
  });

  it('are refused when they are damaged, by name', async () => {
    await writeFile(join(dataDir, 'clients.json'), '{');
    await expect(openEmbeddedIssuer(dataDir)).rejects.toMatchObject({
      code: 'CONFIGURATION',
      message: expect.stringContaining('clients.json'),
    });
  });
});
