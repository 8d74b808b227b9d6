import { parse } from 'graphql';
import type { TypedDocument } from '../src/cli/client/api-client.ts';
import type { RunReport } from '../src/cli/client/follow-run.ts';
import {
  PlanArchiveDocument,
  PlanPurgeDocument,
  PlanRestoreDocument,
  RunDocument,
  StartRunDocument,
} from '../src/cli/client/generated/api.ts';
import type { FaultProduct } from './fault-product.ts';
import { persistently } from './persistently.ts';
import { FILTER, type SoakTable, takesAlong } from './fault-tables.ts';

/**
 * Slow enough for faults to come in between. Where others matter a run begins with a two-hundredth of the time, and faults have it begin
 * again and again: one run of each round is of this kind, or no round would come to an end.
 */
const THROTTLE = { dutyCycle: 0.1, batchRows: 250, maxSlowdown: 100 };
const CONSIDERATE = { ...THROTTLE, maxSlowdown: 1.25 };

interface StartedPlan {
  readonly id: string;
  readonly hash: string;
  readonly blockers: readonly { readonly message: string }[];
}

const mergeDocument = parse(
  'mutation Merge($input: PlanDeduplicationInput!) { planDeduplication(input: $input) { id hash blockers { message } } }',
) as TypedDocument<{ planDeduplication: StartedPlan }, { input: object }>;

export const startDeletion = (product: FaultProduct, table: SoakTable): Promise<string> =>
  persistently(async () => start(product, await planDeletion(product, table)));

const IN_FILES = { kind: 'FILES', store: 'local', format: 'COPY_ZSTD' } as const;

async function planDeletion(product: FaultProduct, table: SoakTable): Promise<StartedPlan> {
  const api = await product.client();
  const { kind, name } = table;
  const throttle = kind === 'PURGE' ? CONSIDERATE : THROTTLE;
  const common = { database: 'soak', table: name, throttle };
  if (kind === 'DUPLICATES') {
    const input = {
      ...common,
      key: [{ column: 'at' }],
      keep: { by: 'id', order: 'LOWEST' },
      destination: IN_FILES,
    };
    return (await api.request(mergeDocument, { input })).planDeduplication;
  }
  const dependents = takesAlong(table) ? ('INCLUDE' as const) : ('REFUSE' as const);
  const input = { ...common, where: FILTER, dependents };
  if (kind === 'PURGE' || kind === 'INCLUDE')
    return (await api.request(PlanPurgeDocument, { input })).planPurge;
  const destination =
    kind === 'TABLE' ? ({ kind, schema: 'public', table: `${name}_kept` } as const) : IN_FILES;
  return (await api.request(PlanArchiveDocument, { input: { ...input, destination } })).planArchive;
}

export const startRestore = (product: FaultProduct, runId: string) =>
  persistently(async () => {
    const api = await product.client();
    const archiveId = (await runOf(product, runId)).archive?.id ?? '';
    const { planRestore } = await api.request(PlanRestoreDocument, {
      input: { archiveId, throttle: THROTTLE },
    });
    return start(product, planRestore);
  });

async function start(product: FaultProduct, plan: StartedPlan): Promise<string> {
  if (plan.blockers.length > 0) throw new Error(plan.blockers.map(({ message }) => message).join(' '));
  const request = { planId: plan.id, planHash: plan.hash, idempotencyKey: plan.id };
  return (await (await product.client()).request(StartRunDocument, request)).startRun.id;
}

export async function runOf(product: FaultProduct, id: string): Promise<RunReport> {
  const { run } = await (await product.client()).request(RunDocument, { id });
  if (!run) throw new Error('The run is gone.');
  return run;
}
