import { readFile } from 'node:fs/promises';
import { describe, expect, it } from '@jest/globals';
import { loadConfig, VARIABLE_NAMES } from '../src/config.ts';
import { DeclutterError } from '../src/errors.ts';

const KEY = Buffer.alloc(32, 7);

function problemsOf(env: Record<string, string>): string[] {
  try {
    loadConfig(env);
  } catch (error) {
    if (!(error instanceof DeclutterError)) throw error;
    expect(error.code).toBe('CONFIGURATION');
    return (error.details['problems'] as { variable: string }[]).map(({ variable }) => variable).sort();
  }
  return [];
}

const REFUSED: [Record<string, string>, string, string][] = [
  [{ DECLUTTER_HOST: '0.0.0.0' }, 'DECLUTTER_HOST', 'the embedded issuer beyond loopback'],
  [{ DECLUTTER_HOST: '192.168.1.5' }, 'DECLUTTER_HOST', 'the embedded issuer on a private network'],
  [
    { DECLUTTER_DEMO: '1', DATABASE_URL: 'postgres://db/x' },
    'DECLUTTER_DEMO',
    "a demo in somebody else's server",
  ],
  [{ DECLUTTER_LEASE_MS: '5000' }, 'DECLUTTER_LEASE_MS', 'a lease that one late heartbeat loses'],
  [
    { DECLUTTER_AUTH_ISSUER: 'http://id.example.com', DECLUTTER_AUTH_AUDIENCE: 'x' },
    'DECLUTTER_AUTH_ISSUER',
    'an issuer in clear text',
  ],
  [
    { DECLUTTER_AUTH_ISSUER: 'https://id.example.com?x=1', DECLUTTER_AUTH_AUDIENCE: 'x' },
    'DECLUTTER_AUTH_ISSUER',
    'an issuer with a query',
  ],
  [{ DECLUTTER_S3_REGION: 'eu-central-1' }, 'DECLUTTER_S3_BUCKET', 'the region of no bucket'],
  [
    { DECLUTTER_S3_BUCKET: 'rows', DECLUTTER_S3_ENDPOINT: 'http://minio:9000' },
    'DECLUTTER_S3_ENDPOINT',
    'rows that travel in clear text',
  ],
  [{ DECLUTTER_SNAPSHOT_EVERY: '6h' }, 'DECLUTTER_SNAPSHOT_EVERY', 'an interval that is not ISO 8601'],
  [{ DECLUTTER_SNAPSHOT_EVERY: 'PT5S' }, 'DECLUTTER_SNAPSHOT_EVERY', 'snapshots without a pause'],
  [
    { DECLUTTER_ARCHIVE_KEYS: `${Buffer.alloc(32).toString('hex')},short` },
    'DECLUTTER_ARCHIVE_KEYS',
    'a short key of archives',
  ],
  [{ DECLUTTER_SECRET_KEY: Buffer.alloc(16).toString('base64') }, 'DECLUTTER_SECRET_KEY', 'a short key'],
  [
    { DECLUTTER_FAILPOINTS: 'batch.treated=kill', NODE_ENV: 'production' },
    'DECLUTTER_FAILPOINTS',
    'failpoints in production',
  ],
  [{ DECLUTTER_FAILPOINTS: 'batch.treated=die' }, 'DECLUTTER_FAILPOINTS', 'a failpoint that does nothing'],
];

