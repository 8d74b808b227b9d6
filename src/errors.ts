/** Every failure that a caller can meet has one of these codes; docs/errors.md says what each means and what to do. */
export type ErrorCode =
  | 'BAD_USER_INPUT'
  | 'UNAUTHENTICATED'
  | 'FORBIDDEN'
  | 'SELF_APPROVAL_FORBIDDEN'
  | 'NOT_FOUND'
  | 'CONFLICT'
  | 'PRECONDITION_FAILED'
  | 'UNSAFE_OPERATION'
  | 'APPROVAL_REQUIRED'
  | 'IDEMPOTENCY_KEY_REUSED'
  | 'RATE_LIMITED'
  | 'TARGET_UNREACHABLE'
  | 'TARGET_BUSY'
  | 'CONFIGURATION'
  | 'ARCHIVE_DAMAGED'
  | 'STORE_UNAVAILABLE'
  | 'AUTHORIZATION_SERVER_UNAVAILABLE';

/** A failure whose message may be shown to the caller: it says what happened and what to do next. */
export class DeclutterError extends Error {
  readonly code: ErrorCode;
  /** Extra facts for programs; shown to the caller as they are. */
  readonly details: Readonly<Record<string, unknown>>;

  constructor(
    code: ErrorCode,
    message: string,
    details: Readonly<Record<string, unknown>> = {},
    options?: ErrorOptions,
  ) {
    super(message, options);
    this.name = 'DeclutterError';
    this.code = code;
    this.details = details;
  }
}

export const badInput = (message: string, details?: Readonly<Record<string, unknown>>) =>
  new DeclutterError('BAD_USER_INPUT', message, details);

export const notFound = (what: string) =>
  new DeclutterError('NOT_FOUND', `${what} does not exist, or you may not see it.`);
