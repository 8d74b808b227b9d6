import { getIntrospectionQuery } from 'graphql';
import { type Row, rows } from './row.ts';
import { say, type Scene } from './scene.ts';

const ID = '6f1c2a52-6c2c-4a6b-9d34-0d8b3f0a7c11';
const repeated = (count: number, of: (i: number) => string) =>
  Array.from({ length: count }, (_, i) => of(i)).join(' ');
const aliases = (count: number) => repeated(count, (i) => `a${i}: databases { name }`);
const start = (i: number) =>
  `s${i}: startRun(planId: "${ID}", planHash: "h", idempotencyKey: "k${i}") { id }`;
const levels = (inner: string) => `{ run(id: "${ID}") { plan { ${inner} } } }`;
const cursor = (...parts: unknown[]) => Buffer.from(JSON.stringify(parts)).toString('base64url');

const document = (scene: Scene, query: unknown) => scene.ask('admin', query).then(say);

async function quietly(scene: Scene, query: string): Promise<string> {
  const reply = await scene.ask('admin', query);
  const hint = /did you mean/i.test(reply.text) ? 'a hint' : 'no hint';
  return `${say(reply)}, ${hint}, ${reply.errors.length > 10 ? 'many errors' : 'few errors'}`;
}

interface Operation {
  readonly query: string;
  readonly variables?: unknown;
}

const operation = (scene: Scene, { query, variables }: Operation) =>
  scene.ask('admin', query, variables).then(say);

async function spared(scene: Scene, { query, variables }: Operation): Promise<string> {
  const reply = await scene.ask('admin', query, variables);
  const echo = reply.text.includes('canary') ? 'a value is repeated' : 'no value repeated';
  return `${say(reply)}, ${echo}, ${reply.errors.length > 10 ? 'many errors' : 'few errors'}`;
}

const INVALID = '400 GRAPHQL_VALIDATION_FAILED';
const BAD = '400 BAD_USER_INPUT';
const REGISTER = 'mutation ($input: RegisterDatabaseInput!) { registerDatabase(input: $input) { name } }';
const DATABASE = { name: 'x', host: '10.0.0.1', database: 'd', user: 'u' };
const WAIT = 'query ($ms: Int!) { waitForRun(id: "x", timeoutMs: $ms) { id } }';
const SUPPRESS =
  'mutation ($until: DateTime) { suppressFinding(id: "x", reason: "y", until: $until) { id } }';
const plans = (after: string) => ({
  query: 'query ($after: String) { plans(after: $after) { nodes { id } } }',
  variables: { after },
});
const within = (list: string, after: string) => ({
  query: `query ($after: String) { database(name: "shop") { ${list}(after: $after) { pageInfo { endCursor } } } }`,
  variables: { after },
});
const MOMENT = '2024-01-01T00:00:00.000Z';

