import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { makeLog } from '../src/log.ts';
import { startEmbedded } from '../src/store/embedded-postgres.ts';

/** A throw-away server whose user may make databases, for scripts that need one. */
export async function withServer<T>(work: (url: string) => Promise<T>): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), 'declutter-scripts-'));
  const server = await startEmbedded(folder, makeLog('warn'));
  try {
    return await work(server.superuserUrl);
  } finally {
    await server.stop();
    await rm(folder, { recursive: true });
  }
}
