import { createHmac, createPublicKey } from 'node:crypto';
import { request } from 'node:http';
import { CompactEncrypt, generateKeyPair } from 'jose';
import { elsewhere, type Row, rows } from './row.ts';
import { say, sayRaw, type Scene } from './scene.ts';

const BODY = JSON.stringify({ query: '{ viewer { subject } }' });
const JSON_TYPE = { 'content-type': 'application/json' };
const BAD = '401 UNAUTHENTICATED invalid_token';

/** With what the challenge says is wrong. */
async function enter(scene: Scene, authorization: string | null, path = '', body = BODY): Promise<string> {
  const headers = { ...JSON_TYPE, ...(authorization === null ? {} : { authorization }) };
  const reply = await scene.send({ body, headers }, `/graphql${path}`);
  const wrong = /error="(\w+)"/.exec(reply.headers.get('www-authenticate') ?? '')?.[1];
  return [say(reply), ...(wrong === undefined ? [] : [wrong])].join(' ');
}

const bearer = (scene: Scene, token: string) => enter(scene, `Bearer ${token}`);
const claimed = async (scene: Scene, claims: () => object) =>
  bearer(scene, await scene.sign({ ...claims() }));
const headed = async (scene: Scene, header: object) => bearer(scene, await scene.sign({}, { ...header }));

const now = () => Math.floor(Date.now() / 1000);
const base64 = (value: unknown) =>
  Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url');

/** The parts of a good token, put together anew. */
const forged = async (scene: Scene, forge: (parts: string[], scene: Scene) => string | Promise<string>) =>
  bearer(scene, await forge((await scene.sign()).split('.'), scene));

function signedByPublicKey([, payload = '']: string[], { issuer }: Scene): string {
  const { d: _private, ...jwk } = issuer.privateKey;
  const pem = createPublicKey({ key: jwk, format: 'jwk' }).export({ type: 'spki', format: 'pem' });
  const header = base64({ alg: 'HS256', typ: 'at+jwt', kid: jwk.kid });
  const signature = createHmac('sha256', pem).update(`${header}.${payload}`).digest('base64url');
  return `${header}.${payload}.${signature}`;
}

function tampered([header = '', payload = '', signature = '']: string[]): string {
  const claims = JSON.parse(Buffer.from(payload, 'base64url').toString()) as object;
  return `${header}.${base64({ ...claims, scope: 'declutter:admin' })}.${signature}`;
}

async function encrypted(): Promise<string> {
  const { publicKey } = await generateKeyPair('RSA-OAEP-256');
  const content = new CompactEncrypt(Buffer.from('{}'));
  return content.setProtectedHeader({ alg: 'RSA-OAEP-256', enc: 'A256GCM' }).encrypt(publicKey);
}

async function twoHeaders(scene: Scene): Promise<string> {
  const authorization = `Bearer ${await scene.token('viewer')}`;
  const headers = ['host', 'x', 'content-type', 'application/json', 'content-length', String(BODY.length)];
  return new Promise((resolve, reject) => {
    const sent = request({
      port: scene.port,
      host: '127.0.0.1',
      path: '/graphql',
      method: 'POST',
      headers: [...headers, 'authorization', authorization, 'authorization', authorization] as never,
    });
    sent.on('response', (response) => {
      const wrong = /error="(\w+)"/.exec(response.headers['www-authenticate'] ?? '')?.[1] ?? '';
      response.resume();
      resolve(`${response.statusCode ?? 0} BAD_REQUEST ${wrong}`);
    });
    sent.on('error', reject).end(BODY);
  });
}

const STREAM = 'subscription { runEvents(runId: "x") { kind } }';

async function stream(scene: Scene, authorization: string | null): Promise<string> {
  const headers = {
    ...JSON_TYPE,
    accept: 'text/event-stream',
    ...(authorization === null ? {} : { authorization }),
  };
  return say(await scene.send({ headers, body: JSON.stringify({ query: STREAM }) }, '/graphql/stream'));
}

const TOKENS_TEST = 'test/http/tokens.test.ts';
const KEYS_TEST = 'test/http/issuer-keys.test.ts';
const STREAMS_TEST = 'test/http/streams.test.ts';