export const DOCUMENTS: readonly Row[] = [
  ...rows(
    'G1',
    '400 GRAPHQL_PARSE_FAILED',
    { '1 200 tokens': `{ ${'databases { name } '.repeat(400)} }` },
    document,
  ),
  ...rows(
    'G2',
    INVALID,
    { 'nine levels': levels('run { plan { database { tables { nodes { bloat { advice } } } } } }') },
    document,
  ),
  ...rows('G3', INVALID, { '16 aliases': `{ ${aliases(16)} }` }, document),
  ...rows('G4', INVALID, { 'ten mutations that remove': `mutation { ${repeated(10, start)} }` }, document),
  ...rows(
    'G5',
    INVALID,
    {
      'the same by fragments': `mutation { ...A ...B } fragment A on Mutation { ${start(1)} } fragment B on Mutation { ...C } fragment C on Mutation { ${start(2)} }`,
    },
    document,
  ),
  ...rows<Operation>(
    'G6',
    BAD,
    {
      'first: 1 000 000': { query: '{ plans(first: 1000000) { nodes { id } } }' },
      'by a variable': {
        query: 'query ($n: Int) { plans(first: $n) { nodes { id } } }',
        variables: { n: 1_000_000 },
      },
      'by a default': { query: 'query ($n: Int = 1000000) { plans(first: $n) { nodes { id } } }' },
    },
    operation,
  ),
  ...rows<Operation>(
    'G7',
    BAD,
    {
      'first: 0': { query: '{ plans(first: 0) { nodes { id } } }' },
      'first: -1': { query: '{ plans(first: -1) { nodes { id } } }' },
      'first: 101': { query: '{ plans(first: 101) { nodes { id } } }' },
      'a cursor that is none': plans('nonsense'),
      'a cursor without a time': plans(cursor('yesterday', ID)),
      'a cursor of a day that is none': plans(cursor('2024-02-30T00:00:00.000Z', ID)),
      'a cursor without an id': plans(cursor(MOMENT, 'x')),
    },
    operation,
  ),
  ...rows<Operation>(
    'G7',
    '200 BAD_USER_INPUT',
    {
      'a cursor of another list': within('snapshots', cursor('12')),
      'a cursor without a number': within('tables', cursor('x', 'public', 'events')),
      'a cursor with NUL': within('tables', cursor('1', 'a\0b', 'c')),
      'a cursor without a severity': within('findings', cursor('DREADFUL', '0', 'x')),
    },
    operation,
  ),
  ...rows(
    'G8',
    INVALID,
    {
      'fragments in a circle': '{ ...A } fragment A on Query { ...B } fragment B on Query { ...A }',
      'fragments that multiply': `{ ...F0 } ${repeated(30, (i) => `fragment F${i} on Query { ...F${i + 1} ...F${i + 1} }`)} fragment F30 on Query { databases { name } }`,
    },
    document,
  ),
  ...rows(
    'G9',
    `${INVALID}, no hint, few errors`,
    { '60 directives': `{ databases { name ${'@include(if: true) '.repeat(60)} } }` },
    quietly,
  ),
  ...rows(
    'G10',
    INVALID,
    {
      'introspection in circles':
        '{ __schema { types { fields { type { fields { type { fields { type { fields { name } } } } } } } } } }',
    },
    document,
  ),
  ...rows('G11', '401 UNAUTHENTICATED', { 'introspection without a token': null }, (scene) =>
    scene.ask(null, getIntrospectionQuery()).then(say),
  ),
  ...rows(
    'G12',
    `${INVALID}, no hint, few errors`,
    {
      'a misspelt field': '{ databasse { name } }',
      'a misspelt argument': '{ database(nam: "x") { name } }',
      'a misspelt word': '{ database(name: "x") { tables(orderBy: NAMES) { nodes { name } } } }',
      'a misspelt input field':
        'mutation { placeHold(input: { databse: "x", table: "y", reason: "z" }) { id } }',
    },
    quietly,
  ),
  ...rows(
    'G13',
    '400 OPERATION_RESOLUTION_FAILURE',
    { 'two operations and no name': 'query A { databases { name } } query B { databases { name } }' },
    document,
  ),
  ...rows<unknown>('G14', '400 BAD_REQUEST', { 'no query': '', 'query: 1': 1, 'query: []': [] }, document),
  ...rows('G14', '400 GRAPHQL_PARSE_FAILED', { 'white space': '  ', 'a comment': '# nothing' }, document),
  ...rows(
    'G15',
    '400 GRAPHQL_PARSE_FAILED',
    {
      'a space of no width': '{ databases { na\u200bme } }',
      'a change of direction': '{ data\u202ebases { name } }',
    },
    document,
  ),
  ...rows(
    'G16',
    INVALID,
    {
      '@defer': '{ ... @defer { databases { name } } }',
      '@stream': '{ databases @stream(initialCount: 1) { name } }',
    },
    document,
  ),
  ...rows(
    'G17',
    '400 BAD_REQUEST',
    { 'a subscription by POST': `subscription { runEvents(runId: "${ID}") { kind } }` },
    document,
  ),
  ...rows<Operation>(
    'G18',
    `${BAD}, no value repeated, few errors`,
    {
      '500 wrong values': {
        query: REGISTER,
        variables: {
          input: Object.fromEntries(Array.from({ length: 500 }, (_, i) => [`f${i}`, 'canary'])),
        },
      },
      'a text for a number': { query: REGISTER, variables: { input: { ...DATABASE, port: 'canary' } } },
      'a text for a time': { query: SUPPRESS, variables: { until: 'canary' } },
      'a list for a password': {
        query: REGISTER,
        variables: { input: { ...DATABASE, password: ['canary'] } },
      },
    },
    spared,
  ),
  ...rows<unknown>(
    'G19',
    '400 BAD_REQUEST',
    { 'variables as a text': 'x', 'as a list': [] },
    (scene, variables) => scene.ask('viewer', '{ viewer { subject } }', variables).then(say),
  ),
  ...rows<Operation>(
    'G20',
    BAD,
    { 'an unknown key': { query: REGISTER, variables: { input: { ...DATABASE, superuser: true } } } },
    operation,
  ),
  ...rows<Operation>(
    'G21',
    BAD,
    {
      '2^31': { query: WAIT, variables: { ms: 2 ** 31 } },
      '"NaN"': { query: WAIT, variables: { ms: 'NaN' } },
      'a time beyond all calendars': { query: SUPPRESS, variables: { until: 8.64e15 } },
      'NUL in a text': {
        query: 'query ($name: String!) { database(name: $name) { name } }',
        variables: { name: 'a\0b' },
      },
    },
    operation,
  ),
  ...rows('G21', BAD, { '1e309': null }, async (scene) => {
    const headers = {
      'content-type': 'application/json',
      authorization: `Bearer ${await scene.token('admin')}`,
    };
    return say(
      await scene.send({ headers, body: `{"query":${JSON.stringify(WAIT)},"variables":{"ms":1e309}}` }),
    );
  }),
];
