import { Command, Option } from 'commander';
import type { ApiClient } from './api-client.ts';
import { ApiError } from './api-error.ts';
import type { CommandContext } from './commands.ts';
import { reported } from './reported.ts';
import { bytes, count, instant, percent } from './format.ts';
import {
  BloatOverviewDocument,
  type DatabaseLineFragment,
  type TableLineFragment,
  type TableOrder,
} from './generated/api.ts';
import { allPages } from './pages.ts';
import { table } from './table.ts';
import { wholeNumber } from './whole-number.ts';

interface Options {
  readonly schema?: string;
  readonly order: keyof typeof ORDERS;
  readonly limit: number;
  readonly json?: true;
}

const ORDERS = { waste: 'WASTED_BYTES', size: 'TOTAL_BYTES', dead: 'DEAD_ROWS', name: 'NAME' } as const;

export function bloatCommand(context: CommandContext): Command {
  return new Command('bloat')
    .description('show the tables of a database with their waste, from the last snapshot')
    .argument('<database>')
    .option('--schema <name>', 'of this schema only')
    .addOption(new Option('--order <by>', 'what comes first').choices(Object.keys(ORDERS)).default('waste'))
    .option('--limit <count>', 'how many tables', wholeNumber, 20)
    .action((name: string, options: Options, command: Command) =>
      reported(async () => {
        const client = await context.connect(command);
        const { database, tables } = await bloatOverview(client, name, {
          ...options,
          order: ORDERS[options.order],
        });
        if (options.json) for (const line of tables) context.print(JSON.stringify(line));
        else context.print(bloatReport(database, tables));
      }),
    );
}

interface Overview {
  readonly database: DatabaseLineFragment;
  readonly tables: readonly TableLineFragment[];
}

/** @throws ApiError NOT_FOUND */
export async function bloatOverview(
  client: ApiClient,
  name: string,
  query: { readonly schema?: string; readonly order: TableOrder; readonly limit: number },
): Promise<Overview> {
  let line: DatabaseLineFragment | null = null;
  const tables = await allPages(query.limit, async (first, after) => {
    const variables = { database: name, schema: query.schema ?? null, orderBy: query.order, first, after };
    const { database } = await client.request(BloatOverviewDocument, variables);
    if (!database)
      throw new ApiError('NOT_FOUND', `There is no database "${name}", or you may not see it.`, null);
    line = database;
    return database.tables;
  });
  return { database: line as unknown as DatabaseLineFragment, tables };
}

export function bloatReport(database: DatabaseLineFragment, tables: readonly TableLineFragment[]): string {
  const head =
    `${database.name} (${database.environment}, PostgreSQL ${database.serverVersion ?? '?'}): ` +
    `${bytes(database.sizeBytes)}, of which ${bytes(database.wastedBytes)} are waste, as of ${instant(database.snapshotAt)} UTC`;
  return `${head}\n${table(BLOAT_COLUMNS, tables.map(tableCells))}`;
}

const BLOAT_COLUMNS = [
  { title: 'table', most: 50 },
  { title: 'rows', right: true },
  { title: 'dead', right: true },
  { title: 'table size', right: true },
  { title: 'waste', right: true },
  { title: 'share', right: true },
  { title: 'indexes', right: true },
  { title: 'waste', right: true },
  { title: 'verdict' },
  { title: 'by' },
];

const tableCells = (line: TableLineFragment) => [
  line.schema === 'public' ? line.name : `${line.schema}.${line.name}`,
  count(line.liveRows),
  count(line.deadRows),
  bytes(line.heapBytes + line.toastBytes),
  bytes(line.bloat.wastedBytes),
  percent(line.bloat.ratio),
  bytes(line.indexBytes),
  bytes(indexWaste(line)),
  line.bloat.verdict,
  line.bloat.method,
];

/** null when nothing is known of any index. */
function indexWaste(line: TableLineFragment): number | null {
  const known = line.indexes.map((index) => index.bloat.wastedBytes).filter((waste) => waste != null);
  return known.length === 0 && line.indexes.length > 0 ? null : known.reduce((sum, waste) => sum + waste, 0);
}
