import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import express, { type RequestHandler, type Response, type Router } from 'express';

/** Everything comes from here: the page works with no internet, and can talk to nobody else. GraphiQL writes style attributes. */
const CONTENT_SECURITY_POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "connect-src 'self'",
  "style-src 'self' 'unsafe-inline'",
  "font-src 'self' data:",
  "img-src 'self' data:",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ');

const require = createRequire(import.meta.url);
const ours = (file: string) => join(import.meta.dirname, '../../assets/playground', file);

/** The folder of a package's entry: their builds for browsers are not among their exports. */
const beside = (name: string, file: string) => join(dirname(require.resolve(name)), file);

const FILES: Readonly<Record<string, string>> = {
  'playground.js': ours('playground.js'),
  'playground.css': ours('playground.css'),
  'graphiql.js': beside('graphiql/package.json', 'graphiql.min.js'),
  'graphiql.css': beside('graphiql/package.json', 'graphiql.min.css'),
  'react.js': beside('react', 'umd/react.production.min.js'),
  'react-dom.js': beside('react-dom', 'umd/react-dom.production.min.js'),
  'graphql-ws.js': beside('graphql-ws', '../umd/graphql-ws.min.js'),
};

/** The page at GET /graphql and its files. */
export function playground(): Router {
  const router = express.Router();
  router.get('/graphql', page);
  router.get('/playground/:file', (request, response, next) => {
    const file = Object.hasOwn(FILES, request.params.file) ? FILES[request.params.file] : undefined;
    if (file === undefined) return next();
    send(response, file, 'public, max-age=3600');
  });
  return router;
}

/** A query in the address is an operation, which GET does not serve. */
const page: RequestHandler = (request, response, next) => {
  if ('query' in request.query || request.accepts('html') === false) return next();
  response.setHeader('content-security-policy', CONTENT_SECURITY_POLICY);
  send(response, ours('index.html'), 'no-cache');
};

function send(response: Response, file: string, cacheControl: string): void {
  response.setHeader('cache-control', cacheControl);
  response.sendFile(file, { dotfiles: 'allow', cacheControl: false });
}
