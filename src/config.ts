import { resolve } from 'node:path';
import ipaddr from 'ipaddr.js';
import { z } from 'zod';
import {
  failpoints,
  flag,
  hostList,
  interval,
  keyList,
  postgresUrl,
  secretKey,
  wholeNumber,
} from './config-values.ts';
import { DeclutterError } from './errors.ts';
import type { Failpoint } from './failpoint.ts';

/** Everything that can be set, validated and frozen; docs/configuration.md describes each variable. */
export interface Config {
  readonly production: boolean;
  readonly logLevel: LogLevel;
  /** How long a shutdown waits for what is under way. */
  readonly graceMs: number;
  /** Absolute; what the embedded mode keeps. */
  readonly dataDir: string;
  /** url null: embedded PostgreSQL under dataDir. */
  readonly store: { readonly url: string | null };
  readonly demo: boolean;
  readonly http: { readonly host: string; readonly port: number };
  /** null: the embedded issuer, on loopback. */
  readonly auth: { readonly issuer: string; readonly audience: string } | null;
  readonly targetHosts: readonly string[];
  /** Absolute; the root of the file store named "local". */
  readonly archiveDir: string;
  /** The bucket of the store named "s3"; null: there is none. */
  readonly s3: { readonly bucket: string; readonly endpoint: string | null; readonly region: string } | null;
  /** Per minute and principal. */
  readonly rate: { readonly points: number; readonly destructive: number };
  readonly lease: { readonly leaseMs: number; readonly heartbeatMs: number };
  /** How often workers take a snapshot of each database; null: never. */
  readonly snapshotEveryMs: number | null;
  /** How often workers read each archive back, and how fast; null: never. */
  readonly verify: { readonly everyMs: number | null; readonly bytesPerSecond: number };
  /** 32 bytes each; the first encrypts new archives, all decrypt. None: new archives are not encrypted. */
  readonly archiveKeys: readonly Buffer[];
  /** 32 bytes. null: made once in embedded mode, and required otherwise once a password is stored. */
  readonly secretKey: Buffer | null;
  /** Where tests make this process fail; always none in production. */
  readonly failpoints: readonly Failpoint[];
}

export type LogLevel = 'fatal' | 'error' | 'warn' | 'info' | 'debug' | 'silent';

export type Environment = Readonly<Record<string, string | undefined>>;

/** undefined: not set; an empty text counts as not set, since that is what a compose file passes on. */
const VARIABLES = {
  NODE_ENV: z.string().default('development'),
  DATABASE_URL: postgresUrl.optional(),
  DECLUTTER_DATA_DIR: z.string().default('.declutter'),
  DECLUTTER_HOST: z
    .string()
    .regex(/^[\w.:-]+$/, 'must be a host name or an IP address')
    .default('127.0.0.1'),
  DECLUTTER_PORT: wholeNumber(0, 65_535).default(4000),
  DECLUTTER_DEMO: flag.optional(),
  DECLUTTER_AUTH_ISSUER: z.string().optional(),
  DECLUTTER_AUTH_AUDIENCE: z.string().optional(),
  DECLUTTER_AUTH_ALLOW_HTTP: flag.default(false),
  DECLUTTER_TARGET_HOSTS: hostList.default([]),
  DECLUTTER_ARCHIVE_DIR: z.string().optional(),
  DECLUTTER_ARCHIVE_KEYS: keyList.optional(),
  DECLUTTER_S3_BUCKET: z
    .string()
    .regex(/^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/, 'must be the name of a bucket')
    .optional(),
  DECLUTTER_S3_ENDPOINT: z.string().optional(),
  DECLUTTER_S3_REGION: z
    .string()
    .regex(/^[a-z0-9-]{1,40}$/, 'must be the name of a region, such as eu-central-1')
    .optional(),
  DECLUTTER_S3_ALLOW_HTTP: flag.default(false),
  DECLUTTER_RATE_POINTS: wholeNumber(1, 100_000_000).default(6_000),
  DECLUTTER_RATE_DESTRUCTIVE: wholeNumber(1, 1_000_000).default(30),
  DECLUTTER_LEASE_MS: wholeNumber(200, 3_600_000).default(30_000),
  DECLUTTER_HEARTBEAT_MS: wholeNumber(50, 600_000).default(5_000),
  DECLUTTER_SNAPSHOT_EVERY: interval.default(6 * 3_600_000),
  DECLUTTER_VERIFY_EVERY: interval.default(30 * 86_400_000),
  DECLUTTER_VERIFY_MB_PER_SECOND: wholeNumber(1, 10_000).default(20),
  DECLUTTER_SECRET_KEY: secretKey.optional(),
  DECLUTTER_GRACE_MS: wholeNumber(0, 600_000).default(10_000),
  DECLUTTER_FAILPOINTS: failpoints.optional(),
  DECLUTTER_LOG_LEVEL: z
    .enum(['fatal', 'error', 'warn', 'info', 'debug', 'silent'], {
      message: 'must be fatal, error, warn, info, debug or silent',
    })
    .default('info'),
} satisfies Record<string, z.ZodType>;