describe('loadConfig', () => {
  it('has a default for everything but secrets, and the demo only in embedded mode', () => {
    const config = loadConfig({});
    expect(config).toMatchObject({
      store: { url: null },
      demo: true,
      http: { host: '127.0.0.1', port: 4000 },
      auth: null,
      targetHosts: [],
      rate: { points: 6000, destructive: 30 },
      lease: { leaseMs: 30_000, heartbeatMs: 5_000 },
      archiveKeys: [],
      secretKey: null,
    });
    expect(config.snapshotEveryMs).toBe(6 * 3_600_000);
    expect(loadConfig({ DECLUTTER_SNAPSHOT_EVERY: 'P1DT12H' }).snapshotEveryMs).toBe(36 * 3_600_000);
    expect(loadConfig({ DECLUTTER_SNAPSHOT_EVERY: '0' }).snapshotEveryMs).toBeNull();
    expect(config.dataDir).toMatch(/^\/.*\/\.declutter$/);
    expect(config.archiveDir).toBe(`${config.dataDir}/archives`);
    expect(loadConfig({ DATABASE_URL: 'postgres://a:b@db/c' }).demo).toBe(false);
  });

  it('cannot be changed afterwards, at any depth', () => {
    const config = loadConfig({ DECLUTTER_SECRET_KEY: KEY.toString('base64') });
    expect(() => Object.assign(config.http, { host: '0.0.0.0' })).toThrow(TypeError);
    expect(() => (config.targetHosts as string[]).push('10.0.0.1')).toThrow(TypeError);
    expect(config.http.host).toBe('127.0.0.1');
  });

  it('reads every kind of value', () => {
    const config = loadConfig({
      DATABASE_URL: 'postgresql://a:b@db/c',
      DECLUTTER_HOST: '0.0.0.0',
      DECLUTTER_PORT: '0',
      DECLUTTER_AUTH_ISSUER: 'https://id.example.com/realms/x',
      DECLUTTER_AUTH_AUDIENCE: 'declutter',
      DECLUTTER_TARGET_HOSTS: ' DB.example.com, ,10.20.0.0/16',
      DECLUTTER_ARCHIVE_DIR: '/srv/archives',
      DECLUTTER_S3_BUCKET: 'rows',
      DECLUTTER_S3_ENDPOINT: 'https://minio.example.com:9000',
      DECLUTTER_ARCHIVE_KEYS: `${KEY.toString('base64')}, ${KEY.toString('hex')}`,
      DECLUTTER_SECRET_KEY: KEY.toString('hex'),
      DECLUTTER_DEMO: '',
      NODE_ENV: 'production',
    });
    expect(config).toMatchObject({
      production: true,
      store: { url: 'postgresql://a:b@db/c' },
      http: { host: '0.0.0.0', port: 0 },
      auth: { issuer: 'https://id.example.com/realms/x', audience: 'declutter' },
      targetHosts: ['db.example.com', '10.20.0.0/16'],
      archiveDir: '/srv/archives',
      s3: { bucket: 'rows', endpoint: 'https://minio.example.com:9000', region: 'us-east-1' },
      demo: false,
    });
    expect(config.secretKey?.equals(KEY)).toBe(true);
    expect(config.archiveKeys.map((key) => key.equals(KEY))).toEqual([true, true]);
  });

  it('names every problem at once, and none of the values', () => {
    const env = {
      DATABASE_URL: 'mysql://root:hunter2@db/x',
      DECLUTTER_PORT: '70000',
      DECLUTTER_HEARTBEAT_MS: '5s',
      DECLUTTER_SECRET_KEY: 'hunter2',
      DECLUTTER_LOG_LEVEL: 'chatty',
      DECLUTTER_AUTH_AUDIENCE: 'declutter',
      DECLUTTER_TARGET_HOST: 'hunter2',
    };
    expect(problemsOf(env)).toEqual(
      [
        ...Object.keys(env).filter((name) => name !== 'DECLUTTER_AUTH_AUDIENCE'),
        'DECLUTTER_AUTH_ISSUER',
      ].sort(),
    );
    expect(() => loadConfig(env)).toThrow(/DECLUTTER_PORT must be a whole number/);
    expect(() => loadConfig(env)).not.toThrow(/hunter2|mysql/);
  });

  it.each(REFUSED)('refuses %j: %s, %s', (env, variable) => {
    expect(problemsOf(env)).toEqual([variable]);
  });

  it('accepts an issuer in clear text on loopback, and elsewhere only when told so', () => {
    const audience = { DECLUTTER_AUTH_AUDIENCE: 'x' };
    expect(problemsOf({ ...audience, DECLUTTER_AUTH_ISSUER: 'http://127.0.0.1:8080/realms/x' })).toEqual([]);
    expect(
      problemsOf({ ...audience, DECLUTTER_AUTH_ISSUER: 'http://id:8080/x', DECLUTTER_AUTH_ALLOW_HTTP: '1' }),
    ).toEqual([]);
  });

  it('leaves alone the passwords of targets and what clients use', () => {
    expect(
      problemsOf({ DECLUTTER_TARGET_ORDERS_PASSWORD: 'x', DECLUTTER_URL: 'x', DECLUTTER_CLIENT_ID: 'x' }),
    ).toEqual([]);
  });
});

describe('docs/configuration.md', () => {
  it('describes every variable, and none that does not exist', async () => {
    const text = await readFile(new URL('../docs/configuration.md', import.meta.url), 'utf8');
    const described = [...text.matchAll(/^\| `([A-Z0-9_]+)` \|/gm)].map((match) => match[1] ?? '');
    expect(
      described
        .filter((name) => !['DECLUTTER_URL', 'DECLUTTER_TOKEN', 'DECLUTTER_CLIENT_ID'].includes(name))
        .sort(),
    ).toEqual([...VARIABLE_NAMES].sort());
  });
});
