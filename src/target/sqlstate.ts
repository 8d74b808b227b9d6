import { DeclutterError } from '../errors.ts';

/** What to do about a failure in a target, decided by SQLSTATE and never by message. */
export type FailureClass =
  | 'RETRY' // serialization, deadlock: roll back and try the batch again
  | 'LOCKED' // lock_timeout: back off; after a while pause and name who holds the lock
  | 'CANCELLED' // statement_timeout or somebody's pg_cancel_backend: smaller batch
  | 'CONNECTION' // the session is gone: resolve the batch by the ledger, then reconnect
  | 'READ_ONLY' // no longer the primary
  | 'RESOURCE' // disk, memory, connections
  | 'REFERENCED' // foreign key
  | 'CONFLICT' // unique
  | 'DRIFT' // a table, column, index, type or function is not what it was
  | 'RIGHTS' // privileges, log-in
  | 'CORRUPTION'
  | 'OTHER';

const BY_STATE: Readonly<Record<string, FailureClass>> = {
  '40001': 'RETRY',
  '40P01': 'RETRY',
  '55P03': 'LOCKED',
  '57014': 'CANCELLED',
  '57P01': 'CONNECTION',
  '57P02': 'CONNECTION',
  '57P03': 'CONNECTION',
  '57P05': 'CONNECTION',
  '25P03': 'CONNECTION',
  '25P04': 'CONNECTION',
  '25006': 'READ_ONLY',
  '23001': 'REFERENCED',
  '23503': 'REFERENCED',
  '23505': 'CONFLICT',
  '28000': 'RIGHTS',
  '28P01': 'RIGHTS',
  '42501': 'RIGHTS',
  '42P01': 'DRIFT',
  '42703': 'DRIFT',
  '42704': 'DRIFT',
  '42883': 'DRIFT',
  '3F000': 'DRIFT',
  '3D000': 'DRIFT',
  XX001: 'CORRUPTION',
  XX002: 'CORRUPTION',
};

const BY_CLASS: Readonly<Record<string, FailureClass>> = { '08': 'CONNECTION', '53': 'RESOURCE' };

const SYSTEM_CODES = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'EPIPE',
  'ETIMEDOUT',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENOTFOUND',
  'ERR_STREAM_DESTROYED',
]);

/** An error of a target with its class; the message names no row values, the cause keeps PostgreSQL's own words for the log. */
export class TargetError extends DeclutterError {
  readonly failure: FailureClass;
  readonly sqlstate: string | null;

  constructor(failure: FailureClass, sqlstate: string | null, message: string, cause: unknown) {
    super(
      failure === 'LOCKED'
        ? 'TARGET_BUSY'
        : failure === 'CONNECTION'
          ? 'TARGET_UNREACHABLE'
          : 'PRECONDITION_FAILED',
      message,
      {},
      { cause },
    );
    this.name = 'TargetError';
    this.failure = failure;
    this.sqlstate = sqlstate;
  }
}

/** Classifies whatever pg threw. Errors that are already ours pass unchanged. */
export function targetFailure(error: unknown, during: 'connect' | 'statement'): Error {
  if (error instanceof DeclutterError) return error;
  const state = sqlstateOf(error);
  const failure = classOf(error, state, during);
  const words = (during === 'connect' ? connectWords(error, state) : null) ?? WORDS[failure];
  return new TargetError(failure, state, state === null ? words : `${words} (SQLSTATE ${state})`, error);
}

function sqlstateOf(error: unknown): string | null {
  const code = (error as { code?: unknown } | null)?.code;
  return typeof code === 'string' && /^[0-9A-Z]{5}$/.test(code) && !SYSTEM_CODES.has(code) ? code : null;
}

