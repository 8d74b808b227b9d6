import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { randomUUID } from 'node:crypto';
import { exportJWK, generateKeyPair, type JWK, SignJWT } from 'jose';

type Claims = Record<string, unknown>;

/** An external issuer of access tokens, with discovery and a key set on loopback. */
export interface OAuthServer {
  readonly issuer: string;
  readonly audience: string;
  readonly publicKey: JWK;
  /** How often the key set was asked for. */
  readonly keyFetches: () => number;
  /** What the key set answers from now on: 200 with the keys, or another status. */
  answerKeysWith(status: number, headers?: Record<string, string>): void;
  /** A valid token, but for what is given; undefined takes a claim away. */
  sign(claims?: Claims, header?: Claims): Promise<string>;
  close(): Promise<void>;
}

export async function oauthServer(port = 0): Promise<OAuthServer> {
  const { privateKey, publicKey } = await generateKeyPair('RS256', { extractable: true });
  const jwk: JWK = { ...(await exportJWK(publicKey)), kid: 'k1', alg: 'RS256', use: 'sig' };
  const state = { fetches: 0, status: 200, headers: {} as Record<string, string> };
  const server = createServer((request, response) => {
    if (request.url === '/.well-known/openid-configuration') {
      return void response.end(JSON.stringify({ issuer, jwks_uri: `${issuer}/keys` }));
    }
    if (request.url !== '/keys') return void response.writeHead(404).end();
    state.fetches += 1;
    response.writeHead(state.status, state.headers).end(JSON.stringify({ keys: [jwk] }));
  });
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  const issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const audience = 'https://declutter.example/graphql';
  return {
    issuer,
    audience,
    publicKey: jwk,
    keyFetches: () => state.fetches,
    answerKeysWith: (status, headers = {}) => void Object.assign(state, { status, headers }),
    sign: (claims = {}, header = {}) => {
      const now = Math.floor(Date.now() / 1000);
      const all = {
        iss: issuer,
        aud: audience,
        sub: 'alice',
        client_id: 'console',
        iat: now,
        exp: now + 300,
        jti: randomUUID(),
        scope: 'declutter:read',
        ...claims,
      };
      const given = Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined));
      return new SignJWT(given)
        .setProtectedHeader({ alg: 'RS256', typ: 'at+jwt', kid: 'k1', ...header })
        .sign(privateKey);
    },
    close: () => closed(server),
  };
}

const closed = (server: Server) =>
  new Promise<void>((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
