import type { Session } from './session.ts';
import { sql } from './sql.ts';

export const OLDEST_VERSION = 140_000;

/** What the server is and what our role may do there. */
export interface Capabilities {
  readonly version: string;
  readonly versionNumber: number;
  readonly isStandby: boolean;
  /** Something between us and the server shares connections: settings and locks would leak to strangers. */
  readonly isPooled: boolean;
  readonly role: {
    readonly name: string;
    readonly superuser: boolean;
    readonly bypassRls: boolean;
    readonly createRole: boolean;
    readonly replication: boolean;
    readonly readsAllStatistics: boolean;
    readonly scansTables: boolean;
    readonly mayCreateSchema: boolean;
  };
  readonly ledger: 'OURS' | 'ABSENT' | 'FOREIGN';
  /** Extensions by name; null: could be installed, but is not. */
  readonly extensions: Readonly<Record<string, string | null>>;
  readonly tables: {
    readonly all: number;
    readonly readable: number;
    readonly deletable: number;
    readonly maintainable: number;
  };
  /** Standbys that follow now, as far as our role can see. */
  readonly standbys: number;
}

export async function readCapabilities(session: Session): Promise<Capabilities> {
  const server = await session.one<Omit<Capabilities, 'isPooled' | 'versionNumber' | 'tables'>>(SERVER);
  const tables = await session.one<Capabilities['tables']>(tablesSql(session.serverVersion));
  return {
    ...server,
    tables,
    versionNumber: session.serverVersion,
    isPooled: session.announcedPid !== session.backend.pid,
  };
}

const SERVER = sql`
  SELECT pg_catalog.current_setting('server_version') AS version, pg_catalog.pg_is_in_recovery() AS "isStandby",
         pg_catalog.json_build_object(
           'name', r.rolname, 'superuser', r.rolsuper, 'bypassRls', r.rolbypassrls, 'createRole', r.rolcreaterole,
           'replication', r.rolreplication,
           'readsAllStatistics', pg_catalog.pg_has_role(r.oid, 'pg_read_all_stats', 'USAGE'),
           'scansTables', pg_catalog.pg_has_role(r.oid, 'pg_stat_scan_tables', 'USAGE'),
           'mayCreateSchema', pg_catalog.has_database_privilege(pg_catalog.current_database(), 'CREATE')) AS role,
         coalesce((SELECT CASE WHEN pg_catalog.pg_has_role(r.oid, n.nspowner, 'USAGE') THEN 'OURS' ELSE 'FOREIGN' END
                     FROM pg_catalog.pg_namespace n WHERE n.nspname = 'declutter'), 'ABSENT') AS ledger,
         (SELECT coalesce(pg_catalog.json_object_agg(name, installed_version), '{}')
            FROM pg_catalog.pg_available_extensions WHERE name IN ('pgstattuple', 'pg_stat_statements')) AS extensions,
         (SELECT pg_catalog.count(*)::pg_catalog.int4 FROM pg_catalog.pg_stat_replication) AS standbys
    FROM pg_catalog.pg_roles r WHERE r.rolname = current_user`;

/** MAINTAIN is a right of its own since PostgreSQL 17; before, only the owner may VACUUM and REINDEX. */
const tablesSql = (version: number) => sql`
  SELECT pg_catalog.count(*)::pg_catalog.int4 AS all,
         pg_catalog.count(*) FILTER (WHERE pg_catalog.has_table_privilege(c.oid, 'SELECT'))::pg_catalog.int4 AS readable,
         pg_catalog.count(*) FILTER (WHERE pg_catalog.has_table_privilege(c.oid, 'DELETE'))::pg_catalog.int4 AS deletable,
         pg_catalog.count(*) FILTER (WHERE pg_catalog.pg_has_role(c.relowner, 'USAGE') ${
           version >= 170_000 ? sql`OR pg_catalog.has_table_privilege(c.oid, 'MAINTAIN')` : sql``
         })::pg_catalog.int4 AS maintainable
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
   WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't' AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'declutter')`;
