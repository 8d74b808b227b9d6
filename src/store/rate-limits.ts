import pg from 'pg';
import {
  type IRateLimiterRes,
  RateLimiterMemory,
  RateLimiterPostgres,
  RateLimiterRes,
} from 'rate-limiter-flexible';
import { DeclutterError } from '../errors.ts';

export interface Allowance {
  readonly limit: number;
  readonly remaining: number;
  readonly resetsInSeconds: number;
}

/** Buckets that all API processes share. */
export interface RateLimits {
  /** Takes points for an operation. @throws RATE_LIMITED, with details.retryAfterMs and details.allowance */
  charge(principal: string, points: number): Promise<Allowance>;
  /** Takes one for a destructive mutation. @throws RATE_LIMITED; STORE_UNAVAILABLE when it cannot be counted */
  chargeDestructive(principal: string): Promise<void>;
  close(): Promise<void>;
}

const SCHEMA = 'rate_limit';
const WINDOW_S = 60;
/** Two processes that start at once would both create the schema. */
const SETUP_LOCK = 0x72617465;
const TABLE = 'bucket';

/** Opens the buckets in a schema of their own within the control store. */
export async function openRateLimits(
  url: string,
  { points, destructive }: { readonly points: number; readonly destructive: number },
): Promise<RateLimits> {
  const pool = new pg.Pool({
    connectionString: url,
    application_name: 'declutter/rate',
    max: 4,
    connectionTimeoutMillis: 2_000,
    statement_timeout: 2_000,
  });
  pool.on('error', () => undefined); // an idle connection was lost; the pool opens another
  await setUp(pool);
  const shared = {
    storeClient: pool,
    storeType: 'pool',
    schemaName: SCHEMA,
    tableName: TABLE,
    tableCreated: true,
    clearExpiredByTimeout: true,
    duration: WINDOW_S,
  };
  // While the store is away each process counts for itself; destructive mutations are refused instead.
  const insurance = new RateLimiterMemory({ keyPrefix: 'points', points, duration: WINDOW_S });
  const operations = new RateLimiterPostgres({
    ...shared,
    keyPrefix: 'points',
    points,
    insuranceLimiter: insurance,
  });
  const mutations = new RateLimiterPostgres({ ...shared, keyPrefix: 'destructive', points: destructive });
  return {
    charge: async (principal, cost) => {
      const left = await consume(operations, principal, cost, points);
      return allowanceOf(left, points);
    },
    chargeDestructive: async (principal) => {
      await consume(mutations, principal, 1, destructive);
    },
    close: () => pool.end(),
  };
}

async function setUp(pool: pg.Pool): Promise<void> {
  // One message is one transaction, at whose end the lock is let go.
  await pool.query(`SELECT pg_advisory_xact_lock(${SETUP_LOCK});
    CREATE SCHEMA IF NOT EXISTS ${SCHEMA};
    CREATE TABLE IF NOT EXISTS ${SCHEMA}.${TABLE} (key text PRIMARY KEY, points integer NOT NULL DEFAULT 0, expire bigint)`);
}

async function consume(
  limiter: RateLimiterPostgres,
  key: string,
  cost: number,
  limit: number,
): Promise<RateLimiterRes> {
  try {
    return await limiter.consume(key, cost);
  } catch (refusal) {
    if (refusal instanceof RateLimiterRes) throw limited(refusal, limit);
    const message = 'The control store does not answer, so this cannot be counted; try again in a moment.';
    throw new DeclutterError('STORE_UNAVAILABLE', message, {}, { cause: refusal });
  }
}

function limited(left: RateLimiterRes, limit: number): DeclutterError {
  const allowance = allowanceOf(left, limit);
  return new DeclutterError(
    'RATE_LIMITED',
    `Too much at once. Try again in ${allowance.resetsInSeconds} s.`,
    {
      retryAfterMs: left.msBeforeNext,
      limit,
    },
  );
}

const allowanceOf = ({ remainingPoints, msBeforeNext }: IRateLimiterRes, limit: number): Allowance => ({
  limit,
  remaining: Math.max(0, remainingPoints ?? 0),
  resetsInSeconds: Math.ceil(Math.max(0, msBeforeNext ?? 0) / 1000),
});
