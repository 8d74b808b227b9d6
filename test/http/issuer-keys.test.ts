import { describe, expect, it } from '@jest/globals';
import { systemClock } from '../../src/clock.ts';
import { makeLog } from '../../src/log.ts';
import { makeAuthenticate } from '../../src/security/authenticate.ts';
import { remoteIssuer } from '../../src/security/remote-issuer.ts';
import { apiServer } from '../support/api-server.ts';
import { type OAuthServer, oauthServer } from '../support/oauth-server.ts';

const quiet = makeLog('silent');

const authenticateBy = (issuer: OAuthServer) =>
  makeAuthenticate(
    remoteIssuer(issuer.issuer, issuer.audience, { clock: systemClock, log: quiet }),
    () => new Date(),
  );

describe('the keys of an issuer', () => {
  it('are asked for no more than twice by 50 tokens with made-up key ids', async () => {
    const issuer = await oauthServer();
    const authenticate = authenticateBy(issuer);
    await authenticate(await issuer.sign());
    for (let i = 0; i < 50; i += 1) {
      const token = await issuer.sign({}, { kid: `made-up-${i}` });
      await expect(authenticate(token)).rejects.toMatchObject({ code: 'UNAUTHENTICATED' });
    }
    expect(issuer.keyFetches()).toBeLessThanOrEqual(2);
    await issuer.close();
  });

  it('stay in use while the issuer is away', async () => {
    const issuer = await oauthServer();
    const authenticate = authenticateBy(issuer);
    await authenticate(await issuer.sign());
    issuer.answerKeysWith(500);
    expect((await authenticate(await issuer.sign())).principal.subject).toBe('alice');
    await issuer.close();
  });

  it('cannot be replaced by a redirect, and a token that cannot be checked is a 503 with Retry-After', async () => {
    const issuer = await oauthServer();
    issuer.answerKeysWith(302, { location: 'http://169.254.169.254/latest/meta-data' });
    const api = await apiServer(
      {},
      { authenticate: authenticateBy(issuer), auth: issuer, embeddedIssuer: null },
    );
    const token = await issuer.sign();
    const answer = await api.post(JSON.stringify({ query: '{ viewer { subject } }' }), {
      authorization: `Bearer ${token}`,
    });
    expect({ status: answer.status, code: answer.errors[0]?.extensions['code'] }).toEqual({
      status: 503,
      code: 'AUTHORIZATION_SERVER_UNAVAILABLE',
    });
    expect(Number(answer.headers.get('retry-after'))).toBeGreaterThan(0);
    await api.close();
    await issuer.close();
  });

  it('are found once the issuer has come up', async () => {
    const issuer = await oauthServer();
    await issuer.close();
    let ms = 0;
    const clock = { monotonicMs: () => ms };
    const trusted = remoteIssuer(issuer.issuer, issuer.audience, { clock, log: quiet });
    const authenticate = makeAuthenticate(trusted, () => new Date());
    const away = { code: 'AUTHORIZATION_SERVER_UNAVAILABLE' };
    await expect(authenticate(await issuer.sign())).rejects.toMatchObject(away);
    const back = await oauthServer(Number(new URL(issuer.issuer).port));
    const token = await back.sign();
    await expect(authenticate(token)).rejects.toMatchObject(away); // it is not asked again at once
    ms = 6_000;
    expect((await authenticate(token)).principal.subject).toBe('alice');
    await back.close();
  });
});