export const TOKENS: readonly Row[] = [
  ...rows('J1', '401 UNAUTHENTICATED', { 'no token': null, 'J2: Basic': 'Basic YTpi' }, enter),
  ...rows('J2', '200 OK', { 'the scheme in small letters': 'bearer' }, async (scene, scheme) =>
    enter(scene, `${scheme} ${await scene.sign()}`),
  ),
  ...rows('J2', BAD, { 'two blanks': 'Bearer ' }, async (scene, scheme) =>
    enter(scene, `${scheme} ${await scene.sign()}`),
  ),
  ...rows('J3', '400 BAD_REQUEST invalid_request', { 'two headers Authorization': null }, twoHeaders),
  ...rows('J3', '400 BAD_REQUEST invalid_request', { 'a token in the address': null }, async (scene) =>
    enter(scene, null, `?access_token=${await scene.sign()}`),
  ),
  ...rows('J3', '400 BAD_REQUEST invalid_request', { 'a token in the body': null }, async (scene) =>
    enter(
      scene,
      null,
      '',
      JSON.stringify({ ...(JSON.parse(BODY) as object), access_token: await scene.sign() }),
    ),
  ),
  ...rows<(parts: string[], scene: Scene) => string | Promise<string>>(
    'J4, J5, J6',
    BAD,
    {
      'alg: none': ([, payload = '']) => `${base64({ alg: 'none', typ: 'at+jwt' })}.${payload}.`,
      'signed by the public key as a secret': signedByPublicKey,
      'no signature': ([header = '', payload = '']) => `${header}.${payload}.`,
      'another content': tampered,
    },
    forged,
  ),
  ...rows('J7', BAD, { 'expired for 10 s': () => ({ iat: now() - 60, exp: now() - 10 }) }, claimed),
  ...rows('J7', '200 OK', { 'expired for 3 s': () => ({ iat: now() - 60, exp: now() - 3 }) }, claimed),
  ...rows<() => object>(
    'J8, J9, J10',
    BAD,
    {
      'not valid yet': () => ({ nbf: now() + 60 }),
      'from the future': () => ({ iat: now() + 3_600, exp: now() + 7_200 }),
      'valid for ten years': () => ({ exp: now() + 315_360_000 }),
      'for another API': () => ({ aud: 'https://other.example' }),
      'for no API': () => ({ aud: undefined }),
      'of another issuer': () => ({ iss: 'http://127.0.0.1/declutter/' }),
    },
    claimed,
  ),
  ...rows('J11', BAD, { 'an ID token': { typ: 'JWT' } }, headed),
  ...rows<() => object>(
    'J12',
    BAD,
    {
      'an expiry that is a text': () => ({ exp: String(now() + 300) }),
      'without jti': () => ({ jti: undefined }),
      'without sub': () => ({ sub: undefined }),
      'without client_id': () => ({ client_id: undefined }),
    },
    claimed,
  ),
  ...rows('J13', BAD, { 'kid: ../../etc/passwd': { kid: '../../etc/passwd' } }, headed),
  elsewhere(
    'J13',
    'jku and jwk of an attacker',
    TOKENS_TEST,
    'never follows a key that the token brings along',
  ),
  ...rows<(parts: string[]) => string | Promise<string>>(
    'J14, J15',
    BAD,
    {
      'an unknown critical header': ([header = '', payload = '', signature = '']) => {
        const known = JSON.parse(Buffer.from(header, 'base64url').toString()) as object;
        return `${base64({ ...known, crit: ['x'], x: 1 })}.${payload}.${signature}`;
      },
      'an encrypted token': encrypted,
      'a token of 9 kB': () => 'a'.repeat(9_000),
      garbage: () => 'garbage',
      'an empty token': () => '',
    },
    forged,
  ),
  ...rows('J15', '431 HEADERS_TOO_LARGE', { 'a token of 64 kB': 'a'.repeat(64_000) }, async (scene, token) =>
    sayRaw(await scene.raw(`POST /graphql HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${token}\r\n\r\n`)),
  ),
  elsewhere('J16', '50 made-up key ids', KEYS_TEST, 'are asked for no more than twice by 50 tokens'),
  elsewhere(
    'J17',
    'the issuer is away, its keys are known',
    KEYS_TEST,
    'stay in use while the issuer is away',
  ),
  elsewhere('J17, J18', 'the keys redirect elsewhere', KEYS_TEST, 'cannot be replaced by a redirect'),
  ...rows('J21', '403 FORBIDDEN insufficient_scope', { 'a scope is missing': null }, async (scene) => {
    const query = 'mutation { setMaintenanceStop(on: true, reason: "x") { on } }';
    return enter(scene, `Bearer ${await scene.sign()}`, '', JSON.stringify({ query }));
  }),
  ...rows<() => object>(
    'J22, J23',
    BAD,
    {
      'a list of scopes': () => ({ scope: ['declutter:admin'] }),
      'scopes under another name': () => ({ scope: undefined, scp: ['declutter:admin'] }),
      'a scope of look-alike letters': () => ({ scope: 'd\u0435clutter:admin' }),
      'bound to a key': () => ({ cnf: { jkt: 'x' } }),
    },
    claimed,
  ),
  ...rows(
    'J24',
    '401 UNAUTHENTICATED',
    { 'a stream without a token': null, 'with a bad one': 'Bearer x' },
    stream,
  ),
  elsewhere('J24', 'a WebSocket without a token', STREAMS_TEST, 'are closed with 4401 for who has no token'),
  elsewhere('J24', 'a token that expires meanwhile', STREAMS_TEST, 'end when their token expires'),
];
