import type { Credentials } from './access-token.ts';
import { ApiError } from './api-error.ts';
import type { ClientSettings } from './api-client.ts';

/** What a client command reads of the environment. */
export interface ClientEnvironment {
  readonly DECLUTTER_URL?: string | undefined;
  readonly DECLUTTER_TOKEN?: string | undefined;
  readonly DECLUTTER_CLIENT_ID?: string | undefined;
  readonly DECLUTTER_CLIENT_SECRET?: string | undefined;
}

export const DEFAULT_URL = 'http://127.0.0.1:4000';

/** Credentials for a server on this machine, when there are any: those of the embedded issuer. */
export type LocalCredentials = () => Promise<Credentials | null>;

/** Secrets come by the environment, never by an option: everybody on the machine can read a process's options. @throws ApiError */
export async function clientSettings(
  environment: ClientEnvironment,
  url: string | undefined,
  local: LocalCredentials,
): Promise<ClientSettings> {
  const credentials = credentialsOf(environment) ?? (await local());
  if (credentials === null) {
    const ways = 'DECLUTTER_TOKEN, or DECLUTTER_CLIENT_ID and DECLUTTER_CLIENT_SECRET';
    throw new ApiError('UNAUTHENTICATED', `Nothing to log in with: set ${ways}.`, null);
  }
  return { url: url ?? environment.DECLUTTER_URL ?? DEFAULT_URL, credentials };
}

function credentialsOf(environment: ClientEnvironment): Credentials | null {
  if (environment.DECLUTTER_TOKEN) return { token: environment.DECLUTTER_TOKEN };
  const { DECLUTTER_CLIENT_ID: clientId, DECLUTTER_CLIENT_SECRET: clientSecret } = environment;
  return clientId && clientSecret ? { clientId, clientSecret } : null;
}
