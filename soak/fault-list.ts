import { execFile, spawn } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { rm } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as rest } from 'node:timers/promises';
import { promisify } from 'node:util';
import type { FaultProduct } from './fault-product.ts';

export interface Fault {
  readonly name: string;
  /** how often it is drawn, among all */
  readonly weight: number;
  /** Does it, and takes it back. */
  happen(product: FaultProduct, tables: readonly string[]): Promise<void>;
}

const some = <T>(list: readonly T[]): T => list[randomInt(list.length)] as T;

async function inDatabase(
  product: FaultProduct,
  work: string | ((client: Awaited<ReturnType<FaultProduct['connect']>>) => Promise<unknown>),
) {
  const client = await product.connect();
  try {
    if (typeof work === 'string') await client.query(work);
    else await work(client);
  } finally {
    await client.end();
  }
}

const OURS = `FROM pg_stat_activity WHERE application_name LIKE 'declutter/%' AND backend_type = 'client backend'`;

/** A change of a table that comes and goes. */
const ALTERS = [
  ['ADD COLUMN passing int', 'DROP COLUMN passing'],
  ['ADD CONSTRAINT passing CHECK (id > 0) NOT VALID', 'DROP CONSTRAINT passing'],
  ['ENABLE ROW LEVEL SECURITY', 'DISABLE ROW LEVEL SECURITY'],
  ['RENAME COLUMN tenant TO passing', 'RENAME COLUMN passing TO tenant'],
] as const;

/** Files grow no more while it is there. */
async function withoutRoom({ archiveDir }: FaultProduct, ms: number): Promise<void> {
  const filler = path.join(path.dirname(archiveDir), 'archives', '.filler');
  await promisify(execFile)('sh', ['-c', `cat /dev/zero > ${filler} 2>/dev/null || true`]);
  await rest(ms);
  await rm(filler);
}

/** Every fsync of a worker fails for a while. */
async function failingDisk({ workers }: FaultProduct, ms: number): Promise<void> {
  const args = [
    '-f',
    '-qq',
    '-o',
    '/dev/null',
    '-e',
    'trace=fdatasync',
    '-e',
    'inject=fdatasync:error=EIO',
    '-p',
  ];
  const strace = spawn('strace', [...args, String(some(workers).pid)], { stdio: 'ignore' });
  await rest(ms);
  strace.kill('SIGINT');
  await once(strace, 'exit');
}