function classOf(error: unknown, state: string | null, during: 'connect' | 'statement'): FailureClass {
  if (state !== null) return BY_STATE[state] ?? BY_CLASS[state.slice(0, 2)] ?? 'OTHER';
  // Without a SQLSTATE the server has said nothing: the connection broke (pg: "Connection terminated unexpectedly").
  const code = (error as { code?: unknown } | null)?.code;
  if (during === 'connect' || (typeof code === 'string' && SYSTEM_CODES.has(code))) return 'CONNECTION';
  return error instanceof Error && /connection|timeout|not queryable/i.test(error.message)
    ? 'CONNECTION'
    : 'OTHER';
}

const WORDS: Readonly<Record<FailureClass, string>> = {
  RETRY: 'The database asked to try again (deadlock or serialization).',
  LOCKED: 'Another session holds a lock; we gave up waiting rather than queue others behind us.',
  CANCELLED: 'The statement was cancelled, by its time-out or by somebody.',
  CONNECTION: 'The database does not answer or has ended the connection.',
  READ_ONLY: 'The database accepts no changes: it is a standby or set read-only.',
  RESOURCE: 'The database is out of disk, memory or connections.',
  REFERENCED: 'Other rows still reference a row that was to be deleted.',
  CONFLICT: 'A row with the same key is already there.',
  DRIFT: 'A table, column, index or function is not there as it was planned.',
  RIGHTS:
    'The role lacks a right. Make the plan again, or have an ADMIN ask checkDatabase: they name the GRANT.',
  CORRUPTION: 'PostgreSQL reports damaged data. Stop and look at the server before anything else.',
  OTHER: 'The database refused the statement.',
};

const LOG_IN: Readonly<Record<string, string>> = {
  '28P01':
    'The server refuses the log-in: the password is wrong, or there is no such role. updateDatabase takes another.',
  '28000':
    'The server does not admit this log-in: the role may not log in, or pg_hba.conf has no line for this role, address, database and TLS mode.',
  '42501': 'The role may not connect to this database: GRANT CONNECT ON DATABASE ... TO the role.',
  '3D000': 'The server has no database of this name.',
};

const UNTRUSTED =
  "The server's certificate is not signed by an authority that is known here: name its authority's certificate by caRef.";

/** By the codes of node's TLS, of OpenSSL in it, and our own. */
const TLS: Readonly<Record<string, string>> = {
  NO_TLS:
    'The server speaks no TLS. Switch it on there (ssl = on); only on a network that you trust register it with tls: DISABLE.',
  'weak log-in':
    'The server asked for the password in a weak form (not SCRAM), and did not get it. Set password_encryption = scram-sha-256 there, and the password anew.',
  SELF_SIGNED_CERT_IN_CHAIN: UNTRUSTED,
  DEPTH_ZERO_SELF_SIGNED_CERT: UNTRUSTED,
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: UNTRUSTED,
  UNABLE_TO_GET_ISSUER_CERT: UNTRUSTED,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: UNTRUSTED,
  CERT_UNTRUSTED: UNTRUSTED,
  ERR_TLS_CERT_ALTNAME_INVALID:
    "The server's certificate is for another name than the one that is registered: register the name that it has, or have one made for this name.",
  CERT_HAS_EXPIRED: "The server's certificate has expired: renew it there.",
  CERT_NOT_YET_VALID: "The server's certificate is not valid yet: look at the clocks of both machines.",
  CERT_SIGNATURE_FAILURE: "The server's certificate has a false signature.",
};

const HANDSHAKE =
  'TLS could not be agreed on with the server: look at its ssl_min_protocol_version and ssl_ciphers, and whether caRef is a certificate in PEM.';

/** What is the matter when there is no session at all; null: nothing that is known better than by its class. */
function connectWords(error: unknown, state: string | null): string | null {
  if (state !== null) return LOG_IN[state] ?? null;
  const { code, message } = error as { code?: unknown; message?: unknown };
  if (message === 'The server does not support SSL connections') return TLS['NO_TLS'] ?? null;
  if (typeof code !== 'string') return null;
  return TLS[code] ?? (/^(ERR_SSL_|ERR_OSSL_|ERR_TLS_|EPROTO$)/.test(code) ? HANDSHAKE : null);
}
