import { randomUUID } from 'node:crypto';
import type { Bloat, FoundFault, TableFigures } from '../../src/domain/finding.ts';
import type { Store } from '../../src/store/open-store.ts';
import { recordSnapshot } from '../../src/store/snapshots.ts';

/** A registered database, as far as the control store is concerned: nothing answers there. */
export async function registerRow({ prisma }: Store, name: string, change: object = {}): Promise<string> {
  const id = randomUUID();
  await prisma.database.create({
    data: {
      id,
      name,
      host: '127.0.0.1',
      port: 1,
      database: 'd',
      user: 'u',
      tls: 'DISABLE',
      environment: 'STAGING',
      createdBy: 'test',
      ...change,
    },
  });
  return id;
}

const HEALTHY: Bloat = {
  verdict: 'HEALTHY',
  wastedBytes: 0,
  ratio: 0,
  method: 'STATISTICS',
  causes: [],
  advice: 'Nothing.',
};

export const tableOf = (name: string, change: Partial<TableFigures> = {}): TableFigures => ({
  oid: 1,
  schema: 'public',
  name,
  liveRows: 10,
  deadRows: 1,
  totalBytes: 1_000,
  heapBytes: 800,
  toastBytes: 0,
  indexBytes: 200,
  bloat: HEALTHY,
  indexes: [],
  lastVacuumAt: null,
  lastAnalyzeAt: null,
  ...change,
});

export const faultOf = (table: string, change: Partial<FoundFault> = {}): FoundFault => ({
  kind: 'TABLE_BLOAT',
  severity: 'WARNING',
  schema: 'public',
  table,
  index: null,
  columns: [],
  title: `${table} is bloated`,
  detail: 'Half of it is waste.',
  wastedBytes: 500,
  rows: null,
  evidence: {},
  remedy: null,
  ...change,
});

/** A snapshot as an analysis would have left it that many days ago. */
export const snapshotAgo = (
  store: Store,
  databaseId: string,
  daysAgo: number,
  content: {
    readonly sizeBytes?: number;
    readonly tables?: readonly TableFigures[];
    readonly faults?: readonly FoundFault[];
  } = {},
) =>
  recordSnapshot(
    store,
    {
      databaseId,
      takenAt: new Date(Date.now() - daysAgo * 86_400_000),
      exact: false,
      durationMs: 1,
      sizeBytes: content.sizeBytes ?? 10_000,
      wastedBytes: 100,
      deadRows: 5,
      notJudged: [],
      tables: content.tables ?? [],
    },
    { faults: content.faults ?? [], answered: ['TABLE_BLOAT'], unsure: [] },
  );
