import type { OperationSpec } from '../../domain/plan.ts';
import { abandonCompact, openCompact } from '../compact-table.ts';
import type {
  BatchWork,
  Operation,
  OperationContext,
  Statement,
  StatementWork,
} from '../define-operation.ts';
import { analyzeTable, vacuumTable } from '../vacuum-table.ts';
import { clearLeftovers, repackTable } from '../repack-table.ts';
import { rewriteTable } from '../rewrite-table.ts';

type Reorganization = Extract<OperationSpec, { kind: 'REORGANIZATION' }>;
type ByStatement = Exclude<Reorganization, { method: 'COMPACT' }>;

/** Puts a table in order without changing what its rows say; each method is a file of its own. */
export const reorganization = {
  kind: 'REORGANIZATION',
  counts: null,
  open(context: OperationContext<Reorganization>): Promise<BatchWork | StatementWork> {
    const { spec, cursor } = context;
    if (spec.method === 'COMPACT') return openCompact({ ...context, spec });
    const statements = cursor === null ? [statementOf({ ...context, spec })] : [];
    return Promise.resolve({ mode: 'STATEMENTS', statements });
  },
  async abandon(context: OperationContext<Reorganization>): Promise<void> {
    const { spec, session, runId, relation } = context;
    if (spec.method === 'COMPACT') await abandonCompact({ ...context, spec });
    if (spec.method === 'REPACK') await clearLeftovers(session, runId, relation);
  },
} satisfies Operation<Reorganization>;

function statementOf({ session, runId, relation, spec }: OperationContext<ByStatement>): Statement {
  switch (spec.method) {
    case 'ANALYZE':
      return analyzeTable(relation);
    case 'VACUUM':
      return vacuumTable(session, relation, spec.settings);
    case 'VACUUM_FULL':
      return rewriteTable(session, relation, null);
    case 'CLUSTER':
      return rewriteTable(session, relation, spec.index);
    case 'REPACK':
      return repackTable({ session, runId, relation }, spec.by, spec.diskNeededBytes ?? null);
  }
}
