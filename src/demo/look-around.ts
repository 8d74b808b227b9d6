import { bloatOverview, bloatReport } from '../cli/client/bloat-command.ts';
import {
  FINDING_COLUMNS,
  findingCells,
  type FindingLine,
  listFindings,
} from '../cli/client/findings-command.ts';
import { bytes, duration } from '../cli/client/format.ts';
import {
  AnalyzeDatabaseDocument,
  PlanPurgeDocument,
  RegisterDatabaseDocument,
} from '../cli/client/generated/api.ts';
import { table } from '../cli/client/table.ts';
import { refusalOf } from './carry-out.ts';
import type { ShopLogin } from './fill-shop.ts';
import type { Stage } from './stage.ts';

/** Registers the shop and shows what clutters it. */
export async function lookAround(stage: Stage, login: ShopLogin): Promise<FindingLine[]> {
  await register(stage, login);
  const { analyzeDatabase: snapshot } = await stage.as.operator.request(AnalyzeDatabaseDocument, {
    name: stage.database,
    exact: false,
  });
  stage.print(
    `  analysed in ${duration(snapshot.durationMs / 1000)}: ${bytes(snapshot.wastedBytes)} of ${bytes(snapshot.sizeBytes)} are waste`,
  );
  const { database, tables } = await bloatOverview(stage.as.viewer, stage.database, {
    order: 'WASTED_BYTES',
    limit: 8,
  });
  stage.print(indented(bloatReport(database, tables)));
  const findings = await listFindings(stage.as.viewer, stage.database, { limit: 100 });
  stage.print(indented(table(FINDING_COLUMNS, findings.slice(0, MOST_SHOWN).map(findingCells))));
  checkFindings(stage, findings);
  await checkViewer(stage);
  return findings;
}

const MOST_SHOWN = 20;

const indented = (text: string) => `\n${text.replace(/^/gm, '  ')}\n`;

async function register(stage: Stage, login: ShopLogin): Promise<void> {
  const { registerDatabase: registered } = await stage.as.admin.request(RegisterDatabaseDocument, {
    input: { ...login, name: stage.database, tls: 'DISABLE', environment: 'PRODUCTION' },
  });
  stage.print(
    `  registered ${registered.name} as ${registered.environment}, PostgreSQL ${registered.serverVersion ?? '?'}`,
  );
}

/** The clutter that the shop was made with, and what must not be called clutter. */
function checkFindings(stage: Stage, findings: readonly FindingLine[]): void {
  const found = (kind: string, name: string) =>
    findings.some((finding) => finding.kind === kind && [finding.table, finding.index].includes(name));
  const expected = [
    ['TABLE_BLOAT', 'sessions'],
    ['TABLE_BLOAT', 'carts'],
    ['TABLE_BLOAT', 'notifications'],
    ['INDEX_BLOAT', 'notifications_customer_id_created_at_idx'],
    ['UNUSED_INDEX', 'orders_currency_total_idx'],
    ['OBSOLETE_ROWS', 'sessions'],
    ['OBSOLETE_ROWS', 'events'],
  ] as const;
  for (const [kind, name] of expected) stage.checks.holds(`found ${kind} of ${name}`, found(kind, name));
  const twins = ['idx_orders_customer', 'orders_customer_id_idx'];
  stage.checks.holds(
    `found DUPLICATE_INDEX of one of ${twins.join(', ')}`,
    twins.some((name) => found('DUPLICATE_INDEX', name)),
  );
  stage.checks.holds('no bloat is seen in customers, which has none', !found('TABLE_BLOAT', 'customers'));
}

async function checkViewer(stage: Stage): Promise<void> {
  const input = {
    database: stage.database,
    table: 'sessions',
    where: { column: 'expires_at', op: 'IS_NOT_NULL' },
  } as const;
  const refusal = await refusalOf(stage.as.viewer.request(PlanPurgeDocument, { input }));
  stage.checks.same('a viewer who plans a purge is refused', { code: refusal, wanted: 'FORBIDDEN' });
}
