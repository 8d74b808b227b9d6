import { makeLog } from '../../src/log.ts';
import { startEmbedded } from '../../src/store/embedded-postgres.ts';

/** A process that uses the embedded server under the given folder until its standard input ends; see the test beside. */
const server = await startEmbedded(process.argv[2] ?? '', makeLog('silent'));
process.stdout.write(
  `${JSON.stringify({ url: server.url, superuserUrl: server.superuserUrl, port: server.port })}\n`,
);
process.stdin.resume().once('end', () => {
  void server.stop().then(() => process.exit(0));
});
