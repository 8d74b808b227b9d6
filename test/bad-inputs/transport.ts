import { request } from 'node:http';
import { gzipSync } from 'node:zlib';
import { type Row, rows } from './row.ts';
import { type Reply, say, sayRaw, type Scene } from './scene.ts';

const VIEWER = '{ viewer { subject } }';
const QUERY = JSON.stringify({ query: VIEWER });
const JSON_TYPE = { 'content-type': 'application/json' };

type Init = Omit<RequestInit, 'headers'> & { readonly headers?: Record<string, string> };

const withToken = async (scene: Scene, { headers, ...init }: Init, path?: string): Promise<Reply> =>
  scene.send(
    { ...init, headers: { authorization: `Bearer ${await scene.token('viewer')}`, ...headers } },
    path,
  );

const posted = (scene: Scene, init: Init) => withToken(scene, init).then(say);
const typed = (scene: Scene, type: string) =>
  posted(scene, { body: QUERY, headers: { 'content-type': type } });
const json = (scene: Scene, body: string) => posted(scene, { body, headers: JSON_TYPE });

/** fetch sends no TRACE, and forbids what it calls unsafe. */
function byMethod(scene: Scene, method: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const sent = request({ port: scene.port, host: '127.0.0.1', path: '/graphql', method }, (response) => {
      response.resume();
      resolve(`${response.statusCode ?? 0} allow: ${response.headers.allow ?? ''}`);
    });
    sent.on('error', reject).end();
  });
}

async function memory(scene: Scene): Promise<number> {
  const { text } = await scene.send({ method: 'GET' }, '/metrics');
  return Number(/^process_resident_memory_bytes (\S+)$/m.exec(text)?.[1]);
}

async function bomb(scene: Scene): Promise<string> {
  const body = gzipSync(Buffer.alloc(50_000_000, 32));
  const before = await memory(scene);
  const answer = await posted(scene, { body, headers: { ...JSON_TYPE, 'content-encoding': 'gzip' } });
  return `${answer}, ${(await memory(scene)) - before < 50_000_000 ? 'little' : 'much'} memory`;
}

async function preflight(scene: Scene): Promise<string> {
  const headers = { origin: 'https://evil.example', 'access-control-request-method': 'POST' };
  const asked = await scene.send({ method: 'OPTIONS', headers });
  const sent = await withToken(scene, { body: QUERY, headers: { ...JSON_TYPE, ...headers } });
  const allowed = [asked, sent].filter((reply) => reply.headers.has('access-control-allow-origin'));
  return allowed.length === 0 ? 'no origin allowed' : 'an origin allowed';
}

async function framed(scene: Scene): Promise<string> {
  const { status, headers } = await scene.send({ method: 'GET', headers: { accept: 'text/html' } });
  const policy = headers.get('content-security-policy') ?? '';
  return `${status} ${/frame-ancestors [^;]*/.exec(policy)?.[0] ?? ''}, ${headers.get('x-frame-options') ?? ''}`;
}

const raw = async (scene: Scene, text: string) => `${sayRaw(await scene.raw(text))}, closed`;
const head = (...lines: string[]) => ['POST /graphql HTTP/1.1', 'host: x', ...lines].join('\r\n');

const spoofed = async (scene: Scene): Promise<string> => {
  const answer = await scene.raw(
    'POST /graphql HTTP/1.1\r\nhost: evil.example\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}',
  );
  return `${sayRaw(answer)}, ${answer.includes('evil') ? 'the host is repeated' : 'no word of the host'}`;
};

const twice = async (scene: Scene): Promise<string> => {
  const stop = 'mutation { setMaintenanceStop(on: true, reason: \\"x\\") { on } }';
  const { data } = await withToken(scene, {
    body: `{"query":"${stop}","query":"${VIEWER}"}`,
    headers: JSON_TYPE,
  });
  return JSON.stringify(data);
};

const deep = (levels: number) =>
  `{"query":"${VIEWER}","variables":${'{"a":'.repeat(levels)}1${'}'.repeat(levels)}}`;
const PROTOTYPES = `{"query":"${VIEWER}","variables":{"__proto__":{"polluted":1},"constructor":{"prototype":{"polluted":1}}}}`;
const PERSISTED = JSON.stringify({
  extensions: { persistedQuery: { version: 1, sha256Hash: 'a'.repeat(64) } },
});