const FAULTS: readonly Fault[] = [
  { name: 'kill -9 a worker', weight: 8, happen: ({ workers }) => some(workers).replace('SIGKILL') },
  {
    name: 'kill -9 both workers',
    weight: 3,
    happen: async ({ workers }) =>
      void (await Promise.all(workers.map((worker) => worker.replace('SIGKILL')))),
  },
  { name: 'SIGTERM to a worker', weight: 2, happen: ({ workers }) => some(workers).replace('SIGTERM') },
  {
    name: 'SIGSTOP beyond the lease',
    weight: 4,
    happen: async ({ workers }) => {
      const { pid } = some(workers);
      process.kill(pid, 'SIGSTOP');
      await rest(3_500);
      process.kill(pid, 'SIGCONT');
    },
  },
  {
    name: 'our sessions terminated',
    weight: 6,
    happen: (product) => inDatabase(product, `SELECT pg_terminate_backend(pid) ${OURS}`),
  },
  {
    name: 'one of our sessions terminated',
    weight: 4,
    happen: (product) =>
      inDatabase(product, `SELECT pg_terminate_backend(pid) ${OURS} ORDER BY random() LIMIT 1`),
  },
  {
    name: 'our statements cancelled',
    weight: 6,
    happen: (product) => inDatabase(product, `SELECT pg_cancel_backend(pid) ${OURS}`),
  },
  {
    name: 'kill -9 a backend',
    weight: 2,
    happen: (product) =>
      inDatabase(product, async (client) => {
        const { rows } = await client.query<{ pid: number }>(`SELECT pid ${OURS} ORDER BY random() LIMIT 1`);
        if (rows[0]) process.kill(rows[0].pid, 'SIGKILL');
        await rest(1_000);
      }).catch(() => undefined), // our own session is ended along with all others
  },
  { name: 'immediate restart of the database', weight: 3, happen: ({ target }) => target.restart() },
  { name: 'immediate restart of the control store', weight: 3, happen: ({ control }) => control.restart() },
  { name: 'connections cut', weight: 6, happen: ({ proxy }) => Promise.resolve(proxy.cut()) },
  {
    name: 'the answer of a commit lost',
    weight: 4,
    happen: async ({ proxy }) => {
      let lost = -1;
      proxy.loses = (direction, piece, connection) => {
        if (lost < 0 && direction === 'TO_SERVER' && piece.includes('INSERT INTO declutter.batch'))
          lost = connection;
        return direction === 'TO_CLIENT' && connection === lost;
      };
      await rest(1_500);
      proxy.loses = () => false;
      proxy.cut();
    },
  },
  {
    name: 'a network without a word',
    weight: 1,
    happen: async ({ proxy }) => {
      proxy.blackHole();
      await rest(1_000);
    },
  },
  {
    name: 'a network that refuses',
    weight: 2,
    happen: async ({ proxy }) => {
      proxy.refuses = true;
      proxy.cut();
      await rest(1_500);
      proxy.refuses = false;
    },
  },
  { name: 'no room for archives', weight: 3, happen: (product) => withoutRoom(product, 800) },
  { name: 'a disk that fails to sync', weight: 3, happen: (product) => failingDisk(product, 700) },
  {
    name: 'a table locked',
    weight: 4,
    happen: (product, tables) =>
      inDatabase(product, async (client) => {
        await client.query(`BEGIN; LOCK TABLE ${some(tables)} IN ACCESS EXCLUSIVE MODE`);
        await rest(500 + randomInt(3_000));
        await client.query('COMMIT');
      }),
  },
  {
    name: 'rows locked',
    weight: 4,
    happen: (product, tables) =>
      inDatabase(product, async (client) => {
        const table = some(tables);
        await client.query(
          `BEGIN; SELECT FROM ${table} WHERE id IN (SELECT id FROM ${table} ORDER BY random() LIMIT 500) FOR UPDATE`,
        );
        await rest(500 + randomInt(3_000));
        await client.query('COMMIT');
      }),
  },
  {
    name: 'ALTER TABLE that comes and goes',
    weight: 4,
    happen: (product, tables) =>
      inDatabase(product, async (client) => {
        const [table, [change, back]] = [some(tables), some(ALTERS)];
        await client.query(`ALTER TABLE ${table} ${change}`);
        await rest(700);
        await client.query(`ALTER TABLE ${table} ${back}`);
      }),
  },
  {
    name: 'a database set read-only',
    weight: 2,
    happen: (product) =>
      inDatabase(product, async (client) => {
        await client.query('ALTER SYSTEM SET default_transaction_read_only = on');
        await client.query('SELECT pg_reload_conf()');
        await rest(500);
        await client.query('ALTER SYSTEM RESET default_transaction_read_only');
        await client.query('SELECT pg_reload_conf()');
      }),
  },
];

/** Those of these names; of none: all. */
export function faultsNamed(names: readonly string[]): readonly Fault[] {
  if (names.length === 0) return FAULTS;
  return names.map((name) => {
    const fault = FAULTS.find((one) => one.name === name);
    if (!fault)
      throw new Error(`There is no fault "${name}". There are: ${FAULTS.map((one) => one.name).join(', ')}.`);
    return fault;
  });
}

/** One of them, by their weights. */
export function drawFault(faults: readonly Fault[]): Fault {
  let at = randomInt(faults.reduce((sum, { weight }) => sum + weight, 0));
  return faults.find(({ weight }) => (at -= weight) < 0) as Fault;
}
