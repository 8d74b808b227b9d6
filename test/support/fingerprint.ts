import { createHash } from 'node:crypto';
import { open, readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { zstdDecompressSync } from 'node:zlib';
import { readExactly } from '../../src/archive/read-file.ts';
import { framePositions } from '../../src/archive/zstd-frames.ts';
import { BATCH_SETTINGS } from '../../src/target/session.ts';
import type { TestDatabase } from './postgres.ts';

export interface Fingerprint {
  readonly rows: number;
  readonly hash: string;
}

/** How many rows, and a hash of their text whatever their order. */
export async function fingerprintOf(database: TestDatabase, source: string): Promise<Fingerprint> {
  const [row] = await database.run(`
    SELECT count(*)::int AS rows, coalesce(md5(string_agg(md5(t::text), '' ORDER BY md5(t::text))), '') AS hash FROM (${source}) AS t`);
  return row as unknown as Fingerprint;
}

interface Manifest {
  readonly rows: number;
  readonly segments: readonly {
    readonly location: string;
    readonly rows: number;
    readonly bytes: number;
    readonly sha256: string;
  }[];
}

/**
 * Loads the files of a run's archive into a table with the columns of another, by nothing but the manifest: what anybody could
 * do without this project. Asserts every checksum on the way.
 */
export async function loadArchive(
  database: TestDatabase,
  root: string,
  runId: string,
  like: string,
  into: string,
): Promise<Manifest> {
  const manifest = JSON.parse(await readFile(path.join(root, runId, 'manifest.json'), 'utf8')) as Manifest;
  const session = await database.session({ ...BATCH_SETTINGS });
  await database.run(`CREATE TABLE ${into} AS SELECT * FROM ${like} WITH NO DATA`);
  for (const { location, sha256, bytes } of manifest.segments) {
    const content = await readFile(path.join(root, location));
    if (content.length !== bytes || createHash('sha256').update(content).digest('hex') !== sha256) {
      throw new Error(`${location} is not as the manifest says`);
    }
    const rows = await decompressed(path.join(root, location), bytes);
    await session.transaction(() => session.copyIn(`COPY ${into} FROM STDIN`, rows));
  }
  return manifest;
}

/** Files below the archive's root that neither the manifest nor orphans/ accounts for. */
export async function strayFiles(root: string, runId: string, manifest: Manifest): Promise<string[]> {
  const known = new Set([...manifest.segments.map(({ location }) => location), `${runId}/manifest.json`]);
  return (await readdir(path.join(root, runId)))
    .map((name) => `${runId}/${name}`)
    .filter((name) => !known.has(name));
}

async function decompressed(file: string, size: number): Promise<Buffer> {
  const handle = await open(file);
  try {
    const frames: Buffer[] = [];
    for (const { start, length } of await framePositions(handle, size))
      frames.push(zstdDecompressSync(await readExactly(handle, start, length)));
    return Buffer.concat(frames);
  } finally {
    await handle.close();
  }
}
