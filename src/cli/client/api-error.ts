import { ClientError } from 'graphql-request';

/** What the API (or the way to it) answered instead of a result; code is the API's stable code (docs/errors.md). */
export class ApiError extends Error {
  readonly code: string;
  readonly status: number | null;
  /** What the server asks to wait before the next try. */
  readonly retryAfterMs: number | null;

  constructor(
    code: string,
    message: string,
    status: number | null,
    retryAfterMs: number | null = null,
    cause?: unknown,
  ) {
    super(message, { cause });
    this.name = 'ApiError';
    this.code = code;
    this.status = status;
    this.retryAfterMs = retryAfterMs;
  }
}

/** @param url is named when nothing answered there. */
export function apiError(error: unknown, url: string): ApiError {
  if (error instanceof ApiError) return error;
  if (!(error instanceof ClientError)) {
    return new ApiError('UNREACHABLE', `No answer from ${url}. Is it running?`, null, null, error);
  }
  const { status, headers, errors } = error.response;
  const first = errors?.[0];
  const code = first?.extensions['code'];
  return new ApiError(
    typeof code === 'string' ? code : `HTTP_${status}`,
    first?.message ?? `The API answered with HTTP ${status}.`,
    status,
    retryAfter((headers as Headers | undefined)?.get('retry-after') ?? null),
    error,
  );
}

const retryAfter = (header: string | null) =>
  header !== null && /^\d{1,4}$/.test(header) ? Number(header) * 1000 : null;
