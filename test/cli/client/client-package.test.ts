import { execFile } from 'node:child_process';
import { copyFile, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { DeclutterError } from '../../../src/errors.ts';
import { type ApiServer, apiServer } from '../../support/api-server.ts';

const ROOT = fileURLToPath(new URL('../../..', import.meta.url));
const node = (folder: string, ...args: string[]) =>
  promisify(execFile)(process.execPath, args, { cwd: folder });
const tsc = (folder: string, ...args: string[]) =>
  node(folder, join(ROOT, 'node_modules/typescript/lib/tsc.js'), ...args);

const PROGRAM = `
import { apiClient, ApiError, DatabasesDocument, FindingsDocument, waitForRun } from 'declutter/client';

const client = apiClient({ url: process.argv[2] ?? '', credentials: { token: process.argv[3] ?? '' } });
const { databases } = await client.request(DatabasesDocument, {});
const names: readonly string[] = databases.map(({ name }) => name);
const refused = await waitForRun(client, 'no-run').catch((error: unknown) => (error instanceof ApiError ? error.code : 'another'));
console.log(JSON.stringify({ names, refused }));

// @ts-expect-error -- a document says what it needs
export const missing = () => client.request(FindingsDocument, { database: 1 });
`;

const STRICT = {
  compilerOptions: {
    target: 'es2022',
    lib: ['es2022', 'dom'],
    module: 'nodenext',
    strict: true,
    exactOptionalPropertyTypes: true,
    types: ['node'],
  },
  files: ['program.ts'],
};

/** By the client; an installation has only what is listed as a dependency. */
const IMPORTED = ['graphql', 'graphql-request', 'graphql-ws', '@graphql-typed-document-node/core'];

describe('declutter/client in a project of its own', () => {
  let project: string;
  let api: ApiServer;
  beforeAll(async () => {
    project = await mkdtemp(join(tmpdir(), 'declutter-client-'));
    const installed = join(project, 'node_modules/declutter');
    await mkdir(installed, { recursive: true });
    const dist = join(installed, 'dist');
    await tsc(ROOT, '-p', 'tsconfig.client.json', '--emitDeclarationOnly', 'false', '--outDir', dist);
    await copyFile(join(ROOT, 'package.json'), join(installed, 'package.json'));
    const { dependencies } = JSON.parse(await readFile(join(ROOT, 'package.json'), 'utf8')) as Package;
    for (const name of IMPORTED.filter((wanted) => wanted in dependencies)) {
      await mkdir(dirname(join(project, 'node_modules', name)), { recursive: true });
      await symlink(join(ROOT, 'node_modules', name), join(project, 'node_modules', name));
    }
    await mkdir(join(project, 'node_modules/@types'));
    await symlink(join(ROOT, 'node_modules/@types/node'), join(project, 'node_modules/@types/node'));
    await writeFile(join(project, 'package.json'), '{ "type": "module" }');
    await writeFile(join(project, 'tsconfig.json'), JSON.stringify(STRICT));
    await writeFile(join(project, 'program.ts'), PROGRAM);
    const wait = async () => {
      throw new DeclutterError('NOT_FOUND', 'There is no such run.');
    };
    api = await apiServer({ databases: { list: async () => [] }, runs: { wait } });
  }, 120_000);
  afterAll(async () => {
    await api.close();
    await rm(project, { recursive: true });
  });

  it('compiles under strict, and answers', async () => {
    await tsc(project, '-p', '.');
    const { stdout } = await node(project, 'program.js', api.url, await api.token('viewer'));
    expect(JSON.parse(stdout)).toEqual({ names: [], refused: 'NOT_FOUND' });
  }, 120_000);
});

interface Package {
  readonly dependencies: Readonly<Record<string, string>>;
}
