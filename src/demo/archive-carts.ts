import { PlanArchiveDocument, VerifyArchiveDocument } from '../cli/client/generated/api.ts';
import { sql } from '../target/sql.ts';
import { carryOut, IN_A_HURRY, showPlan } from './carry-out.ts';
import { CART_COLUMNS, EVERYTHING, rowFigures } from './shop-figures.ts';
import type { Stage } from './stage.ts';

const CARTS = ['public', 'carts'] as const;
const ARCHIVE = ['archive', 'carts'] as const;

/** Abandoned carts go into a table of the same database, where reports can still read them. */
export async function archiveCarts(stage: Stage): Promise<void> {
  const { checks, shop } = stage;
  const { planArchive: plan } = await stage.as.operator.request(PlanArchiveDocument, {
    input: {
      database: stage.database,
      table: 'carts',
      where: {
        all: [
          { column: 'state', op: 'EQ', value: 'abandoned' },
          { column: 'updated_at', op: 'OLDER_THAN', age: 'P6M' },
        ],
      },
      destination: { kind: 'TABLE', schema: ARCHIVE[0], table: ARCHIVE[1] },
      throttle: IN_A_HURRY,
    },
  });
  showPlan(stage, plan);
  const abandoned = sql`state = 'abandoned' AND updated_at < ${plan.cutoff ?? ''}::timestamptz`;
  const old = await rowFigures(shop, CARTS, CART_COLUMNS, abandoned);
  const kept = await rowFigures(shop, CARTS, CART_COLUMNS, sql`NOT (${abandoned})`);
  checks.same('abandoned carts', { planned: plan.impact.rows, counted: old.rows });

  const run = await carryOut(stage, plan);
  const left = await rowFigures(shop, CARTS, CART_COLUMNS, EVERYTHING);
  const archived = await rowFigures(shop, ARCHIVE, CART_COLUMNS, EVERYTHING);
  checks.same('carts archived', {
    planned: old.rows,
    archived: run.result.rowsArchived,
    counted: archived.rows,
  });
  checks.same('the archived carts are what they were', { before: old.sum, archived: archived.sum });
  checks.same('the carts left are as they were', { before: kept.sum, after: left.sum });
  const { verifyArchive: verified } = await stage.as.operator.request(VerifyArchiveDocument, {
    id: run.archive?.id ?? '',
  });
  checks.same('the archive table verifies', { ok: verified.ok, wanted: true });
}
