import type { Replica } from '../domain/database-inputs.ts';
import type { RegisteredDatabase } from '../store/databases.ts';
import { type Capabilities, OLDEST_VERSION, readCapabilities } from '../target/capabilities.ts';
import { readIdentity } from '../target/identity.ts';
import { READ_SETTINGS, type Session } from '../target/session.ts';
import { DeclutterError } from '../errors.ts';
import { excessivePowers, POOLER } from './refuse-unsafe.ts';

export interface CheckItem {
  readonly code: string;
  readonly ok: boolean;
  readonly detail: string;
}

export interface DatabaseCheck {
  /** Nothing is missing that a capability needs; what is optional may be. */
  readonly ok: boolean;
  readonly items: readonly CheckItem[];
}

interface Open {
  /** The database itself. */
  primary(): Promise<Session>;
  /** The same database on a replica. */
  replica(replica: Replica): Promise<Session>;
}

export const CHECK_SETTINGS = { ...READ_SETTINGS, applicationName: 'declutter/check' };

/** What the absence of does not make a check fail: statistics of statements only add to what analyses can tell. */
const OPTIONAL = new Set(['EXTENSION_PG_STAT_STATEMENTS', 'STANDBYS']);

export async function checkDatabase(database: RegisteredDatabase, open: Open): Promise<DatabaseCheck> {
  const items = await itemsOf(database, open);
  return { ok: items.every(({ ok, code }) => ok || OPTIONAL.has(code)), items };
}

async function itemsOf(database: RegisteredDatabase, open: Open): Promise<CheckItem[]> {
  let session: Session;
  try {
    session = await open.primary();
  } catch (error) {
    return [{ code: 'REACHABLE', ok: false, detail: reasonOf(error) }];
  }
  try {
    const capabilities = await session.transaction(() => readCapabilities(session));
    const replicas = await Promise.all(
      database.replicas.map((replica) => checkReplica(database, replica, open)),
    );
    return [
      {
        code: 'REACHABLE',
        ok: true,
        detail: `Answers at ${database.host}:${database.port}, TLS ${database.tls}.`,
      },
      ...serverItems(capabilities),
      ...rightsItems(capabilities, database.database),
      ...replicas,
    ];
  } finally {
    await session.close();
  }
}

function serverItems(found: Capabilities): CheckItem[] {
  const powers = excessivePowers(found);
  return [
    {
      code: 'VERSION',
      ok: found.versionNumber >= OLDEST_VERSION,
      detail: `PostgreSQL ${found.version}; 14 or newer is needed.`,
    },
    {
      code: 'POOLER',
      ok: !found.isPooled,
      detail: found.isPooled ? POOLER : 'No connection pooler in between.',
    },
    {
      code: 'PRIMARY',
      ok: !found.isStandby,
      detail: found.isStandby
        ? 'This is a standby: it can be analysed, but nothing can be run on it.'
        : 'Accepts changes.',
    },
    { code: 'STANDBYS', ok: true, detail: `${found.standbys} standbys follow, as far as our role can see.` },
    {
      code: 'ROLE',
      ok: powers.length === 0,
      detail:
        powers.length === 0
          ? `The role ${found.role.name} has no more power than it needs.`
          : `The role ${found.role.name} has ${powers.join(', ')}: use a role of its own (docs/least-privilege.md).`,
    },
  ];
}

function rightsItems(found: Capabilities, database: string): CheckItem[] {
  const { role, tables } = found;
  const name = quoted(role.name);
  const share = (count: number) => `${count} of ${tables.all} tables`;
  return [
    extension(found, 'pgstattuple', 'measures bloat exactly'),
    extension(found, 'pg_stat_statements', 'tells which statements are slow'),
    item(
      'STATISTICS',
      role.readsAllStatistics,
      'Reads the statistics of all tables and sessions.',
      `Bloat stays UNKNOWN for tables we cannot read: GRANT pg_read_all_stats TO ${name};`,
    ),
    item(
      'SCAN',
      role.scansTables,
      'May scan tables with pgstattuple.',
      `For exact bloat: GRANT pg_stat_scan_tables TO ${name};`,
    ),
    item(
      'SELECT',
      tables.readable === tables.all,
      `Reads ${share(tables.readable)}.`,
      `Reads ${share(tables.readable)}. To plan on the others: GRANT SELECT ON <table> TO ${name};`,
    ),
    item(
      'DELETE',
      tables.deletable === tables.all,
      `May purge and archive ${share(tables.deletable)}.`,
      `May purge and archive ${share(tables.deletable)}. For the others: GRANT SELECT, DELETE ON <table> TO ${name};`,
    ),
    item(
      'MAINTAIN',
      tables.maintainable === tables.all,
      `May vacuum and reindex ${share(tables.maintainable)}.`,
      maintainHint(found, share(tables.maintainable)),
    ),
    ledgerItem(found, database),
  ];
}

const item = (code: string, ok: boolean, yes: string, no: string): CheckItem => ({
  code,
  ok,
  detail: ok ? yes : no,
});

function extension(found: Capabilities, name: string, purpose: string): CheckItem {
  const installed = found.extensions[name];
  return {
    code: `EXTENSION_${name.toUpperCase()}`,
    ok: installed != null,
    detail:
      installed != null
        ? `${name} ${installed} is installed: it ${purpose}.`
        : installed === null
          ? `${name} is not installed; it ${purpose}: CREATE EXTENSION ${name};`
          : `${name} is not available on this server; it ${purpose}.`,
  };
}

function maintainHint({ role, versionNumber }: Capabilities, share: string): string {
  const grant =
    versionNumber >= 170_000
      ? `GRANT MAINTAIN ON <table> TO ${quoted(role.name)};`
      : `before PostgreSQL 17 only owners may: GRANT <owner> TO ${quoted(role.name)};`;
  return `May vacuum and reindex ${share}. For the others: ${grant}`;
}

function ledgerItem({ ledger, role }: Capabilities, database: string): CheckItem {
  const grant = `GRANT CREATE ON DATABASE ${quoted(database)} TO ${quoted(role.name)};`;
  if (ledger === 'OURS')
    return { code: 'LEDGER', ok: true, detail: 'The schema declutter is there and ours.' };
  if (ledger === 'FOREIGN') {
    return {
      code: 'LEDGER',
      ok: false,
      detail: `The schema declutter belongs to another role: ALTER SCHEMA declutter OWNER TO ${quoted(role.name)};`,
    };
  }
  return item(
    'LEDGER',
    role.mayCreateSchema,
    'The schema declutter can be made when the first run starts.',
    `Runs need a schema of their own: ${grant}`,
  );
}

async function checkReplica(database: RegisteredDatabase, replica: Replica, open: Open): Promise<CheckItem> {
  const where = `${replica.host}:${replica.port}`;
  try {
    const session = await open.replica(replica);
    try {
      const { systemIdentifier } = await readIdentity(session);
      const { isStandby } = await readCapabilities(session);
      const same = systemIdentifier === database.systemIdentifier;
      return item(
        'REPLICA',
        same && isStandby,
        `${where} is a standby of this server.`,
        `${where} ${same ? 'is no standby' : 'belongs to another server'}.`,
      );
    } finally {
      await session.close();
    }
  } catch (error) {
    return { code: 'REPLICA', ok: false, detail: `${where}: ${reasonOf(error)}` };
  }
}

function reasonOf(error: unknown): string {
  if (error instanceof DeclutterError) return error.message;
  throw error;
}

const quoted = (name: string) => (/^[a-z_][a-z0-9_]*$/.test(name) ? name : `"${name.replaceAll('"', '""')}"`);
