import { REGISTER } from './prepare.ts';
import { elsewhere, type Row, rows } from './row.ts';
import { say, type Scene } from './scene.ts';

const BAD = '400 BAD_USER_INPUT';
const REGISTER_TEST = 'test/databases/register-database.test.ts';

/** With what the refusal repeats of a host or a password. */
const register = async (scene: Scene, change: object): Promise<string> =>
  say(
    await scene.ask('admin', REGISTER, { input: { ...scene.known.registration, name: 'other', ...change } }),
  );

const hosts = [
  '169.254.169.254',
  '0x7f000001',
  '127.1',
  '127.0.0.1',
  '[::ffff:127.0.0.1]',
  '/var/run/postgresql',
  '10.0.0.1',
];

export const TARGETS: readonly Row[] = [
  ...rows('X1', BAD, { 'a connection URL': { url: 'postgres://u:p@h/d' } }, register),
  ...rows('X2', BAD, Object.fromEntries(hosts.map((host) => [`the host ${host}`, { host }])), register),
  elsewhere(
    'X2',
    'names of metadata services',
    'test/target/address.test.ts',
    'is refused when another was named',
  ),
  elsewhere(
    'X3',
    'a name that leads elsewhere later',
    'test/databases/database-use-cases.test.ts',
    'checks the address at every look-up',
  ),
  elsewhere(
    'X4',
    'a server that asks for clear text',
    REGISTER_TEST,
    'hangs up on a server that asks for the password in clear text',
  ),
  ...rows(
    'X6',
    '200 TARGET_UNREACHABLE',
    { 'TLS where there is none': { tls: 'REQUIRE' }, 'a certificate that is none': { tls: 'VERIFY_FULL' } },
    register,
  ),
  ...rows(
    'X7',
    BAD,
    {
      'env:PATH': { passwordRef: 'env:PATH' },
      'env:DATABASE_URL': { passwordRef: 'env:DATABASE_URL' },
      'env:DECLUTTER_SECRET_KEY': { passwordRef: 'env:DECLUTTER_SECRET_KEY' },
      'file:/etc/shadow': { passwordRef: 'file:/etc/shadow' },
      'a way out of the folder': { passwordRef: 'file:/run/secrets/../../etc/passwd' },
      'a certificate of ours': { caRef: 'file:/etc/hostname' },
    },
    register,
  ),
  ...rows('X5', '200 TARGET_UNREACHABLE', { 'no password given': { passwordRef: null } }, register),
  elsewhere(
    'X9',
    'a password that was moved, cut or changed',
    'test/security/secret-box.test.ts',
    'stays shut for another database, for another key, and when a bit was changed or bytes are missing',
  ),
  ...rows('X10', '200 UNSAFE_OPERATION', { 'the control store': null }, (scene) =>
    register(scene, { database: scene.storeName }),
  ),
  ...rows('X11', '200 CONFLICT', { 'the same database again': {} }, register),
  ...rows('X13', '200 UNSAFE_OPERATION', { 'a superuser': { allowSuperuser: false } }, register),
  elsewhere(
    'X14',
    'a row of 256 MB',
    'test/engine/large-rows.test.ts',
    'stops the run, and nothing of it has changed',
  ),
  elsewhere(
    'X15',
    'a server that never answers',
    'test/target/silence.test.ts',
    'a server that falls silent',
  ),
  elsewhere(
    'X16',
    'damage to an archive',
    'test/engine/damage.test.ts',
    'is named by verify, and a restore puts nothing back',
  ),
];
