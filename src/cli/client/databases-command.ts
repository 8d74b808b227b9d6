import { Command } from 'commander';
import type { CommandContext } from './commands.ts';
import { reported } from './reported.ts';
import { bytes, instant } from './format.ts';
import { DatabasesDocument, type DatabaseLineFragment } from './generated/api.ts';
import { printRows } from './print-rows.ts';

export function databasesCommand(context: CommandContext): Command {
  return new Command('databases')
    .description('list the databases with their size and waste')
    .action((options: { json?: true }, command: Command) =>
      reported(async () => {
        const client = await context.connect(command);
        const { databases } = await client.request(DatabasesDocument, {});
        printRows(context, options, databases, DATABASE_COLUMNS, databaseCells);
      }),
    );
}

const DATABASE_COLUMNS = [
  { title: 'database' },
  { title: 'environment' },
  { title: 'server' },
  { title: 'size', right: true },
  { title: 'waste', right: true },
  { title: 'as of (UTC)' },
  { title: 'unreachable', most: 60 },
];

const databaseCells = (database: DatabaseLineFragment) => [
  database.name,
  database.environment,
  database.serverVersion ?? '?',
  bytes(database.sizeBytes),
  bytes(database.wastedBytes),
  instant(database.snapshotAt),
  database.unreachable ?? '',
];
