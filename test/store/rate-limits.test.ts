import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { openRateLimits } from '../../src/store/rate-limits.ts';
import { type ApiServer, apiServer } from '../support/api-server.ts';
import { testStore } from '../support/postgres.ts';

describe('rate limits', () => {
  let opened: Awaited<ReturnType<typeof testStore>>;
  const closing: (() => Promise<void>)[] = [];
  const open = async (rate = { points: 100, destructive: 2 }) => {
    const limits = await openRateLimits(opened.url, rate);
    closing.push(() => limits.close());
    return limits;
  };
  beforeEach(async () => {
    opened = await testStore();
  });
  afterEach(async () => {
    for (const close of closing.splice(0)) await close();
    await opened.close();
  });

  it('count for all processes together, and for each principal alone', async () => {
    const [one, other] = await Promise.all([open(), open()]);
    expect(await one.charge('alice', 60)).toMatchObject({ limit: 100, remaining: 40 });
    expect(await other.charge('alice', 30)).toMatchObject({ remaining: 10 });
    await expect(one.charge('alice', 30)).rejects.toMatchObject({ code: 'RATE_LIMITED' });
    expect(await one.charge('bob', 30)).toMatchObject({ remaining: 70 });
  });

  it('have a bucket of their own for destructive mutations', async () => {
    const limits = await open();
    await limits.chargeDestructive('alice');
    await limits.chargeDestructive('alice');
    await expect(limits.chargeDestructive('alice')).rejects.toMatchObject({ code: 'RATE_LIMITED' });
    expect(await limits.charge('alice', 1)).toMatchObject({ remaining: 99 });
  });

  it('go on by themselves while the store is away, but let no destructive mutation pass', async () => {
    const limits = await openRateLimits(opened.url, { points: 100, destructive: 2 });
    await limits.close();
    expect(await limits.charge('alice', 60)).toMatchObject({ remaining: 40 });
    await expect(limits.charge('alice', 60)).rejects.toMatchObject({ code: 'RATE_LIMITED' });
    await expect(limits.chargeDestructive('alice')).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' });
  });

  describe('over HTTP', () => {
    let api: ApiServer;
    afterEach(() => api.close());
    const QUERY = '{ viewer { rateLimit { limit remaining resetsInSeconds } } }';

    it('are told with every answer, and refused with Retry-After', async () => {
      api = await apiServer(
        { databases: { list: async () => [] } },
        { meter: await open({ points: 5, destructive: 2 }) },
      );
      const first = await api.ask('viewer', QUERY);
      expect(first.data).toMatchObject({ viewer: { rateLimit: { limit: 5, remaining: 3 } } });
      expect(first.headers.get('ratelimit')).toMatch(/^"graphql";r=3;t=\d+$/);
      expect(first.headers.get('ratelimit-policy')).toBe('"graphql";q=5;w=60');
      const refused = await api.ask('viewer', '{ a: databases { name } b: databases { name } }');
      expect(refused).toMatchObject({ status: 429, errors: [{ extensions: { code: 'RATE_LIMITED' } }] });
      expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0);
      expect(refused.headers.get('ratelimit')).toMatch(/^"graphql";r=0;/);
      expect((await api.ask('operator', QUERY)).status).toBe(200);
    });

    it('hold back destructive mutations with no effect', async () => {
      const removed: string[] = [];
      const remove = async (name: string) => removed.push(name) > 0;
      api = await apiServer(
        { databases: { remove } },
        { meter: await open({ points: 1_000, destructive: 2 }) },
      );
      const answers = [];
      for (const name of ['a', 'b', 'c'])
        answers.push(await api.ask('admin', `mutation { removeDatabase(name: "${name}") }`));
      expect(answers.map(({ status }) => status)).toEqual([200, 200, 429]);
      expect(removed).toEqual(['a', 'b']);
    });
  });
});
