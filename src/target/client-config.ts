import { isIP } from 'node:net';
import type pg from 'pg';
import type { SessionSettings, TargetAddress } from './session.ts';

export function clientConfig(address: TargetAddress, settings: SessionSettings): pg.ClientConfig {
  return {
    host: address.ip,
    port: address.port,
    database: address.database,
    user: address.user,
    password: address.password,
    application_name: settings.applicationName.slice(0, 63),
    connectionTimeoutMillis: 10_000,
    keepAlive: true,
    ssl: address.tls === 'DISABLE' ? false : tlsOptions(address),
  };
}

function tlsOptions(address: TargetAddress) {
  return {
    rejectUnauthorized: address.tls === 'VERIFY_FULL',
    ...(address.ca === undefined ? {} : { ca: address.ca }),
    ...(isIP(address.host) === 0 ? { servername: address.host } : {}),
  };
}

/** A server that asks for the password in clear text or as MD5 is an impostor or badly set up: hang up before answering. */
export function refuseWeakPasswordChallenges(client: pg.Client): void {
  const connection = (
    client as unknown as { connection: NodeJS.EventEmitter & { stream: { destroy(e: Error): void } } }
  ).connection;
  for (const challenge of ['authenticationCleartextPassword', 'authenticationMD5Password']) {
    connection.prependListener(challenge, () =>
      connection.stream.destroy(
        Object.assign(new Error('The server asked for the password in a weak form.'), {
          code: 'weak log-in',
        }),
      ),
    );
  }
}
