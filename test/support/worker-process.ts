/** A worker in a process of its own, to be killed: node worker-process.ts '{"storeUrl":...}' */
import { flushCompileCache } from 'node:module';
import { openStore } from '../../src/store/open-store.ts';
import { openQueue } from '../../src/store/queue.ts';
import { startWorker } from '../../src/engine/worker.ts';
import { parseFailpoints, setFailpoints } from '../../src/failpoint.ts';
import { engineDeps } from './engine-deps.ts';
import type { ProcessInput } from './spawn-worker.ts';

const input = JSON.parse(process.argv[2] ?? '') as ProcessInput;
if (input.failpoints !== '') setFailpoints(parseFailpoints(input.failpoints) ?? []);
const store = await openStore(input.storeUrl);
const address = { ...input.address, password: () => Promise.resolve(input.address.password) };
const deps = engineDeps(store, address, input.archiveDir, input.times, input.s3, input.keys);
const queue = await openQueue(input.storeUrl, deps.log);
const worker = await startWorker({ ...deps, queue, concurrency: 4 });
process.on('SIGTERM', () => {
  void worker
    .stop()
    .then(() => queue.stop())
    .then(() => store.close())
    .then(() => process.exit(0));
});
flushCompileCache(); // it is going to be killed
process.stdout.write('ready\n');
