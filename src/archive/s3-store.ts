import { addAbortSignal, type Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  CopyObjectCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  HeadBucketCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  S3Client,
} from '@aws-sdk/client-s3';
import { Stop } from '../domain/stop.ts';
import type { ArchiveStore, StoredFile } from './archive-store.ts';
import { hashOf } from './read-file.ts';
import { StoreBusy } from './store-busy.ts';

export interface S3Settings {
  readonly bucket: string;
  /** null: Amazon's own */
  readonly endpoint: string | null;
  readonly region: string;
}

export interface S3Store extends ArchiveStore {
  readonly kind: 'S3';
  close(): void;
}

/** For requests that nobody's rows wait for. */
const PATIENCE_MS = 60_000;
const LOOK_MS = 5_000;

/** A bucket of S3, or of a store that speaks its language. The SDK finds the credentials by itself (environment, files, role). */
export function makeS3Store(name: string, { bucket, endpoint, region }: S3Settings): S3Store {
  const client = new S3Client({
    region,
    // Only Amazon's own buckets have host names of their own.
    ...(endpoint === null ? {} : { endpoint, forcePathStyle: true }),
    maxAttempts: 1, // ours fit into a deadline (guarded)
    // With it each object would wait for a connection of its own.
    expectContinueHeader: false,
    // Ours are sent with what they are checksums of; stores that are not Amazon's stumble over others.
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
  });
  const place = { client, bucket };
  return {
    name,
    kind: 'S3',
    trouble: () => troubleOf(place),
    create: (location, bytes, deadline) => create(place, location, bytes, deadline),
    open: async (location, deadline) => inMemory(await read(place, location, deadline ?? patience())),
    replace: (location, text) => put(place, location, Buffer.from(text), patience()),
    list: (runId) => list(place, `${runId}/`),
    move: (from, to) => move(place, from, to),
    remove: (location) => remove(place, location),
    freeBytes: () => Promise.resolve(null),
    close: () => {
      client.destroy();
    },
  };
}

interface Place {
  readonly client: S3Client;
  readonly bucket: string;
}

const patience = (): AbortSignal => AbortSignal.timeout(PATIENCE_MS);

async function troubleOf({ client, bucket }: Place): Promise<string | null> {
  const abortSignal = AbortSignal.timeout(LOOK_MS);
  return client.send(new HeadBucketCommand({ Bucket: bucket }), { abortSignal }).then(
    () => null,
    (error: unknown) => `The bucket ${bucket} does not let us in, or does not answer (${reasonOf(error)}).`,
  );
}

/** Where something has the name already, it can only be what an earlier try of these very bytes has left. */
async function create(place: Place, location: string, bytes: Buffer, deadline: AbortSignal): Promise<void> {
  try {
    await put(place, location, bytes, deadline, { IfNoneMatch: '*' });
  } catch (error) {
    if (statusOf((error as Error).cause) !== PRECONDITION_FAILED) throw error;
    const present = await read(place, location, deadline);
    if (present.equals(bytes)) return;
    throw new Stop(
      'ARCHIVE_STORE',
      `The archive store has an object ${location} already. Look at it, then resume.`,
    );
  }
}

async function put(
  { client, bucket }: Place,
  location: string,
  bytes: Buffer,
  deadline: AbortSignal,
  condition: { readonly IfNoneMatch?: '*' } = {},
): Promise<void> {
  const ChecksumSHA256 = Buffer.from(hashOf(bytes), 'hex').toString('base64');
  const object = { Bucket: bucket, Key: location, Body: bytes, ChecksumSHA256, ...condition };
  await within(deadline, (options) => client.send(new PutObjectCommand(object), options));
}

/** Whole, into memory: a segment is one batch, or what was merged to the size of a segment. */
async function read({ client, bucket }: Place, location: string, deadline: AbortSignal): Promise<Buffer> {
  return within(deadline, async (options) => {
    const { Body } = await client.send(new GetObjectCommand({ Bucket: bucket, Key: location }), options);
    // The SDK no longer looks at the signal once the headers are there.
    const body = addAbortSignal(deadline, Body as Readable);
    const chunks: Buffer[] = [];
    for await (const chunk of body) chunks.push(chunk as Buffer);
    return Buffer.concat(chunks);
  });
}

const inMemory = (bytes: Buffer): StoredFile => ({
  size: bytes.length,
  read: (into, offset, length, position) =>
    Promise.resolve({ bytesRead: bytes.copy(into, offset, position, position + length) }),
  close: () => Promise.resolve(),
});

async function list({ client, bucket }: Place, prefix: string): Promise<string[]> {
  const found: string[] = [];
  let ContinuationToken: string | undefined;
  do {
    const request = { Bucket: bucket, Prefix: prefix, ...(ContinuationToken && { ContinuationToken }) };
    const page = await within(patience(), (options) =>
      client.send(new ListObjectsV2Command(request), options),
    );
    found.push(...(page.Contents ?? []).flatMap(({ Key }) => Key ?? []));
    ContinuationToken = page.NextContinuationToken;
  } while (ContinuationToken !== undefined);
  return found;
}

/** A copy that is whole, and only then without the first. */
async function move(place: Place, from: string, to: string): Promise<void> {
  const { client, bucket } = place;
  const copy = { Bucket: bucket, Key: to, CopySource: encodeURI(`${bucket}/${from}`) };
  await within(patience(), (options) => client.send(new CopyObjectCommand(copy), options));
  const [original, copied] = [await read(place, from, patience()), await read(place, to, patience())];
  if (!original.equals(copied)) throw new StoreBusy('a copy has other bytes');
  await remove(place, from);
}

/** S3 itself says nothing of an object that was not there. */
async function remove({ client, bucket }: Place, location: string): Promise<void> {
  const object = { Bucket: bucket, Key: location };
  await within(patience(), (options) => client.send(new DeleteObjectCommand(object), options));
}

const TRIES = 5;

/** A request, again where that may help. The SDK's own waits would outlast the deadline of a batch. */
async function within<T>(
  deadline: AbortSignal,
  work: (options: { abortSignal: AbortSignal }) => Promise<T>,
): Promise<T> {
  for (let tries = 1; ; tries += 1) {
    try {
      return await work({ abortSignal: deadline });
    } catch (error) {
      const failure = failureOf(error);
      if (!(failure instanceof StoreBusy) || tries === TRIES || deadline.aborted) throw failure;
      await sleep(25 * 2 ** tries * (0.5 + Math.random()));
    }
  }
}

const PRECONDITION_FAILED = 412;
/** Another request for the same name is under way; too many requests. */
const LATER = new Set([408, 409, 429]);

/** Only the name of a failure is told: messages and requests may carry keys and signatures. */
function failureOf(error: unknown): Error {
  if (error instanceof Stop) return error;
  const status = statusOf(error);
  if (status === undefined || status >= 500 || LATER.has(status))
    return new StoreBusy(reasonOf(error), { cause: error });
  return new Stop(
    'ARCHIVE_STORE',
    `The archive store refused a request (${reasonOf(error)}). Mend it, then resume the run.`,
    'PAUSED',
    { cause: error },
  );
}

const statusOf = (error: unknown): number | undefined =>
  (error as { $metadata?: { httpStatusCode?: number } } | null | undefined)?.$metadata?.httpStatusCode;

const reasonOf = (error: unknown): string => {
  const { name, code } = error as { name?: string; code?: string };
  return [code ?? name ?? 'unknown', statusOf(error)].filter((word) => word !== undefined).join(', ');
};
