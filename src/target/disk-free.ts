import { readFile, statfs } from 'node:fs/promises';
import path from 'node:path';
import type { Session } from './session.ts';
import { integer, sql } from './sql.ts';

interface Place {
  /** of the server; null where it is not told to this role */
  readonly dataFolder: string | null;
  /** of a tablespace of its own; empty: the data folder */
  readonly location: string;
  readonly port: number | null;
  /** seconds since 1970 */
  readonly startedAt: number;
}

/**
 * Free bytes of the disk that a table is on. PostgreSQL does not tell; where its data folder is on this machine, and shown to
 * be this server's by the port and start time in it, the file system does. null: not known.
 */
export async function readFreeDisk(session: Session, oid: number): Promise<number | null> {
  const place = await session.transaction(() => session.one<Place>(placeSql(oid)));
  const { dataFolder } = place;
  if (dataFolder === null || !(await isThisServer(dataFolder, place))) return null;
  return freeAt(place.location === '' ? dataFolder : place.location);
}

async function freeAt(folder: string): Promise<number | null> {
  try {
    const { bavail, bsize } = await statfs(folder);
    return bavail * bsize;
  } catch {
    return null; // a tablespace that this process may not look at
  }
}

/** data_directory is for superusers and members of pg_read_all_settings. */
const placeSql = (oid: number) => sql`
  SELECT (SELECT s.setting FROM pg_catalog.pg_settings s WHERE s.name = 'data_directory') AS "dataFolder",
         pg_catalog.pg_tablespace_location(
           coalesce(nullif(c.reltablespace, 0::pg_catalog.oid),
                    (SELECT d.dattablespace FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database()))) AS location,
         pg_catalog.inet_server_port() AS port,
         pg_catalog.floor(extract(epoch FROM pg_catalog.pg_postmaster_start_time()))::pg_catalog.float8 AS "startedAt"
    FROM pg_catalog.pg_class c WHERE c.oid = ${integer(oid)}`;

/** Lines of postmaster.pid: pid, folder, start time, port. The start time is taken twice, and may differ by a second. */
async function isThisServer(dataFolder: string, { port, startedAt }: Place): Promise<boolean> {
  try {
    const lines = (await readFile(path.join(dataFolder, 'postmaster.pid'), 'utf8')).split('\n');
    return Number(lines[3]) === port && Math.abs(Number(lines[2]) - startedAt) <= 1;
  } catch {
    return false; // another machine's folder, or one that is closed to us: then it is not known
  }
}
