import type { PartitionSpec } from '../domain/partition.ts';
import type { OperationSpec } from '../domain/plan.ts';
import type { RunState } from '../domain/words.ts';
import type { Store } from './open-store.ts';

export type RestoreSpec = Extract<OperationSpec, { kind: 'RESTORE' }>;

/** The state of the run that made the archive. */
export async function stateOfArchiving({ prisma }: Store, runId: string): Promise<RunState> {
  return (await prisma.run.findUniqueOrThrow({ where: { id: runId }, select: { state: true } })).state;
}

/** Partitions that the run was to take away as a whole, as they were; some may be left when it has not done all. */
export async function partitionsDropped({ prisma }: Store, runId: string): Promise<readonly PartitionSpec[]> {
  const { plan } = await prisma.run.findUniqueOrThrow({
    where: { id: runId },
    select: { plan: { select: { spec: true } } },
  });
  const { operation } = plan.spec as unknown as { operation: OperationSpec };
  const partitions = 'partitions' in operation ? (operation.partitions ?? []) : [];
  return partitions.filter(({ way }) => way === 'WHOLE');
}

export interface EarlierRestore {
  readonly runId: string;
  readonly endedAt: Date | null;
  readonly operation: RestoreSpec;
}

/** Restores that have put rows of the archive back, whatever became of them; the latest first. */
export async function listRestores({ prisma }: Store, archiveId: string): Promise<EarlierRestore[]> {
  const runs = await prisma.run.findMany({
    where: {
      plan: { kind: 'RESTORE', spec: { path: ['operation', 'archiveId'], equals: archiveId } },
      OR: [{ state: 'SUCCEEDED' }, { batches: { gt: 0 } }],
    },
    orderBy: [{ createdAt: 'desc' }, { id: 'desc' }],
    select: { id: true, endedAt: true, plan: { select: { spec: true } } },
  });
  return runs.map(({ id, endedAt, plan }) => ({
    runId: id,
    endedAt,
    operation: (plan.spec as unknown as { operation: RestoreSpec }).operation,
  }));
}
