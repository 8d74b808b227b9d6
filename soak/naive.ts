import { spawn, type ChildProcess } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as rest } from 'node:timers/promises';
import pg from 'pg';
import { missing } from '../test/support/installations.ts';
import { NAIVE_ORDERS, type NaiveJob } from '../test/support/naive-archive.ts';
import { type Server, startServer } from '../test/support/server.ts';
import { compareTable } from './compare-tables.ts';
import { makeTable, tableOf, useTables } from './fault-tables.ts';
import type { Check } from './kills.ts';

interface Options {
  readonly folder: string;
  readonly faults: number;
  readonly rows: number;
  readonly check: Check;
}

/** The same tables, the same application, the same look at every row; and an archive that is written as one would at first. */
export async function soakNaively({ folder, faults, rows, check }: Options): Promise<void> {
  const server = await startServer(missing('debian-15') === null ? 'debian-15' : 18, {
    synchronous_commit: 'on',
  });
  try {
    for (const [n, order] of NAIVE_ORDERS.entries()) {
      await archiveThroughFaults(server, { order, n, folder, faults: Math.ceil(faults / 2), rows, check });
    }
  } finally {
    await server.stop();
  }
}

async function archiveThroughFaults(
  server: Server,
  { order, n, folder, faults, rows, check }: Options & { order: NaiveJob['order']; n: number },
): Promise<void> {
  const { port, password } = server.address;
  const url = `postgres://postgres:${password}@127.0.0.1:${port}/postgres`;
  const connect = async () => {
    const client = new pg.Client({ connectionString: url, application_name: 'soak' });
    client.on('error', () => undefined); // the statement under way fails too, and says why
    await client.connect();
    return client;
  };
  const table = tableOf('FILES', n + 1, rows);
  const client = await connect();
  await makeTable(client, table);
  const stopped = new AbortController();
  const using = useTables({ connect }, [table], stopped.signal);
  const job: NaiveJob = {
    url,
    archiveDir: path.join(folder, 'archives'),
    runId: randomUUID(),
    table: table.name,
    where: `status = 'expired'`,
    order,
    batchRows: 250,
  };
  mkdirSync(job.archiveDir, { recursive: true });
  let done = 0;
  for (; done < faults; done += 1) {
    const naive = start(job);
    await once(naive.stdout as NodeJS.ReadableStream, 'data');
    await Promise.race([once(naive, 'exit'), rest(100 + Math.random() * 900)]);
    if (naive.exitCode === 0) break;
    naive.kill('SIGKILL');
    if (naive.exitCode === null && naive.signalCode === null) await once(naive, 'exit');
  }
  await once(start(job), 'exit');
  stopped.abort();
  await using;
  process.stdout.write(`       ${order}: killed ${done} times\n`);
  for (const { what, seen, wanted } of await compareTable(
    client,
    table,
    { root: job.archiveDir, runId: job.runId },
    false,
  )) {
    check(`naive ${order}: ${what}`, seen, wanted);
  }
  await client.query('DROP SCHEMA app CASCADE');
  await client.end();
}

const start = (job: NaiveJob): ChildProcess =>
  spawn(
    process.execPath,
    ['--import', '@swc-node/register/esm-register', 'test/support/naive-process.ts', JSON.stringify(job)],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  );
