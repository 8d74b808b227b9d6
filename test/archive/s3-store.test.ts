import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import type { ArchiveStore } from '../../src/archive/archive-store.ts';
import { moveOrphans } from '../../src/archive/move-orphans.ts';
import { readExactly } from '../../src/archive/read-file.ts';
import { makeS3Store } from '../../src/archive/s3-store.ts';
import { StoreBusy } from '../../src/archive/store-busy.ts';
import { Stop } from '../../src/domain/stop.ts';
import { type S3Server, s3Server, SECRET } from '../support/s3-server.ts';

const RUN = '7f1e2c7e-0f3a-4a7e-9a55-0c1f6f0e0001';
const BYTES = Buffer.from('some rows\n');

let server: S3Server;
let store: ArchiveStore;
let number = 0;
let location: string;

beforeAll(async () => {
  server = await s3Server();
  store = server.store;
});
afterAll(() => server.close());
beforeEach(() => {
  server.fault = () => null;
  number += 1;
  location = `${RUN}/${String(number).padStart(6, '0')}-f1-1.copy.zst`;
});

const soon = () => AbortSignal.timeout(2_000);

async function contentOf(at: string): Promise<string> {
  const file = await store.open(at);
  return (await readExactly(file, 0, file.size)).toString();
}

/** A fault that strikes once. */
function onceOn(method: string, fault: ReturnType<S3Server['fault']>): void {
  let struck = false;
  server.fault = (request) => {
    if (struck || request.method !== method) return null;
    struck = true;
    return fault;
  };
}

const failureOf = async (what: Promise<unknown>): Promise<Error> =>
  what.then(
    () => new Error('nothing failed'),
    (error: unknown) => error as Error,
  );

describe('the store named s3', () => {
  it('keeps bytes under a name that only they have, with their checksum', async () => {
    await store.create(location, BYTES, soon());
    expect(await contentOf(location)).toBe('some rows\n');
    expect(server.requests).toContainEqual({
      method: 'PUT',
      key: location,
      isConditional: true,
      status: 200,
    });
    const error = await failureOf(store.create(location, Buffer.from('other rows'), soon()));
    expect(error).toBeInstanceOf(Stop);
    expect(error.message).toContain('has an object');
    expect(await contentOf(location)).toBe('some rows\n');
  });

  it('takes what an earlier try has left when the answer was lost', async () => {
    onceOn('PUT', 'LOST_REPLY');
    await store.create(location, BYTES, soon());
    expect(await contentOf(location)).toBe('some rows\n');
    const statuses = server.requests.filter(({ key, method }) => key === location && method === 'PUT');
    expect(statuses.map(({ status }) => status)).toEqual([412]);
  });

  it('tries again where the store is busy for a moment', async () => {
    onceOn('PUT', 'BUSY');
    await store.create(location, BYTES, soon());
    expect(await contentOf(location)).toBe('some rows\n');
  });

  it.each(['BUSY', 'SILENT'] as const)('gives up at the deadline when the store is %s', async (fault) => {
    server.fault = () => fault;
    const begun = performance.now();
    expect(await failureOf(store.create(location, BYTES, AbortSignal.timeout(500)))).toBeInstanceOf(
      StoreBusy,
    );
    expect(performance.now() - begun).toBeLessThan(5_000);
    server.fault = () => null;
    expect(await store.list(location)).toEqual([]);
  });

  it('gives up at the deadline when a body does not come', async () => {
    await store.create(location, BYTES, soon());
    server.fault = () => 'SLOW_BODY';
    expect(await failureOf(store.open(location, AbortSignal.timeout(500)))).toBeInstanceOf(StoreBusy);
  });

  it('moves what no ledger speaks of aside, and the manifest never', async () => {
    await store.create(location, BYTES, soon());
    const known = location.replace('-1.copy', '-2.copy');
    await store.create(known, BYTES, soon());
    await store.replace(`${RUN}/manifest.json`, '{}');
    await store.replace(`${RUN}/manifest.json`, '{"version":1}');
    await moveOrphans(store, RUN, new Set([known]));
    const left = await store.list(RUN);
    expect(left).toContain(known);
    expect(left).toContain(`${RUN}/manifest.json`);
    expect(left).not.toContain(location);
    const orphans = await store.list('orphans');
    const orphan = orphans.find((name) => name.endsWith(location.split('/')[1] ?? '')) ?? '';
    expect(await contentOf(orphan)).toBe('some rows\n');
    expect(await contentOf(`${RUN}/manifest.json`)).toBe('{"version":1}');
  });

  it('says what is wrong with a bucket, and nothing of its keys', async () => {
    expect(await store.trouble()).toBeNull();
    const { settings } = server;
    expect(await makeS3Store('s3', { ...settings, bucket: 'nowhere' }).trouble()).toMatch(
      /^The bucket nowhere does not let us in, or does not answer \(.*404\)\.$/,
    );
    const away = makeS3Store('s3', { ...settings, endpoint: 'http://127.0.0.1:1' });
    expect(await away.trouble()).toMatch(/does not answer/);
    Object.assign(process.env, { AWS_ACCESS_KEY_ID: 'NOBODY', AWS_SECRET_ACCESS_KEY: 'another-secret' });
    const stranger = makeS3Store('s3', settings);
    const error = await failureOf(stranger.create(location, BYTES, soon()));
    Object.assign(process.env, { AWS_ACCESS_KEY_ID: SECRET, AWS_SECRET_ACCESS_KEY: SECRET });
    expect(error.message).toMatch(/refused a request \(InvalidAccessKeyId, 403\)/);
    expect(JSON.stringify([error.message, error.stack])).not.toContain('another-secret');
  });
});
