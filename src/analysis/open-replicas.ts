import { type ConnectDeps, openSession } from '../databases/connect.ts';
import { findDatabaseById } from '../store/databases.ts';
import type { SessionSettings } from '../target/session.ts';
import type { Replica } from './read-replicas.ts';

/** The read-only copies that are registered with a database, reached with its own user and password. */
export const makeReplicas =
  (deps: ConnectDeps) =>
  async (databaseId: string, settings: SessionSettings): Promise<Replica[]> => {
    const database = await findDatabaseById(deps.store, databaseId);
    if (database === null) return [];
    return database.replicas.map((replica) => ({
      name: `${replica.host}:${replica.port}`,
      open: () => openSession(deps, { ...database, ...replica }, settings),
    }));
  };
