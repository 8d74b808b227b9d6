import { ApiError } from './api-error.ts';

/** A token as it is, or the client credentials (OAuth 2) to get one with. */
export type Credentials =
  | { readonly token: string }
  | { readonly clientId: string; readonly clientSecret: string; readonly tokenUrl?: string };

export interface TokenSource {
  /** A token that is good for a while yet. @throws ApiError */
  get(): Promise<string>;
  /** The API has refused the token: the next one is a new one. false when there is no way to get another. */
  renew(): boolean;
}

/** A token is replaced this long before it ends, so that a request under way does not lose it. */
const SPARE_MS = 30_000;

export function tokenSource(baseUrl: string, credentials: Credentials, now: () => Date): TokenSource {
  if ('token' in credentials) {
    return { get: () => Promise.resolve(credentials.token), renew: () => false };
  }
  let held: { token: string; until: number } | null = null;
  return {
    async get() {
      if (held === null || held.until <= now().getTime()) {
        const answer = await requestToken(credentials.tokenUrl ?? `${baseUrl}/oauth/token`, credentials);
        held = { token: answer.token, until: now().getTime() + answer.expiresInMs - SPARE_MS };
      }
      return held.token;
    },
    renew() {
      held = null;
      return true;
    },
  };
}

/** No scope is named: an issuer then gives all that the client may have. */
async function requestToken(
  url: string,
  client: { readonly clientId: string; readonly clientSecret: string },
): Promise<{ token: string; expiresInMs: number }> {
  const login = [client.clientId, client.clientSecret].map(encodeURIComponent).join(':');
  const response = await fetch(url, {
    method: 'POST',
    headers: { authorization: `Basic ${Buffer.from(login).toString('base64')}` },
    body: new URLSearchParams({ grant_type: 'client_credentials' }),
    redirect: 'error',
    signal: AbortSignal.timeout(10_000),
  }).catch((cause: unknown) => {
    throw new ApiError('UNREACHABLE', `No answer from ${url}. Is it running?`, null, null, cause);
  });
  const answer = (await response.json().catch(() => ({}))) as TokenAnswer; // not JSON: the status says enough
  if (!response.ok || typeof answer.access_token !== 'string') {
    const reason = answer.error_description ?? answer.error ?? `HTTP ${response.status}`;
    throw new ApiError(
      'UNAUTHENTICATED',
      `No token for client ${client.clientId}: ${reason}.`,
      response.status,
    );
  }
  return { token: answer.access_token, expiresInMs: (answer.expires_in ?? 60) * 1000 };
}

interface TokenAnswer {
  readonly access_token?: string;
  readonly expires_in?: number;
  readonly error?: string;
  readonly error_description?: string;
}
