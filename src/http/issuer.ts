import type { RequestHandler } from 'express';
import Provider, { type Adapter, type Configuration } from 'oidc-provider';
import type { Log } from '../log.ts';
import { ALL_SCOPES } from '../security/permissions.ts';
import type { EmbeddedClient, EmbeddedIssuer } from '../security/embedded-issuer.ts';

/** Tokens from the endpoint live this long: a program asks for the next one by itself. */
const TOKEN_LIFE_S = 900;

const ROUTES = { token: '/oauth/token', jwks: '/oauth/jwks' };
const PATHS = new Set(Object.values(ROUTES));

export const isIssuerPath = (path: string): boolean => PATHS.has(path);

/** OAuth 2 client credentials at POST /oauth/token, for the embedded mode. Serves the paths of isIssuerPath. */
export function issuerHandler(issuer: EmbeddedIssuer, log: Log): RequestHandler {
  const provider = new Provider(issuer.issuer, configurationOf(issuer));
  provider.on('server_error', (_context, error: Error) =>
    log.error({ err: error }, 'the embedded issuer failed'),
  );
  const handle = provider.callback();
  return (request, response) => handle(request, response);
}

/** Clients come from a file and tokens are signed, so there is nothing to keep. */
const NOTHING_KEPT: Adapter = {
  upsert: async () => undefined,
  find: async () => undefined,
  findByUserCode: async () => undefined,
  findByUid: async () => undefined,
  consume: async () => undefined,
  destroy: async () => undefined,
  revokeByGrantId: async () => undefined,
};

function configurationOf(issuer: EmbeddedIssuer): Configuration {
  return {
    adapter: () => NOTHING_KEPT,
    clients: issuer.clients.map(clientMetadata),
    jwks: { keys: [issuer.privateKey] },
    scopes: [...ALL_SCOPES],
    responseTypes: [],
    routes: ROUTES,
    ttl: { ClientCredentials: TOKEN_LIFE_S },
    enabledJWA: { idTokenSigningAlgValues: ['ES256'] },
    features: {
      clientCredentials: { enabled: true },
      devInteractions: { enabled: false },
      userinfo: { enabled: false },
      rpInitiatedLogout: { enabled: false },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => issuer.audience,
        getResourceServerInfo: (ctx, _resource, client) => {
          // Without a scope the token would have none; a client that asks for nothing gets all that it may have.
          const { params } = ctx.oidc;
          if (params && params['scope'] === undefined) params['scope'] = client.scope;
          return {
            scope: ALL_SCOPES.join(' '),
            audience: issuer.audience,
            accessTokenFormat: 'jwt',
            accessTokenTTL: TOKEN_LIFE_S,
            jwt: { sign: { alg: 'ES256' } },
          };
        },
      },
    },
  };
}

const clientMetadata = ({ id, secret, scope }: EmbeddedClient) => ({
  client_id: id,
  client_secret: secret,
  scope,
  grant_types: ['client_credentials'],
  response_types: [],
  redirect_uris: [],
  id_token_signed_response_alg: 'ES256' as const,
});
