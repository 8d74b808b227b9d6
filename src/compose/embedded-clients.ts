import { access } from 'node:fs/promises';
import { join } from 'node:path';
import { systemClock } from '../clock.ts';
import type { Config } from '../config.ts';
import { DeclutterError } from '../errors.ts';
import { issueToken, openEmbeddedIssuer } from '../security/embedded-issuer.ts';
import { secretsFolder } from '../store/secret-file.ts';

/** An access token of the embedded issuer, signed by its key: works whether or not a server is running. */
export async function composeToken(config: Config, client: string): Promise<string> {
  if (config.auth !== null) {
    throw new DeclutterError(
      'CONFIGURATION',
      `Tokens come from ${config.auth.issuer} (DECLUTTER_AUTH_ISSUER); ask it for one.`,
    );
  }
  const issuer = await openEmbeddedIssuer(await secretsFolder(config.dataDir));
  return issueToken(issuer, client, systemClock.now());
}

/** The same for commands on the server's own machine; null where there is no embedded issuer. */
export async function localToken(config: Config, client: string): Promise<string | null> {
  const isHere = await access(join(config.dataDir, 'secrets', 'clients.json')).then(
    () => true,
    () => false, // another machine, another user, or no server was ever started here
  );
  return isHere && config.auth === null ? composeToken(config, client) : null;
}