type Values = { readonly [Name in keyof typeof VARIABLES]: z.output<(typeof VARIABLES)[Name]> };

/** Variables that other parts of this package read under these names: passwords of targets, and what clients and tests use. */
const NOT_OURS = /^DECLUTTER_(?:TARGET_(?!HOST)\w+|URL|TOKEN|CLIENT_ID|CLIENT_SECRET|BENCH_\w+|TEST_\w+)$/;

interface Problem {
  readonly variable: string;
  readonly problem: string;
}

/** @throws DeclutterError CONFIGURATION that lists every problem at once, and never a value, which may be a secret. */
export function loadConfig(environment: Environment): Config {
  const env = Object.fromEntries(Object.entries(environment).filter(([, value]) => value !== ''));
  const { values, problems } = readVariables(env);
  problems.push(...unknownVariables(env), ...CONFLICTS.flatMap((check) => check(values) ?? []));
  if (problems.length > 0) throw configurationError(problems);
  return deepFreeze(configOf(values as Values));
}

function readVariables(env: Environment): { values: Partial<Values>; problems: Problem[] } {
  const values: Record<string, unknown> = {};
  const problems: Problem[] = [];
  for (const [variable, schema] of Object.entries(VARIABLES)) {
    const result = schema.safeParse(env[variable]);
    if (result.success) values[variable] = result.data;
    else problems.push({ variable, problem: result.error.issues[0]?.message ?? 'is not valid' });
  }
  return { values, problems };
}

/** A misspelt name would leave its default in force without a word. */
function unknownVariables(env: Environment): Problem[] {
  return Object.keys(env)
    .filter((name) => name.startsWith('DECLUTTER_') && !(name in VARIABLES) && !NOT_OURS.test(name))
    .map((variable) => ({ variable, problem: 'is not a variable of this version' }));
}

type Conflict = (values: Partial<Values>) => Problem | null;

const CONFLICTS: readonly Conflict[] = [
  ({ DECLUTTER_AUTH_ISSUER: issuer, DECLUTTER_AUTH_AUDIENCE: audience }) =>
    (issuer === undefined) === (audience === undefined)
      ? null
      : {
          variable: issuer === undefined ? 'DECLUTTER_AUTH_ISSUER' : 'DECLUTTER_AUTH_AUDIENCE',
          problem: 'is missing: the issuer and the audience are set together',
        },
  ({ DECLUTTER_AUTH_ISSUER: issuer, DECLUTTER_AUTH_ALLOW_HTTP: allowHttp }) =>
    issuer === undefined || isSafeUrl(issuer, allowHttp ?? false)
      ? null
      : {
          variable: 'DECLUTTER_AUTH_ISSUER',
          problem:
            'must be an https URL without query (http: on loopback, or with DECLUTTER_AUTH_ALLOW_HTTP=1)',
        },
  ({ DECLUTTER_AUTH_ISSUER: issuer, DECLUTTER_HOST: host }) =>
    issuer !== undefined || host === undefined || isLoopback(host)
      ? null
      : {
          variable: 'DECLUTTER_HOST',
          problem:
            'must be loopback (127.0.0.1) as long as DECLUTTER_AUTH_ISSUER is not set: the embedded issuer is for this machine only',
        },
  ({ DECLUTTER_S3_ENDPOINT: endpoint, DECLUTTER_S3_ALLOW_HTTP: allowHttp }) =>
    endpoint === undefined || isSafeUrl(endpoint, allowHttp ?? false)
      ? null
      : {
          variable: 'DECLUTTER_S3_ENDPOINT',
          problem:
            'must be an https URL without name, password and query (http: on loopback, or with DECLUTTER_S3_ALLOW_HTTP=1)',
        },
  ({ DECLUTTER_S3_BUCKET: bucket, DECLUTTER_S3_ENDPOINT: endpoint, DECLUTTER_S3_REGION: region }) =>
    bucket !== undefined || (endpoint === undefined && region === undefined)
      ? null
      : {
          variable: 'DECLUTTER_S3_BUCKET',
          problem: 'is missing: an endpoint and a region are those of a bucket',
        },
  ({ DECLUTTER_DEMO: demo, DATABASE_URL: url }) =>
    demo === true && url !== undefined
      ? {
          variable: 'DECLUTTER_DEMO',
          problem: 'must be 0 with DATABASE_URL: the demo shop lives in the embedded PostgreSQL',
        }
      : null,
  ({ DECLUTTER_LEASE_MS: lease, DECLUTTER_HEARTBEAT_MS: heartbeat }) =>
    lease !== undefined && heartbeat !== undefined && lease < 2 * heartbeat
      ? {
          variable: 'DECLUTTER_LEASE_MS',
          problem: 'must be at least twice DECLUTTER_HEARTBEAT_MS, or one late heartbeat loses the lease',
        }
      : null,
  ({ DECLUTTER_FAILPOINTS: points, NODE_ENV: environment }) =>
    points !== undefined && environment === 'production'
      ? { variable: 'DECLUTTER_FAILPOINTS', problem: 'must not be set in production: it is for tests' }
      : null,
];

