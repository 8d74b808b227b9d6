import { ANALYSES } from '../analysis/analysis-registry.ts';
import type { Replica } from '../analysis/read-replicas.ts';
import type { AnalysisDeps } from '../analysis/run-analysis.ts';
import { type ConnectDeps, openSession } from '../databases/connect.ts';
import { findDatabaseById } from '../store/databases.ts';
import type { SessionSettings } from '../target/session.ts';
import type { Parts } from './parts.ts';

export const analysisDeps = (parts: Parts): AnalysisDeps => ({
  ...parts,
  analyses: ANALYSES,
  replicas: replicasBy(parts.connectDeps),
});

/** The copies are reached as their database is: same login, same checks. */
export const replicasBy =
  (deps: ConnectDeps) =>
  async (databaseId: string, settings: SessionSettings): Promise<Replica[]> => {
    const database = await findDatabaseById(deps.store, databaseId);
    return (database?.replicas ?? []).map((replica) => ({
      name: `${replica.host}:${replica.port}`,
      open: () => openSession(deps, { ...(database as NonNullable<typeof database>), ...replica }, settings),
    }));
  };
