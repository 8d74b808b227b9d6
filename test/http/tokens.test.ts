import { createHmac, createPublicKey, randomUUID } from 'node:crypto';
import { request } from 'node:http';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { CompactEncrypt, exportJWK, generateKeyPair, SignJWT } from 'jose';
import { systemClock } from '../../src/clock.ts';
import { makeLog } from '../../src/log.ts';
import { makeAuthenticate } from '../../src/security/authenticate.ts';
import { remoteIssuer } from '../../src/security/remote-issuer.ts';
import { type ApiServer, apiServer } from '../support/api-server.ts';
import { type OAuthServer, oauthServer } from '../support/oauth-server.ts';

const quiet = makeLog('silent');

const authenticateBy = (issuer: OAuthServer) =>
  makeAuthenticate(
    remoteIssuer(issuer.issuer, issuer.audience, { clock: systemClock, log: quiet }),
    () => new Date(),
  );

describe('tokens of an external issuer', () => {
  let issuer: OAuthServer;
  let api: ApiServer;
  beforeAll(async () => {
    issuer = await oauthServer();
    api = await apiServer({}, { authenticate: authenticateBy(issuer), auth: issuer, embeddedIssuer: null });
  });
  afterAll(async () => {
    await api.close();
    await issuer.close();
  });

  const now = () => Math.floor(Date.now() / 1000);
  const enter = async (authorization: string) => {
    const { status, headers, data, errors } = await api.post(
      JSON.stringify({ query: '{ viewer { subject clientId roles scopes isMachine } }' }),
      { authorization },
    );
    return {
      status,
      challenge: headers.get('www-authenticate'),
      viewer: data?.['viewer'],
      message: errors[0]?.message,
    };
  };
  const refused = (token: string) =>
    expect(enter(`Bearer ${token}`)).resolves.toMatchObject({
      status: 401,
      challenge: expect.stringContaining('error="invalid_token"'),
      viewer: undefined,
    });

  it('lets a valid token in, with the rights of its scopes', async () => {
    const token = await issuer.sign({ scope: 'openid declutter:read declutter:plan declutter:execute' });
    expect(await enter(`Bearer ${token}`)).toMatchObject({
      status: 200,
      viewer: { subject: 'alice', clientId: 'console', roles: ['OPERATOR'], isMachine: false },
    });
    expect((await enter(`bearer ${token}`)).status).toBe(200);
  });

  it('gives a token with one scope that right alone', async () => {
    const token = await issuer.sign({ scope: 'declutter:read declutter:plan' });
    expect(await enter(`Bearer ${token}`)).toMatchObject({
      viewer: { roles: ['VIEWER'], scopes: ['declutter:read', 'declutter:plan'] },
    });
  });

  it('takes roles from a claim of that name', async () => {
    const token = await issuer.sign({ scope: 'openid', roles: ['declutter:APPROVER', 'other', 'ADMIN'] });
    expect(await enter(`Bearer ${token}`)).toMatchObject({ viewer: { roles: ['APPROVER'] } });
  });

  it('knows tokens of machines', async () => {
    for (const claims of [
      { sub: 'console' },
      { gty: 'client-credentials' },
      { preferred_username: 'service-account-x' },
    ]) {
      expect(await enter(`Bearer ${await issuer.sign(claims)}`)).toMatchObject({
        viewer: { isMachine: true },
      });
    }
  });

  it('asks for a token, and says where tokens come from, when there is none', async () => {
    const answer = await api.ask(null, '{ viewer { subject } }');
    expect(answer.status).toBe(401);
    expect(answer.errors[0]?.extensions['code']).toBe('UNAUTHENTICATED');
    const challenge = answer.headers.get('www-authenticate');
    expect(challenge).toMatch(/^Bearer realm="declutter"/);
    expect(challenge).not.toContain('error');
    expect(challenge).toContain(
      'resource_metadata="https://declutter.example/.well-known/oauth-protected-resource/graphql"',
    );
    expect((await enter('Basic YTpi')).status).toBe(401);
  });

  it('refuses what is no bearer token', async () => {
    const token = await issuer.sign();
    expect((await enter(`Bearer  ${token}`)).status).toBe(401);
    expect((await enter('Bearer ')).status).toBe(401);
    expect((await enter('Bearer garbage')).status).toBe(401);
    expect((await enter(`Bearer ${'a'.repeat(9_000)}`)).status).toBe(401);
  });

  it('refuses two tokens, and a token in the address or the body', async () => {
    const token = await issuer.sign();
    const body = JSON.stringify({ query: '{ viewer { subject } }' });
    expect(await twoHeaders(`${api.url}/graphql`, body, `Bearer ${token}`)).toBe(400);
    const json = { 'content-type': 'application/json' };
    expect(
      (await fetch(`${api.url}/graphql?access_token=${token}`, { method: 'POST', body, headers: json }))
        .status,
    ).toBe(400);
    const inBody = JSON.stringify({ query: '{ viewer { subject } }', access_token: token });
    expect((await fetch(`${api.url}/graphql`, { method: 'POST', body: inBody, headers: json })).status).toBe(
      400,
    );
  });

  it('refuses a token without a signature, or with one that is not of it', async () => {
    const [header, payload, signature] = (await issuer.sign()).split('.') as [string, string, string];
    const none = Buffer.from('{"alg":"none","typ":"at+jwt"}').toString('base64url');
    await refused(`${none}.${payload}.`);
    await refused(`${header}.${payload}.`);
    const claims = JSON.parse(Buffer.from(payload, 'base64url').toString()) as object;
    const tampered = Buffer.from(JSON.stringify({ ...claims, scope: 'declutter:admin' })).toString(
      'base64url',
    );
    await refused(`${header}.${tampered}.${signature}`);
  });

  it('refuses a token signed by the public key as if it were a secret', async () => {
    const pem = createPublicKey({ key: issuer.publicKey, format: 'jwk' }).export({
      type: 'spki',
      format: 'pem',
    });
    const header = Buffer.from('{"alg":"HS256","typ":"at+jwt","kid":"k1"}').toString('base64url');
    const payload = (await issuer.sign()).split('.')[1] ?? '';
    const signature = createHmac('sha256', pem).update(`${header}.${payload}`).digest('base64url');
    await refused(`${header}.${payload}.${signature}`);
  });

  it('tolerates a clock that is 3 seconds off, and not 10', async () => {
    expect((await enter(`Bearer ${await issuer.sign({ iat: now() - 60, exp: now() - 3 })}`)).status).toBe(
      200,
    );
    await refused(await issuer.sign({ iat: now() - 60, exp: now() - 10 }));
  });

  const wrongClaims: [string, () => Record<string, unknown>][] = [
    ['not valid yet', () => ({ nbf: now() + 60 })],
    ['from the future', () => ({ iat: now() + 3_600, exp: now() + 7_200 })],
    ['valid for ten years', () => ({ exp: now() + 315_360_000 })],
    ['for another API', () => ({ aud: 'https://other.example' })],
    ['for no API', () => ({ aud: undefined })],
    ['of another issuer', () => ({ iss: `${issuer.issuer}/` })],
    ['without jti', () => ({ jti: undefined })],
    ['without sub', () => ({ sub: undefined })],
    ['without client_id', () => ({ client_id: undefined })],
    ['without iat', () => ({ iat: undefined })],
    ['with an expiry that is a text', () => ({ exp: String(now() + 300) })],
    ['bound to a key', () => ({ cnf: { jkt: 'x' } })],
    ['with no scope of ours', () => ({ scope: 'openid profile' })],
    ['with a list of scopes', () => ({ scope: ['declutter:admin'] })],
    ['with scopes under another name', () => ({ scope: undefined, scp: ['declutter:admin'] })],
    ['with a scope of look-alike letters', () => ({ scope: 'dеclutter:admin' })],
  ];
  for (const [what, claims] of wrongClaims) {
    it(`refuses a token ${what}`, async () => refused(await issuer.sign(claims())));
  }

  it('refuses an ID token and unknown critical headers', async () => {
    await refused(await issuer.sign({}, { typ: 'JWT' }));
    const [, payload, signature] = (await issuer.sign()).split('.') as [string, string, string];
    const critical = Buffer.from('{"alg":"RS256","typ":"at+jwt","kid":"k1","crit":["x"],"x":1}').toString(
      'base64url',
    );
    await refused(`${critical}.${payload}.${signature}`);
  });

  it('refuses an encrypted token', async () => {
    const { publicKey } = await generateKeyPair('RSA-OAEP-256');
    const jwe = new CompactEncrypt(Buffer.from('{}')).setProtectedHeader({
      alg: 'RSA-OAEP-256',
      enc: 'A256GCM',
    });
    await refused(await jwe.encrypt(publicKey));
  });

  it('never follows a key that the token brings along', async () => {
    const attacker = await oauthServer();
    const { privateKey, publicKey } = await generateKeyPair('RS256', { extractable: true });
    const jwk = await exportJWK(publicKey);
    for (const header of [{ jku: `${attacker.issuer}/keys` }, { jwk }, { kid: '../../etc/passwd' }]) {
      const token = new SignJWT({ scope: 'declutter:admin', client_id: 'x', jti: randomUUID() })
        .setProtectedHeader({ alg: 'RS256', typ: 'at+jwt', kid: 'k1', ...header })
        .setIssuer(issuer.issuer)
        .setAudience(issuer.audience)
        .setSubject('x')
        .setIssuedAt()
        .setExpirationTime('5m');
      await refused(await token.sign(privateKey));
    }
    expect(attacker.keyFetches()).toBe(0);
    await attacker.close();
  });
});

describe('an address that sends many bad tokens', () => {
  it('is refused before any signature is checked', async () => {
    let checked = 0;
    const issuer = await oauthServer();
    const authenticate = authenticateBy(issuer);
    const api = await apiServer(
      {},
      {
        authenticate: (token) => {
          checked += 1;
          return authenticate(token);
        },
      },
    );
    const statuses: number[] = [];
    for (let i = 0; i < 103; i += 1) {
      const headers = { authorization: 'Bearer bad', 'x-forwarded-for': `10.0.0.${i}` };
      statuses.push((await api.post('{"query":"{ viewer { subject } }"}', headers)).status);
    }
    expect(statuses.slice(0, 100).every((status) => status === 401)).toBe(true);
    expect(statuses.slice(100)).toEqual([429, 429, 429]);
    expect(checked).toBe(100);
    await api.close();
    await issuer.close();
  });
});

function twoHeaders(url: string, body: string, value: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const sent = request(url, {
      method: 'POST',
      headers: [
        'content-type',
        'application/json',
        'content-length',
        String(body.length),
        'authorization',
        value,
        'authorization',
        value,
      ] as never,
    });
    sent.on('response', (response) => resolve(response.resume().statusCode ?? 0));
    sent.on('error', reject).end(body);
  });
}
