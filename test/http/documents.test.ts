import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { getIntrospectionQuery } from 'graphql';
import { type ApiServer, apiServer } from '../support/api-server.ts';

const RUN = '6f1c2a52-6c2c-4a6b-9d34-0d8b3f0a7c11';

describe('documents', () => {
  let api: ApiServer;
  const started: string[] = [];
  beforeAll(async () => {
    api = await apiServer({
      databases: { list: async () => [], find: async () => null },
      runs: {
        start: async (id) => {
          started.push(id);
          throw new TypeError('not reached in these tests');
        },
      },
    });
  });
  afterAll(() => api.close());

  const refusal = async (query: string, variables?: object) => {
    const { status, errors } = await api.ask('admin', query, variables);
    return {
      status,
      code: errors[0]?.extensions['code'],
      message: errors[0]?.message ?? '',
      count: errors.length,
    };
  };
  const invalid = { status: 400, code: 'GRAPHQL_VALIDATION_FAILED' };
  const bad = { status: 400, code: 'BAD_USER_INPUT' };

  it('serves the standard introspection query, and that of the playground', async () => {
    const options = {
      schemaDescription: true,
      inputValueDeprecation: true,
      specifiedByUrl: true,
      directiveIsRepeatable: true,
    };
    for (const query of [getIntrospectionQuery(), getIntrospectionQuery(options)]) {
      const answer = await api.ask('viewer', query);
      expect(answer.errors).toEqual([]);
      expect(answer.data).toHaveProperty('__schema.types');
    }
  });

  it('tells nobody about the schema without a token', async () => {
    expect((await api.ask(null, getIntrospectionQuery())).status).toBe(401);
  });

  it('refuses introspection that goes in circles', async () => {
    const query = `{ __schema { types { fields { type { fields { type { fields { type { fields { name } } } } } } } } } }`;
    expect(await refusal(query)).toMatchObject(invalid);
  });

  it('refuses documents of more than 1 000 tokens before they are parsed', async () => {
    const query = `{ ${'databases { name } '.repeat(400)} }`;
    expect(await refusal(query)).toMatchObject({ status: 400, code: 'GRAPHQL_PARSE_FAILED' });
  });

  it('refuses nine levels of fields, and serves eight', async () => {
    const run = (inner: string) => `{ run(id: "${RUN}") { plan { ${inner} } } }`;
    const eight = run('database { tables { nodes { bloat { causes { code } } } } }');
    const nine = run('run { plan { database { tables { nodes { bloat { advice } } } } } }');
    expect(await refusal(nine)).toMatchObject(invalid);
    expect((await refusal(eight)).code).not.toBe('GRAPHQL_VALIDATION_FAILED');
  });

  it('refuses 16 aliases, also by fragments', async () => {
    const aliases = (count: number) =>
      Array.from({ length: count }, (_, i) => `a${i}: databases { name }`).join(' ');
    expect((await refusal(`{ ${aliases(15)} }`)).code).toBeUndefined();
    expect(await refusal(`{ ${aliases(16)} }`)).toMatchObject(invalid);
    const spread = `{ ...A ...B } fragment A on Query { ...C ...C } fragment B on Query { ...C ...C } fragment C on Query { ${aliases(5)} }`;
    expect(await refusal(spread)).toMatchObject(invalid);
  });

  it('refuses several destructive mutations in one operation, and does none of them', async () => {
    const start = (i: number) =>
      `s${i}: startRun(planId: "${RUN}", planHash: "h", idempotencyKey: "k${i}") { id }`;
    expect(
      await refusal(`mutation { ${Array.from({ length: 10 }, (_, i) => start(i)).join(' ')} }`),
    ).toMatchObject(invalid);
    expect(
      await refusal(
        `mutation { ...A ...B } fragment A on Mutation { ${start(1)} } fragment B on Mutation { ${start(2)} }`,
      ),
    ).toMatchObject(invalid);
    expect(started).toEqual([]);
  });

  it('refuses lists that are too long, wherever the number stands', async () => {
    expect(await refusal('{ plans(first: 1000000) { nodes { id } } }')).toMatchObject(bad);
    expect(
      await refusal('query ($n: Int) { plans(first: $n) { nodes { id } } }', { n: 1_000_000 }),
    ).toMatchObject(bad);
    expect(await refusal('query ($n: Int = 1000000) { plans(first: $n) { nodes { id } } }')).toMatchObject(
      bad,
    );
    expect(await refusal('{ plans(first: 0) { nodes { id } } }')).toMatchObject(bad);
    expect(await refusal('{ plans(first: -1) { nodes { id } } }')).toMatchObject(bad);
  });

  it('refuses an operation that would bring back too many objects', async () => {
    const query = '{ databases { tables(first: 100) { nodes { history(first: 100) { totalBytes } } } } }';
    expect(await refusal(query)).toMatchObject(bad);
  });

  it('refuses fragments that multiply, at once', async () => {
    const fragments = Array.from(
      { length: 30 },
      (_, i) => `fragment F${i} on Query { ...F${i + 1} ...F${i + 1} }`,
    ).join(' ');
    const began = performance.now();
    const answer = await refusal(`{ ...F0 } ${fragments} fragment F30 on Query { databases { name } }`);
    expect(answer).toMatchObject(invalid);
    expect(performance.now() - began).toBeLessThan(1_000);
  });

  it('refuses fragments in a circle', async () => {
    expect(await refusal('{ ...A } fragment A on Query { ...B } fragment B on Query { ...A }')).toMatchObject(
      invalid,
    );
  });

  it('refuses many directives, with few errors', async () => {
    const answer = await refusal(`{ databases { name ${'@include(if: true) '.repeat(60)} } }`);
    expect(answer).toMatchObject(invalid);
    expect(answer.count).toBeLessThanOrEqual(10);
  });

  it('does not say which name is near to a misspelt one', async () => {
    for (const query of [
      '{ databasse { name } }',
      '{ database(nam: "x") { name } }',
      '{ database(name: "x") { tables(orderBy: NAMES) { nodes { name } } } }',
    ]) {
      const { code, message } = await refusal(query);
      expect(code).toBe('GRAPHQL_VALIDATION_FAILED');
      expect(message).not.toMatch(/did you mean/i);
    }
  });

  it('does not repeat a value that does not fit', async () => {
    const register = 'mutation ($input: RegisterDatabaseInput!) { registerDatabase(input: $input) { name } }';
    const input = { name: 'x', host: 'h', database: 'd', user: 'u', port: 'hunter2' };
    const inVariable = await api.ask('admin', register, { input });
    const inDocument = await api.ask(
      'admin',
      'mutation { registerDatabase(input: { name: "x", host: "h", database: "d", user: "u", port: "hunter2" }) { name } }',
    );
    for (const answer of [inVariable, inDocument]) {
      expect(answer.status).toBe(400);
      expect(JSON.stringify(answer.errors)).not.toContain('hunter2');
    }
    expect(inVariable.errors[0]?.message).toContain('input.port');
  });

  it.each([
    [{ port: 'a; hunter2' }],
    [{ port: { '; ': 'x' }, input: 'hunter2' }],
    [{ tls: 'a" hunter2' }],
    [{ port: ' at "hunter2"; ' }],
    ['; hunter2 at "x"'],
    [['; ', 'hunter2']],
  ])('does not repeat it whatever it is made of: %j', async (change) => {
    const register = 'mutation ($input: RegisterDatabaseInput!) { registerDatabase(input: $input) { name } }';
    const named = { name: 'x', host: 'h', database: 'd', user: 'u' };
    const isObject = !Array.isArray(change) && typeof change === 'object';
    const answer = await api.ask('admin', register, { input: isObject ? { ...named, ...change } : change });
    expect(answer.status).toBe(400);
    expect(answer.errors[0]?.message).toContain('Variable "$input" has a value that does not fit');
    expect(JSON.stringify(answer.errors)).not.toContain('hunter2');
  });

  it('refuses unknown fields of an input, and many wrong ones with few errors', async () => {
    const register = 'mutation ($input: RegisterDatabaseInput!) { registerDatabase(input: $input) { name } }';
    expect(
      await refusal(register, {
        input: { name: 'x', host: 'h', database: 'd', user: 'u', url: 'postgres://x' },
      }),
    ).toMatchObject(bad);
    const many = Object.fromEntries(Array.from({ length: 500 }, (_, i) => [`f${i}`, i]));
    expect((await refusal(register, { input: many })).count).toBeLessThanOrEqual(10);
  });

  it('refuses numbers that are none, and NUL in a text', async () => {
    const wait = 'query ($ms: Int!) { waitForRun(id: "x", timeoutMs: $ms) { id } }';
    expect(await refusal(wait, { ms: 2 ** 31 })).toMatchObject(bad);
    expect(await refusal(wait, { ms: 'NaN' })).toMatchObject(bad);
    expect(
      await refusal('query ($name: String!) { database(name: $name) { name } }', { name: 'a\0b' }),
    ).toMatchObject(bad);
    expect(await refusal('{ database(name: "a\\u0000b") { name } }')).toMatchObject(bad);
  });

  it('refuses what is no document, or leaves open what is meant', async () => {
    for (const query of ['', '  ', '# nothing', '{ databases { na\u200bme } }'])
      expect((await refusal(query)).status).toBe(400);
    for (const query of [1, []])
      expect(
        (await api.post(JSON.stringify({ query }), { authorization: `Bearer ${await api.token('viewer')}` }))
          .status,
      ).toBe(400);
    expect(await refusal('query A { databases { name } } query B { databases { name } }')).toMatchObject({
      status: 400,
      code: 'OPERATION_RESOLUTION_FAILURE',
    });
  });

  it('refuses subscriptions by POST, @defer and persisted queries', async () => {
    expect(await refusal(`subscription { runEvents(runId: "${RUN}") { kind } }`)).toMatchObject({
      status: 400,
      code: 'BAD_REQUEST',
    });
    expect(await refusal('{ ... @defer { databases { name } } }')).toMatchObject(invalid);
    const persisted = { extensions: { persistedQuery: { version: 1, sha256Hash: 'a'.repeat(64) } } };
    const answer = await api.post(JSON.stringify(persisted), {
      authorization: `Bearer ${await api.token('viewer')}`,
    });
    expect(answer.errors[0]?.extensions['code']).toBe('PERSISTED_QUERY_NOT_SUPPORTED');
  });

  it('leaves prototypes alone', async () => {
    const body =
      '{"query":"{ databases { name } }","variables":{"__proto__":{"polluted":true},"constructor":{"prototype":{"polluted":true}}}}';
    expect((await api.post(body, { authorization: `Bearer ${await api.token('viewer')}` })).status).toBe(200);
    expect(({} as { polluted?: boolean }).polluted).toBeUndefined();
  });
});
