import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import path from 'node:path';
import S3rver from 's3rver';
import { makeS3Store, type S3Settings, type S3Store } from '../../src/archive/s3-store.ts';

const BUCKET = 'archives';
export const SECRET = 'S3RVER';

/**
 * What the network or the store does to a request. BUSY: 503. OTHER_BYTES: stored changed. LOST_REPLY: done, and the answer
 * never comes. SILENT: nothing ever comes. SLOW_BODY: the headers come, the rest does not.
 */
export type S3Fault = 'BUSY' | 'OTHER_BYTES' | 'LOST_REPLY' | 'SILENT' | 'SLOW_BODY';

export interface S3Request {
  readonly method: string;
  /** below the bucket */
  readonly key: string;
  readonly isConditional: boolean;
  readonly status: number;
}

export interface S3Server {
  readonly settings: S3Settings;
  readonly store: S3Store;
  /** those that were answered, in order */
  readonly requests: readonly S3Request[];
  /** asked before each request; null: all is well */
  fault: (request: Pick<S3Request, 'method' | 'key'>) => S3Fault | null;
  close(): Promise<void>;
}

/** s3rver behind a proxy that is as strict as Amazon: checksums are compared, and If-None-Match is obeyed. */
export async function s3Server(): Promise<S3Server> {
  process.env['AWS_ACCESS_KEY_ID'] = SECRET;
  process.env['AWS_SECRET_ACCESS_KEY'] = SECRET;
  const directory = await mkdtemp(path.join(tmpdir(), 'declutter-s3-'));
  const options = { address: '127.0.0.1', port: 0, silent: true, directory };
  const behind = new S3rver({ ...options, configureBuckets: [{ name: BUCKET }] });
  const { port: portBehind } = await behind.run();
  const requests: S3Request[] = [];
  const front = createServer((incoming, answer) => {
    void handle(incoming, answer).catch(() => incoming.socket.destroy());
  });
  front.listen(0, '127.0.0.1');
  await once(front, 'listening');
  const endpoint = `http://127.0.0.1:${(front.address() as { port: number }).port}`;
  const settings = { bucket: BUCKET, endpoint, region: 'us-east-1' };
  const store = makeS3Store('s3', settings);
  const server: S3Server = {
    settings,
    store,
    requests,
    fault: () => null,
    close: async () => {
      store.close();
      front.closeAllConnections();
      front.close();
      await behind.close();
      await rm(directory, { recursive: true });
    },
  };

  async function handle(incoming: IncomingMessage, answer: ServerResponse): Promise<void> {
    const { method = '', url = '/', headers } = incoming;
    const key = decodeURIComponent(url.replace(/\?.*/, '').slice(`/${BUCKET}/`.length));
    const body = Buffer.concat((await incoming.toArray()) as Buffer[]);
    const fault = server.fault({ method, key });
    const isConditional = headers['if-none-match'] === '*';
    const told = (status: number) => requests.push({ method, key, isConditional, status });
    const refuse = (status: number, code: string) => {
      told(status);
      answer.writeHead(status, { 'content-type': 'application/xml' });
      answer.end(`<?xml version="1.0"?><Error><Code>${code}</Code><Message>no</Message></Error>`);
    };
    if (fault === 'SILENT') return;
    if (fault === 'BUSY') return refuse(503, 'SlowDown');
    if (method === 'PUT' && headers['x-amz-copy-source'] === undefined) {
      const sum = createHash('sha256').update(body).digest('base64');
      if (headers['x-amz-checksum-sha256'] !== sum) return refuse(400, 'BadDigest');
      if (isConditional && (await exists(key))) return refuse(412, 'PreconditionFailed');
    }
    if (fault === 'OTHER_BYTES') body[body.length >> 1] = (body[body.length >> 1] ?? 0) ^ 1;
    const { status, replyHeaders, reply } = await forward(incoming, body, fault === 'OTHER_BYTES');
    if (fault === 'LOST_REPLY') return void incoming.socket.destroy();
    told(status);
    answer.writeHead(status, replyHeaders);
    if (fault !== 'SLOW_BODY') answer.end(reply);
    else answer.write(reply.subarray(0, reply.length >> 1));
  }

  async function exists(key: string): Promise<boolean> {
    const out = request({ host: '127.0.0.1', port: portBehind, method: 'HEAD', path: `/${BUCKET}/${key}` });
    out.end();
    const [response] = (await once(out, 'response')) as [IncomingMessage];
    response.resume();
    return response.statusCode === 200;
  }

  async function forward(incoming: IncomingMessage, body: Buffer, isChanged: boolean) {
    const { method, url: path, headers } = incoming;
    const { 'x-amz-content-sha256': _hash, authorization: _signature, ...unsigned } = headers;
    const out = request({
      host: '127.0.0.1',
      port: portBehind,
      method,
      path,
      headers: isChanged ? unsigned : headers,
    });
    out.end(body);
    const [response] = (await once(out, 'response')) as [IncomingMessage];
    const reply = Buffer.concat((await response.toArray()) as Buffer[]);
    return { status: response.statusCode ?? 500, replyHeaders: response.headers, reply };
  }
  return server;
}
