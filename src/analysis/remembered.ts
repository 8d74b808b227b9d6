import { batched } from '../batched.ts';
import { type Growth, growthOf } from '../domain/growth.ts';
import { type FindingQuery, listFindings, listTableFindings } from '../store/findings.ts';
import { listDays, listHistory, listTableDays } from '../store/history.ts';
import type { Store } from '../store/open-store.ts';
import type { PageRequest } from '../store/page.ts';
import { listSnapshots, listTables, type TableQuery } from '../store/snapshots.ts';
import type { TableKey } from '../store/table-key.ts';

/** What the snapshots tell, with no look at a database. A list's items ask one by one and are answered by one statement. */
export function makeRemembered(store: Store) {
  const findings = batched((ids: readonly string[], query: FindingQuery) => listFindings(store, ids, query));
  const tableFindings = batched((tables: readonly TableKey[]) => listTableFindings(store, tables));
  const history = batched((tables: readonly TableKey[], first: number | null) =>
    listHistory(store, tables, first),
  );
  const growth = batched(async (ids: readonly string[]) => (await listDays(store, ids)).map(ofDatabase));
  const tableGrowth = batched(async (tables: readonly TableKey[]) =>
    (await listTableDays(store, tables)).map(growthOf),
  );
  return {
    tables: batched((ids: readonly string[], query: TableQuery) => listTables(store, ids, query)),
    findings,
    snapshots: batched((ids: readonly string[], page: PageRequest) => listSnapshots(store, ids, page)),
    tableFindings: (databaseId: string, schema: string, name: string) =>
      tableFindings({ databaseId, schema, name }, null),
    history: (databaseId: string, schema: string, name: string, first?: number | null) =>
      history({ databaseId, schema, name }, first ?? null),
    growth: (databaseId: string) => growth(databaseId, null),
    tableGrowth: (databaseId: string, schema: string, name: string) =>
      tableGrowth({ databaseId, schema, name }, null),
  };
}

const ofDatabase = (days: Awaited<ReturnType<typeof listDays>>[number]): Growth | null =>
  growthOf(
    days.map(({ takenAt, sizeBytes, wastedBytes }) => ({ takenAt, totalBytes: sizeBytes, wastedBytes })),
  );
