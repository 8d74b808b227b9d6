import { mkdir, mkdtemp, readdir, readFile, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { makeFileStore } from '../../src/archive/file-store.ts';
import { ensureStoreId, STORE_ID_FILE } from '../../src/archive/store-id.ts';
import { fileStoreId } from '../../src/store/file-stores.ts';
import { testStore } from '../support/postgres.ts';

let root: string;

beforeEach(async () => {
  root = await mkdtemp(path.join(tmpdir(), 'declutter-store-'));
});
afterEach(() => rm(root, { recursive: true }));

const folder = async (name: string): Promise<string> => {
  await mkdir(path.join(root, name));
  return path.join(root, name);
};

const bytes = Buffer.from('rows');
const notTheOne = { stateCode: 'ARCHIVE_STORE', message: expect.stringContaining(STORE_ID_FILE) };

describe('a small file', () => {
  it('is as it was when there is no room for its successor, and the run hears of that', async () => {
    const store = makeFileStore('local', root, await ensureStoreId(root));
    await store.replace('run/manifest.json', '{}');
    await symlink('/dev/full', path.join(root, `run/manifest.json.${process.pid}.new`));
    await expect(store.replace('run/manifest.json', '{"rows":1}')).rejects.toMatchObject({
      stateCode: 'RESOURCE',
      outcome: 'PAUSED',
      message: expect.stringContaining('ENOSPC'),
    });
    expect(await readFile(path.join(root, 'run/manifest.json'), 'utf8')).toBe('{}');
  });
});

describe('the folder of a store', () => {
  it('gets one id, whoever of several processes comes first, and keeps it', async () => {
    const own = await folder('own');
    const ids = await Promise.all(Array.from({ length: 8 }, () => ensureStoreId(own)));
    expect(new Set(ids).size).toBe(1);
    expect(await ensureStoreId(own)).toBe(ids[0]);
    expect(await readdir(own)).toEqual([STORE_ID_FILE]);
  });

  it('is the one that the first process saw: others have to see the same', async () => {
    const { store, close } = await testStore();
    const [shared, unshared] = [await folder('shared'), await folder('unshared')];
    const id = await fileStoreId(store, 'local', () => ensureStoreId(shared));
    expect(await fileStoreId(store, 'local', () => ensureStoreId(unshared))).toBe(id);
    expect(await makeFileStore('local', shared, id).trouble()).toBeNull();
    expect(await makeFileStore('local', unshared, id).trouble()).toMatch(
      new RegExp(`its file ${STORE_ID_FILE} cannot be read \\(ENOENT\\).* write ${id} to that file`),
    );
    expect(await readdir(unshared)).toEqual([]); // it gets no id of its own either
    await close();
  });

  it.each([
    ['empty', () => folder('mount')],
    [
      'of another installation',
      async () => {
        const other = await folder('mount');
        await ensureStoreId(other);
        return other;
      },
    ],
    [
      'linked elsewhere',
      async () => {
        await symlink(await folder('elsewhere'), path.join(root, 'mount'));
        return path.join(root, 'mount');
      },
    ],
  ])('has nothing done to it when it is %s', async (_, take) => {
    const own = await folder('own');
    const id = await ensureStoreId(own);
    await makeFileStore('local', own, id).create('run/1', bytes, new AbortController().signal);
    await rename(own, `${own}-away`);
    const taken = await take();
    const before = await readdir(taken);
    const store = makeFileStore('local', taken, id);
    await Promise.all(
      [
        store.create('run/2', bytes, new AbortController().signal),
        store.open('run/1'),
        store.replace('run/manifest.json', '{}'),
        store.list('run'),
        store.move('run/1', 'orphans/1'),
        store.remove('run/1'),
        store.freeBytes(),
      ].map((deed) => expect(deed).rejects.toMatchObject(notTheOne)),
    );
    expect(await readdir(taken)).toEqual(before);
    expect(await readFile(`${own}-away/run/1`)).toEqual(bytes);
  });

  it('may become another one, by a person who moved everything there', async () => {
    const id = await ensureStoreId(await folder('own'));
    const store = makeFileStore('local', await folder('new'), id);
    await expect(store.list('run')).rejects.toMatchObject(notTheOne);
    await writeFile(path.join(root, 'new', STORE_ID_FILE), `${id}\n`);
    expect(await store.list('run')).toEqual([]);
  });
});
