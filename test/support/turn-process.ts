/** One turn at one run, in a process of its own: node turn-process.ts '{"runId":...}' */
import { flushCompileCache } from 'node:module';
import { executeRun } from '../../src/engine/execute-run.ts';
import { parseFailpoints, setFailpoints } from '../../src/failpoint.ts';
import { claimRun } from '../../src/store/leases.ts';
import { openStore } from '../../src/store/open-store.ts';
import { engineDeps } from './engine-deps.ts';
import type { ProcessInput } from './spawn-worker.ts';

const input = JSON.parse(process.argv[2] ?? '') as ProcessInput & { readonly runId: string };
if (input.failpoints !== '') setFailpoints(parseFailpoints(input.failpoints) ?? []);
const store = await openStore(input.storeUrl);
const address = { ...input.address, password: () => Promise.resolve(input.address.password) };
const deps = engineDeps(store, address, input.archiveDir, input.times, input.s3, input.keys);
const claim = await claimRun(store, input.runId, String(process.pid), input.times.leaseMs);
flushCompileCache(); // it is going to be killed
process.stdout.write('ready\n');
if (claim) await executeRun(deps, claim, new AbortController().signal);
await store.close();
