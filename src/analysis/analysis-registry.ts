import type { Analysis } from './define-analysis.ts';
import { duplicateIndex } from './kinds/duplicate-index.ts';
import { duplicateRows } from './kinds/duplicate-rows.ts';
import { emptyTable } from './kinds/empty-table.ts';
import { indexBloat } from './kinds/index-bloat.ts';
import { invalidIndex } from './kinds/invalid-index.ts';
import { missingForeignKeyIndex } from './kinds/missing-foreign-key-index.ts';
import { noPrimaryKey } from './kinds/no-primary-key.ts';
import { obsoleteRows } from './kinds/obsolete-rows.ts';
import { orphanRows } from './kinds/orphan-rows.ts';
import { paddedColumnOrder } from './kinds/padded-column-order.ts';
import { redundantIndex } from './kinds/redundant-index.ts';
import { sequenceExhaustion } from './kinds/sequence-exhaustion.ts';
import { tableBloat } from './kinds/table-bloat.ts';
import { unusedColumn } from './kinds/unused-column.ts';
import { unusedIndex } from './kinds/unused-index.ts';
import { unusedTable } from './kinds/unused-table.ts';
import { unvalidatedConstraint } from './kinds/unvalidated-constraint.ts';
import { staleStatistics } from './kinds/stale-statistics.ts';
import { vacuumBlocked } from './kinds/vacuum-blocked.ts';
import { vacuumOverdue } from './kinds/vacuum-overdue.ts';
import { wraparoundRisk } from './kinds/wraparound-risk.ts';

/** Every kind of analysis; a new one is a new file under kinds and a line here. */
export const ANALYSES: readonly Analysis[] = [
  tableBloat,
  indexBloat,
  unusedIndex,
  duplicateIndex,
  redundantIndex,
  invalidIndex,
  missingForeignKeyIndex,
  obsoleteRows,
  vacuumBlocked,
  vacuumOverdue,
  wraparoundRisk,
  staleStatistics,
  duplicateRows,
  orphanRows,
  noPrimaryKey,
  unvalidatedConstraint,
  paddedColumnOrder,
  unusedTable,
  emptyTable,
  sequenceExhaustion,
  unusedColumn,
];