/** They take half a minute; the scene begins them first. */
export const SLOW = {
  'headers that never end': head('x-slow: yes', ''),
  'a body that never ends': `${head('content-type: application/json', 'content-length: 100', '', '')}{"query"`,
} as const;

export const TRANSPORT: readonly Row[] = [
  ...rows('T1', '400 BAD_REQUEST', { 'malformed JSON': '{"query": ', 'a text': '"text"' }, json),
  ...rows('T2', '413 PAYLOAD_TOO_LARGE', { '200 kB': JSON.stringify({ query: 'x'.repeat(200_000) }) }, json),
  ...rows('T3', '413 PAYLOAD_TOO_LARGE, little memory', { 'a gzip bomb of 50 MB': null }, bomb),
  ...rows('T4', '400 BAD_REQUEST', { 'JSON as text/plain': 'text/plain' }, typed),
  ...rows(
    'T5',
    '400 BAD_REQUEST',
    { 'a form': 'application/x-www-form-urlencoded', 'a form of parts': 'multipart/form-data; boundary=x' },
    typed,
  ),
  ...rows('T6', '415 UNSUPPORTED_MEDIA_TYPE', { 'application/graphql': 'application/graphql' }, typed),
  ...rows(
    'T7',
    '415 UNSUPPORTED_MEDIA_TYPE',
    { 'utf-7': 'application/json; charset=utf-7', 'utf-16': 'application/json; charset=utf-16' },
    typed,
  ),
  ...rows(
    'T8, T9',
    '405 METHOD_NOT_ALLOWED',
    {
      'GET of a query': { path: `?query=${encodeURIComponent(VIEWER)}`, headers: {} },
      'with a header that asks first': {
        path: `?query=${encodeURIComponent(VIEWER)}`,
        headers: { 'apollo-require-preflight': '1' },
      },
      'GET of a mutation': {
        path: '?query=mutation%7BremoveDatabase(name:%22shop%22)%7D',
        headers: { 'apollo-require-preflight': '1' },
      },
    },
    async (scene, { path, headers }) =>
      say(await withToken(scene, { method: 'GET', headers: headers }, `/graphql${path}`)),
  ),
  ...rows('T10', '405 allow: POST', { PUT: 'PUT', DELETE: 'DELETE', TRACE: 'TRACE' }, byMethod),
  ...rows(
    'T11',
    '400 BAD_REQUEST',
    { 'a batch of 2': `[${QUERY},${QUERY}]`, 'of 1000': `[${Array(1000).fill(QUERY).join()}]` },
    json,
  ),
  ...rows(
    'T12',
    '400 BAD_REQUEST, closed',
    {
      'two lengths': head(
        'content-type: application/json',
        'content-length: 5',
        'transfer-encoding: chunked',
        '',
        '0\r\n\r\n',
      ),
    },
    raw,
  ),
  ...rows(
    'T13',
    '408 REQUEST_TIMEOUT, closed',
    SLOW,
    async (scene, text) => `${sayRaw(await (scene.slow.get(text) as Promise<string>))}, closed`,
  ),
  ...rows(
    'T14',
    '431 HEADERS_TOO_LARGE, closed',
    {
      'a header of 64 kB': head(`x-large: ${'x'.repeat(64_000)}`, '', ''),
      '10 000 headers': head(...Array.from({ length: 10_000 }, (_, i) => `x-${i}: 1`), '', ''),
    },
    raw,
  ),
  ...rows('T15', '400 BAD_REQUEST', { 'variables 10 000 deep': deep(10_000) }, json),
  ...rows('T16', '{"viewer":{"subject":"viewer"}}', { 'the key query twice': null }, twice),
  ...rows('T17', '200 OK', { '__proto__ and constructor among the variables': PROTOTYPES }, json),
  ...rows('T18', 'no origin allowed', { 'a foreign origin': null }, preflight),
  ...rows('T19', '401 UNAUTHENTICATED, no word of the host', { 'another host': null }, spoofed),
  ...rows('T20', '200 PERSISTED_QUERY_NOT_SUPPORTED', { 'the hash of a query': PERSISTED }, json),
  ...rows('T21', '406 NOT_ACCEPTABLE', { 'accept: text/html': 'text/html' }, (scene, accept) =>
    posted(scene, { body: QUERY, headers: { ...JSON_TYPE, accept } }),
  ),
  ...rows('T22', "200 frame-ancestors 'none', DENY", { 'the playground in a frame': null }, framed),
];
