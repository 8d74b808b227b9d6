import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { promisify } from 'node:util';
import { DeclutterError } from '../errors.ts';

const run = promisify(execFile);

/** PostgreSQL refuses to run as root: then it runs as this OS user. */
const NAME = 'postgres';

/** How the server's programs are started. */
export interface ServerUser {
  /** As whom; null: as the user that we are. */
  readonly ids: { readonly uid: number; readonly gid: number } | null;
  /** What stands in front of the command, and changes the user itself. */
  readonly prefix: readonly string[];
}

/** Who runs the server: we ourselves, or as root the user postgres, who is made when there is none. */
export async function serverUser(): Promise<ServerUser> {
  if (process.getuid?.() !== 0) return { ids: null, prefix: [] };
  return { ids: (await lookUp()) ?? (await create()), prefix: [] };
}

/**
 * The same user, able to reach these paths. Root's projects often stand in a folder that others may not enter (/root, mktemp -d);
 * there the server gets the one capability that lets it pass, and stays without every other right of root.
 */
export async function reaching(user: ServerUser, paths: readonly string[]): Promise<ServerUser> {
  if (user.ids === null || (await reachesAll(user, paths))) return user;
  for (const capability of await usableCapabilities()) {
    const passing = { ids: user.ids, prefix: setpriv(user.ids, capability) };
    if (await reachesAll(passing, paths)) return passing;
  }
  throw new DeclutterError(
    'CONFIGURATION',
    `The embedded PostgreSQL runs as the user ${NAME}, who may not enter ${paths.join(' or ')}. ` +
      'Move the project or DECLUTTER_DATA_DIR, start as another user than root, or set DATABASE_URL.',
  );
}

/** Starts a program as that user, with nothing of our environment, which may hold secrets. */
export function spawnAs(
  user: ServerUser,
  command: readonly string[],
  options: {
    readonly cwd: string;
    readonly detached: boolean;
    readonly stdio: ('ignore' | 'pipe' | number)[];
  },
): ChildProcess {
  const [program = '', ...args] = [...user.prefix, ...command];
  return spawn(program, args, { ...options, ...idsToSet(user), env: ENVIRONMENT });
}

/** What a process is to be started as; whoever has a prefix is made by it. */
export const idsToSet = ({ ids, prefix }: ServerUser) => (prefix.length === 0 ? ids : null);

const ENVIRONMENT = {
  PATH: '/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin',
  LC_ALL: 'C',
  TZ: 'UTC',
};

async function lookUp(): Promise<{ uid: number; gid: number } | null> {
  const line = (await readFile('/etc/passwd', 'utf8'))
    .split('\n')
    .find((entry) => entry.startsWith(`${NAME}:`));
  const [, , uid, gid] = line?.split(':') ?? [];
  return uid === undefined || gid === undefined ? null : { uid: Number(uid), gid: Number(gid) };
}

async function create(): Promise<{ uid: number; gid: number }> {
  try {
    await run('useradd', [
      '--system',
      '--user-group',
      '--no-create-home',
      '--shell',
      '/usr/sbin/nologin',
      NAME,
    ]);
  } catch (cause) {
    if ((await lookUp()) === null) throw noUser(cause); // else another process has just made it
  }
  const ids = await lookUp();
  if (ids === null) throw noUser(null);
  return ids;
}

const noUser = (cause: unknown) =>
  new DeclutterError(
    'CONFIGURATION',
    `PostgreSQL refuses to run as root, and the OS user ${NAME} cannot be made. Make it, start as another user than root, or set DATABASE_URL.`,
    {},
    { cause },
  );

async function reachesAll(user: ServerUser, paths: readonly string[]): Promise<boolean> {
  const tests = paths.map((path) => `[ -x '${path.replaceAll("'", String.raw`'\''`)}' ]`).join(' && ');
  const [program, ...args] = [...user.prefix, '/bin/sh', '-c', tests];
  return run(program, args, { cwd: '/', ...idsToSet(user) }).then(
    () => true,
    () => false,
  );
}

const setpriv = ({ uid, gid }: { uid: number; gid: number }, capability: string): string[] => [
  'setpriv',
  ...['--reuid', String(uid), '--regid', String(gid), '--clear-groups'],
  ...['--inh-caps', `+${capability}`, '--ambient-caps', `+${capability}`],
  // else access(2), by which PostgreSQL looks for its own files, leaves the capability out for whoever is not root
  ...['--securebits', '+no_setuid_fixup'],
];

/** The mildest first; a container by default has the second only. */
async function usableCapabilities(): Promise<string[]> {
  const status = await readFile('/proc/self/status', 'utf8').catch(() => ''); // not Linux: none of this exists there
  const bounding = BigInt(`0x${/^CapBnd:\s*([0-9a-f]+)/m.exec(status)?.[1] ?? '0'}`);
  return [
    { name: 'dac_read_search', bit: 2n },
    { name: 'dac_override', bit: 1n },
  ].flatMap(({ name, bit }) => ((bounding >> bit) & 1n ? [name] : []));
}
