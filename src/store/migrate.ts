import { createHash, randomUUID } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import pg from 'pg';
import { DeclutterError } from '../errors.ts';

const MIGRATIONS = new URL('../../prisma/migrations/', import.meta.url);

/** The key that Prisma's own engine locks with, so that the two never migrate at the same time. */
const LOCK = 72_707_369;

/** As Prisma's engine makes it: `prisma migrate status` reads what this runner wrote, and the reverse. */
const TABLE = `CREATE TABLE IF NOT EXISTS "_prisma_migrations" (
  id varchar(36) PRIMARY KEY NOT NULL,
  checksum varchar(64) NOT NULL,
  finished_at timestamptz,
  migration_name varchar(255) NOT NULL,
  logs text,
  rolled_back_at timestamptz,
  started_at timestamptz NOT NULL DEFAULT now(),
  applied_steps_count integer NOT NULL DEFAULT 0
)`;

interface Migration {
  readonly name: string;
  readonly script: string;
  readonly checksum: string;
}

/**
 * Applies the migrations that the control store does not have yet, all in one transaction, and returns their names.
 * @throws DeclutterError PRECONDITION_FAILED when the store's history is not the one of prisma/migrations
 */
export async function migrate(url: string): Promise<string[]> {
  const migrations = await readMigrations();
  const client = await connect(url);
  try {
    await client.query('BEGIN');
    await client.query('SELECT pg_advisory_xact_lock($1)', [LOCK]);
    await client.query('SET LOCAL client_min_messages = warning'); // IF NOT EXISTS would chat
    await client.query(TABLE);
    const pending = pendingOf(migrations, await appliedChecksums(client));
    for (const migration of pending) await apply(client, migration);
    await client.query('COMMIT');
    return pending.map((migration) => migration.name);
  } finally {
    await client.end(); // rolls back what is open
  }
}

/**
 * For processes that are not to change the store.
 * @throws DeclutterError PRECONDITION_FAILED when a migration is missing, or the history is another one
 */
export async function requireMigrated(url: string): Promise<void> {
  const migrations = await readMigrations();
  const client = await connect(url);
  try {
    const { rows } = await client.query<{ found: boolean }>(
      `SELECT to_regclass('_prisma_migrations') IS NOT NULL AS found`,
    );
    const applied = rows[0]?.found === true ? await appliedChecksums(client) : new Map<string, string>();
    const missing = pendingOf(migrations, applied).map((migration) => migration.name);
    if (missing.length === 0) return;
    const message = `The control store lacks ${missing.join(', ')}. Run "declutter migrate" first.`;
    throw new DeclutterError('PRECONDITION_FAILED', message);
  } finally {
    await client.end();
  }
}

async function readMigrations(): Promise<Migration[]> {
  const entries = await readdir(MIGRATIONS, { withFileTypes: true });
  const names = entries.filter((entry) => entry.isDirectory()).map((entry) => entry.name);
  return Promise.all(names.sort().map(readMigration));
}

async function readMigration(name: string): Promise<Migration> {
  const script = await readFile(new URL(`${name}/migration.sql`, MIGRATIONS), 'utf8');
  return { name, script, checksum: createHash('sha256').update(script).digest('hex') };
}

async function connect(url: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: url, application_name: 'declutter/migrate' });
  client.on('error', () => undefined); // a lost connection also rejects the statement that waits for it
  try {
    await client.connect();
    return client;
  } catch (cause) {
    throw new DeclutterError(
      'STORE_UNAVAILABLE',
      'The control store does not answer; check DATABASE_URL.',
      {},
      { cause },
    );
  }
}

async function appliedChecksums(client: pg.Client): Promise<Map<string, string>> {
  const { rows } = await client.query<{ name: string; checksum: string; finished: boolean }>(
    `SELECT migration_name AS name, checksum, finished_at IS NOT NULL AS finished
       FROM "_prisma_migrations" WHERE rolled_back_at IS NULL ORDER BY started_at, migration_name`,
  );
  const failed = rows.find((row) => !row.finished);
  if (failed) throw history(`Migration ${failed.name} was begun by another tool and has not finished.`);
  return new Map(rows.map((row) => [row.name, row.checksum]));
}

function pendingOf(migrations: readonly Migration[], applied: ReadonlyMap<string, string>): Migration[] {
  const known = new Set(migrations.map((migration) => migration.name));
  const unknown = [...applied.keys()].find((name) => !known.has(name));
  if (unknown)
    throw history(
      `The control store has migration ${unknown}, which this version of Declutter does not know.`,
    );
  for (const { name, checksum } of migrations) {
    if (applied.has(name) && applied.get(name) !== checksum) {
      throw history(`Migration ${name} differs from the one that was applied to the control store.`);
    }
  }
  return migrations.filter((migration) => !applied.has(migration.name));
}

async function apply(client: pg.Client, { name, script, checksum }: Migration): Promise<void> {
  await client.query(script);
  await client.query(
    `INSERT INTO "_prisma_migrations" (id, checksum, migration_name, started_at, finished_at, applied_steps_count)
     VALUES ($1, $2, $3, clock_timestamp(), clock_timestamp(), 1)`,
    [randomUUID(), checksum, name],
  );
}

const history = (what: string) =>
  new DeclutterError(
    'PRECONDITION_FAILED',
    `${what} Nothing was changed; start the version that made this store, or restore it.`,
  );
