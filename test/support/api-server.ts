import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Meter } from '../../src/graphql/admit.ts';
import type { UseCases } from '../../src/graphql/context.ts';
import type { AuditInput } from '../../src/graphql/views.ts';
import { type HttpDeps, startHttp } from '../../src/http/server.ts';
import { makeLog } from '../../src/log.ts';
import { makeAuthenticate } from '../../src/security/authenticate.ts';
import { type EmbeddedIssuer, issueToken, openEmbeddedIssuer } from '../../src/security/embedded-issuer.ts';

export type Client = 'viewer' | 'operator' | 'approver' | 'admin';

interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly data: Record<string, unknown> | null | undefined;
  readonly errors: { message: string; path?: unknown; extensions: Record<string, unknown> }[];
}

export interface ApiServer {
  readonly url: string;
  readonly issuer: EmbeddedIssuer;
  /** Lines of the log, as JSON. */
  readonly log: string[];
  readonly audit: AuditInput[];
  token(client: Client, lifeSeconds?: number): Promise<string>;
  /** POST /graphql as that client; null: without a token. */
  ask(client: Client | null, query: string, variables?: object): Promise<Answer>;
  post(body: string | Uint8Array<ArrayBuffer>, headers?: Record<string, string>): Promise<Answer>;
  close(): Promise<void>;
}

type Parts = { [Noun in keyof UseCases]?: Partial<UseCases[Noun]> };

/** Takes whatever comes and never runs out. */
export const unlimited: Meter = {
  charge: async () => ({ limit: 1_000, remaining: 999, resetsInSeconds: 60 }),
  chargeDestructive: async () => undefined,
};

/** The real HTTP layer with tokens of the embedded issuer, over use-cases of the test's own. */
export async function apiServer(useCases: Parts, more: Partial<HttpDeps> = {}): Promise<ApiServer> {
  const dataDir = await mkdtemp(join(tmpdir(), 'declutter-api-'));
  const issuer = await openEmbeddedIssuer(dataDir);
  const audit: AuditInput[] = [];
  const log: string[] = [];
  const recorded = { record: async (event: AuditInput) => void audit.push(event) };
  const server = await startHttp({
    host: '127.0.0.1',
    port: 0,
    useCases: { ...useCases, audit: { ...recorded, ...useCases.audit } } as UseCases,
    authenticate: makeAuthenticate(issuer, () => new Date()),
    auth: issuer,
    embeddedIssuer: issuer,
    meter: unlimited,
    ready: async () => undefined,
    log: makeLog('info', { write: (line) => void log.push(line) }),
    graceMs: 1_000,
    ...more,
  });
  const token = (client: Client, lifeSeconds?: number) => issueToken(issuer, client, new Date(), lifeSeconds);
  const post: ApiServer['post'] = async (body, headers = {}) =>
    answerOf(
      await fetch(`${server.url}/graphql`, {
        method: 'POST',
        body,
        headers: { 'content-type': 'application/json', ...headers },
      }),
    );
  return {
    url: server.url,
    issuer,
    log,
    audit,
    token,
    post,
    ask: async (client, query, variables) =>
      post(
        JSON.stringify({ query, variables }),
        client === null ? {} : { authorization: `Bearer ${await token(client)}` },
      ),
    close: async () => {
      await server.close();
      await rm(dataDir, { recursive: true });
    },
  };
}

async function answerOf(response: Response): Promise<Answer> {
  const { data, errors = [] } = (await response.json()) as Partial<Pick<Answer, 'data' | 'errors'>>;
  return { status: response.status, headers: response.headers, data, errors };
}
