import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { TLSSocket } from 'node:tls';

export interface Certificate {
  readonly cert: string;
  readonly key: string;
}

/** Signed by itself, and so its own authority; names as in a certificate: DNS:db.test, IP:127.0.0.1. */
export function makeCertificate(names: string, expired = false): Certificate {
  const folder = mkdtempSync(join(tmpdir(), 'declutter-cert-'));
  const [key, cert] = [join(folder, 'key'), join(folder, 'cert')];
  const openssl = (...args: string[]) => execFileSync('openssl', args, { stdio: 'pipe' });
  const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  const subject = ['-subj', '/CN=test', '-addext', `subjectAltName=${names}`];
  openssl('req', '-x509', ...curve, ...subject, '-keyout', key, '-out', cert, '-days', '2');
  if (expired) openssl('x509', '-in', cert, '-signkey', key, '-days', '-1', '-out', cert);
  const made = { cert: readFileSync(cert, 'utf8'), key: readFileSync(key, 'utf8') };
  rmSync(folder, { recursive: true });
  return made;
}

/** PostgreSQL with TLS: answers the SSLRequest, and hands what it deciphers to the server behind it. */
export async function tlsFront(
  server: { readonly host: string; readonly port: number },
  certificate: Certificate,
): Promise<{ port: number; close(): Promise<void> }> {
  const front = createServer((socket) => {
    socket.on('error', () => undefined);
    socket.once('data', () => {
      socket.write('S');
      const clear = new TLSSocket(socket, { isServer: true, ...certificate });
      const behind = connect(server.port, server.host);
      for (const end of [clear, behind])
        end.on('error', () => [clear, behind].map((other) => other.destroy()));
      clear.pipe(behind).pipe(clear);
    });
  });
  front.listen(0, '127.0.0.1');
  await once(front, 'listening');
  const { port } = front.address() as { port: number };
  return { port, close: async () => void (front.close(), await once(front, 'close')) };
}