function configOf(values: Values): Config {
  const dataDir = resolve(values.DECLUTTER_DATA_DIR);
  const {
    DATABASE_URL: url = null,
    DECLUTTER_AUTH_ISSUER: issuer,
    DECLUTTER_AUTH_AUDIENCE: audience,
  } = values;
  return {
    production: values.NODE_ENV === 'production',
    logLevel: values.DECLUTTER_LOG_LEVEL,
    graceMs: values.DECLUTTER_GRACE_MS,
    dataDir,
    store: { url },
    demo: values.DECLUTTER_DEMO ?? url === null,
    http: { host: values.DECLUTTER_HOST, port: values.DECLUTTER_PORT },
    auth: issuer === undefined || audience === undefined ? null : { issuer, audience },
    targetHosts: values.DECLUTTER_TARGET_HOSTS,
    archiveDir: resolve(values.DECLUTTER_ARCHIVE_DIR ?? `${dataDir}/archives`),
    s3: bucketOf(values),
    archiveKeys: values.DECLUTTER_ARCHIVE_KEYS ?? [],
    rate: { points: values.DECLUTTER_RATE_POINTS, destructive: values.DECLUTTER_RATE_DESTRUCTIVE },
    lease: { leaseMs: values.DECLUTTER_LEASE_MS, heartbeatMs: values.DECLUTTER_HEARTBEAT_MS },
    snapshotEveryMs: values.DECLUTTER_SNAPSHOT_EVERY || null,
    verify: {
      everyMs: values.DECLUTTER_VERIFY_EVERY || null,
      bytesPerSecond: values.DECLUTTER_VERIFY_MB_PER_SECOND * 1_000_000,
    },
    secretKey: values.DECLUTTER_SECRET_KEY ?? null,
    failpoints: values.DECLUTTER_FAILPOINTS ?? [],
  };
}

const bucketOf = ({
  DECLUTTER_S3_BUCKET: bucket,
  DECLUTTER_S3_ENDPOINT: endpoint,
  DECLUTTER_S3_REGION: region = 'us-east-1',
}: Values): Config['s3'] => (bucket === undefined ? null : { bucket, endpoint: endpoint ?? null, region });

/** The names, for the test that keeps docs/configuration.md complete. */
export const VARIABLE_NAMES: readonly string[] = Object.keys(VARIABLES);

/**
 * This process's environment. Takes libpq's variables out of it for good: node-postgres would send PGPASSWORD to any
 * server that merely asks for a password.
 */
export function processEnvironment(): Environment {
  for (const name of Object.keys(process.env)) if (/^PG[A-Z]/.test(name)) delete process.env[name];
  return { ...process.env };
}

function isSafeUrl(text: string, allowHttp: boolean): boolean {
  const url = URL.parse(text);
  if (url === null || url.search !== '' || url.hash !== '' || url.username !== '') return false;
  return url.protocol === 'https:' || (url.protocol === 'http:' && (allowHttp || isLoopback(url.hostname)));
}

function isLoopback(host: string): boolean {
  const bare = host.replace(/^\[|\]$/g, '');
  return bare === 'localhost' || (ipaddr.isValid(bare) && ipaddr.process(bare).range() === 'loopback');
}

function configurationError(problems: readonly Problem[]): DeclutterError {
  const lines = problems.map(({ variable, problem }) => `  ${variable} ${problem}`);
  const message = `The configuration is not valid (docs/configuration.md):\n${lines.join('\n')}`;
  return new DeclutterError('CONFIGURATION', message, { problems });
}

/** Buffers cannot be frozen. */
function deepFreeze<T extends object>(value: T): T {
  for (const inner of Object.values(value) as unknown[]) {
    if (typeof inner === 'object' && inner !== null && !Buffer.isBuffer(inner)) deepFreeze(inner);
  }
  return Object.freeze(value);
}
