import { createHash } from 'node:crypto';
import { open, readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { pipeline } from 'node:stream/promises';
import { Readable } from 'node:stream';
import { promisify } from 'node:util';
import { zstdDecompress } from 'node:zlib';
import type pg from 'pg';
import { from as copyFrom } from 'pg-copy-streams';
import { readExactly } from '../src/archive/read-file.ts';
import { framePositions } from '../src/archive/zstd-frames.ts';

/** How many rows, and two sums of 64-bit hashes of their text, whatever their order: equal for equal multisets only. */
export async function multisetOf(client: pg.Client, source: string): Promise<string> {
  const { rows } = await client.query<{ line: string }>(`
    SELECT concat_ws(' ', count(*), sum(hashtextextended(t::text, 0)::numeric), sum(hashtextextended(t::text, 1)::numeric)) AS line
      FROM (${source}) AS t`);
  return rows[0]?.line ?? '';
}

/** One of the tables of an archive; without a name and columns it is the archive's own. */
export interface Part {
  readonly number: number;
  readonly table?: string;
  readonly columns?: readonly { readonly name: string; readonly type: string }[];
}

interface Manifest {
  readonly parts?: readonly Part[];
  readonly segments: readonly {
    readonly part?: number;
    readonly location: string;
    readonly bytes: number;
    readonly sha256: string;
  }[];
}

export interface LoadedArchive {
  readonly segments: number;
  /** checksums or sizes that are not as the manifest says */
  readonly wrong: string[];
  /** files beside the manifest that it does not list */
  readonly stray: string[];
}

/** Loads a run's files into the table that there is for each part, by the manifest alone. */
export async function loadFiles(
  client: pg.Client,
  root: string,
  runId: string,
  holderOf: (part: Part) => Promise<string>,
): Promise<LoadedArchive> {
  const manifest = JSON.parse(await readFile(path.join(root, runId, 'manifest.json'), 'utf8')) as Manifest;
  const holders = new Map<number, string>();
  for (const part of [{ number: 0 }, ...(manifest.parts ?? [])])
    holders.set(part.number, await holderOf(part));
  const wrong: string[] = [];
  for (const { part = 0, location, bytes, sha256 } of manifest.segments) {
    const file = path.join(root, location);
    const content = await readFile(file);
    if (content.length !== bytes || createHash('sha256').update(content).digest('hex') !== sha256)
      wrong.push(location);
    await pipeline(
      Readable.from(rowsOf(file, content.length)),
      client.query(copyFrom(`COPY ${holders.get(part) ?? ''} FROM STDIN`)),
    );
  }
  const known = new Set([
    'manifest.json',
    ...manifest.segments.map(({ location }) => path.basename(location)),
  ]);
  const stray = (await readdir(path.join(root, runId))).filter((name) => !known.has(name));
  return { segments: manifest.segments.length, wrong, stray };
}

async function* rowsOf(file: string, size: number): AsyncGenerator<Buffer> {
  const handle = await open(file);
  try {
    for (const { start, length } of await framePositions(handle, size))
      yield await promisify(zstdDecompress)(await readExactly(handle, start, length));
  } finally {
    await handle.close();
  }
}
