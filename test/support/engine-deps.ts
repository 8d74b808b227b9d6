import { makeArchiveKeys } from '../../src/archive/archive-keys.ts';
import type { ArchiveStore } from '../../src/archive/archive-store.ts';
import { makeFileStore } from '../../src/archive/file-store.ts';
import { makeS3Store, type S3Settings } from '../../src/archive/s3-store.ts';
import { systemClock } from '../../src/clock.ts';
import type { PlanSpec } from '../../src/domain/plan.ts';
import type { EngineDeps } from '../../src/engine/execute-run.ts';
import { HEALTH_CHECKS } from '../../src/engine/throttle-registry.ts';
import { makeLog } from '../../src/log.ts';
import type { Operation } from '../../src/operations/define-operation.ts';
import { archive } from '../../src/operations/kinds/archive.ts';
import { archiveExpiry } from '../../src/operations/kinds/archive-expiry.ts';
import { orphanRemoval } from '../../src/operations/kinds/orphan-removal.ts';
import { indexCreation } from '../../src/operations/kinds/index-creation.ts';
import { indexRemoval } from '../../src/operations/kinds/index-removal.ts';
import { deduplication } from '../../src/operations/kinds/deduplication.ts';
import { purge } from '../../src/operations/kinds/purge.ts';
import { reindex } from '../../src/operations/kinds/reindex.ts';
import { reorganization } from '../../src/operations/kinds/reorganization.ts';
import { restore } from '../../src/operations/kinds/restore.ts';
import type { Store } from '../../src/store/open-store.ts';
import { Session, type TargetAddress } from '../../src/target/session.ts';

const OPERATIONS = new Map<string, Operation>(
  [
    purge,
    archive,
    archiveExpiry,
    deduplication,
    indexCreation,
    indexRemoval,
    orphanRemoval,
    restore,
    reindex,
    reorganization,
  ].map((operation) => [operation.kind, operation as unknown as Operation]),
);

/** What the file .declutter-store-id says in the folders of tests. */
export const STORE_ID = 'test';

export function engineDeps(
  store: Store,
  address: TargetAddress,
  archiveDir: string,
  times: EngineDeps['times'],
  s3: S3Settings | null = null,
  keys: readonly string[] = [],
): EngineDeps {
  const stores: ArchiveStore[] = [
    makeFileStore('local', archiveDir, STORE_ID),
    ...(s3 === null ? [] : [makeS3Store('s3', s3)]),
  ];
  return {
    store,
    clock: systemClock,
    log: makeLog('silent'),
    times,
    connect: (_id, settings) => Session.open(address, settings),
    operations: OPERATIONS,
    healthChecks: HEALTH_CHECKS,
    archiveStores: new Map(stores.map((store) => [store.name, store])),
    archiveKeys: makeArchiveKeys(keys.map((key) => Buffer.from(key, 'hex'))),
    loadPlan: async (id) => {
      const plan = await store.prisma.plan.findUniqueOrThrow({ where: { id } });
      return { spec: plan.spec as unknown as PlanSpec, hash: plan.hash };
    },
  };
}
