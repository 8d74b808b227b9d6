import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Installation } from './installations.ts';
import { type Server, startServer } from './server.ts';

/** The servers that this test run has started; each is started when the first test asks for it. */
const servers = new Map<Installation, Promise<Server>>();

/** What the processes that tests start have compiled, so that each starts sooner than the first. */
const compiled = mkdtempSync(join(tmpdir(), 'declutter-compiled-'));

/** Test files run in processes of their own: they ask this one, which owns the servers, where a server listens. */
const door = createServer((request, response) => {
  // A connection that is kept may be closed by us just as the next question comes.
  response.setHeader('connection', 'close');
  serverOf(parse(request.url ?? '')).then(
    (server) => response.end(JSON.stringify(server.address)),
    (error: unknown) => response.writeHead(500).end(String(error)),
  );
});

export default async function globalSetup(): Promise<void> {
  await new Promise<void>((resolve) => door.listen(0, '127.0.0.1', resolve));
  process.env['DECLUTTER_TEST_SERVERS'] = `http://127.0.0.1:${(door.address() as AddressInfo).port}`;
  process.env['NODE_COMPILE_CACHE'] = compiled;
  (globalThis as { stopTestServers?: () => Promise<void> }).stopTestServers = stopAll;
}

function serverOf(installation: Installation): Promise<Server> {
  const known = servers.get(installation);
  if (known) return known;
  const starting = startServer(installation);
  servers.set(installation, starting);
  return starting;
}

const parse = (path: string) => (path === '/debian-15' ? 'debian-15' : Number(path.slice(1))) as Installation;

async function stopAll(): Promise<void> {
  door.close();
  door.closeAllConnections();
  await Promise.all([...servers.values()].map(async (server) => (await server).stop()));
  rmSync(compiled, { recursive: true });
}
