import type { RequestHandler } from 'express';
import { collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import { DeclutterError } from '../errors.ts';

/** A readiness check that takes longer than this is a no. */
const READY_TIMEOUT_MS = 2_000;

/** The process runs. */
export const livez: RequestHandler = (_request, response) => void response.json({ status: 'ok' });

/** The process can do its work: it is not shutting down, and the control store answers. */
export function readyz(isDraining: () => boolean, ready: () => Promise<void>): RequestHandler {
  return async (_request, response) => {
    const problem = isDraining() ? 'shutting down' : await problemOf(ready);
    response
      .status(problem === null ? 200 : 503)
      .json(problem === null ? { status: 'ok' } : { status: problem });
  };
}

async function problemOf(ready: () => Promise<void>): Promise<string | null> {
  const late = new Promise<string>((resolve) => {
    setTimeout(() => resolve('the control store does not answer in time'), READY_TIMEOUT_MS).unref();
  });
  return Promise.race([
    ready().then(
      () => null,
      (error: unknown) =>
        error instanceof DeclutterError ? error.message : 'the control store does not answer',
    ),
    late,
  ]);
}

/** Figures of the process for Prometheus. No label has the name of a database, a table or a person. */
export function makeMetrics(): {
  readonly count: RequestHandler;
  readonly serve: RequestHandler;
  readonly registry: Registry;
} {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const durations = new Histogram({
    name: 'declutter_http_request_duration_seconds',
    help: 'Time from a request to the end of its answer.',
    labelNames: ['path', 'status'],
    buckets: [0.005, 0.02, 0.1, 0.5, 2, 10, 30],
    registers: [registry],
  });
  const open = new Gauge({
    name: 'declutter_http_requests_open',
    help: 'Requests being answered.',
    registers: [registry],
  });
  const count: RequestHandler = (request, response, next) => {
    open.inc();
    const stop = durations.startTimer();
    response.once('close', () => {
      open.dec();
      stop({ path: labelOf(request.path), status: String(response.statusCode) });
    });
    next();
  };
  const serve: RequestHandler = async (_request, response) =>
    void response.type(registry.contentType).send(await registry.metrics());
  return { count, serve, registry };
}

const PATHS = new Set(['/graphql', '/graphql/stream', '/oauth/token', '/livez', '/readyz', '/metrics']);

/** Anything else would let a stranger fill the memory with labels. */
const labelOf = (path: string) => (PATHS.has(path) ? path : 'other');
