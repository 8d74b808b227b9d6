import type { Command } from 'commander';
import { type ApiClient, apiClient } from './api-client.ts';
import { applyCommand } from './apply-command.ts';
import { bloatCommand } from './bloat-command.ts';
import {
  type ClientEnvironment,
  type LocalCredentials,
  clientSettings,
  DEFAULT_URL,
} from './client-settings.ts';
import { databasesCommand } from './databases-command.ts';
import { findingsCommand } from './findings-command.ts';
import { gateCommand } from './gate-command.ts';
import { policiesCommand } from './policies-command.ts';
import { runsCommand } from './runs-command.ts';
import { watchCommand } from './watch-command.ts';

/** What a client command is given to work with. */
export interface CommandContext {
  /** @throws ApiError when there is nothing to log in with. */
  connect(command: Command): Promise<ApiClient>;
  /** Data, for pipes. */
  print(line: string): void;
}

/** Adds the commands that are clients of the public API. */
export function addClientCommands(
  program: Command,
  environment: ClientEnvironment,
  local: LocalCredentials = () => Promise.resolve(null),
): void {
  const context: CommandContext = {
    connect: async (command) =>
      apiClient(await clientSettings(environment, command.opts<{ url?: string }>().url, local)),
    print: (line) => process.stdout.write(`${line}\n`),
  };
  for (const make of COMMANDS) {
    const command = make(context);
    for (const leaf of leavesOf(command)) {
      leaf
        .exitOverride()
        .option('--url <url>', `where the API is (DECLUTTER_URL; ${DEFAULT_URL})`)
        .option('--json', 'one JSON object a line, for programs');
    }
    program.addCommand(command.exitOverride());
  }
}

const COMMANDS = [
  databasesCommand,
  bloatCommand,
  findingsCommand,
  gateCommand,
  runsCommand,
  watchCommand,
  policiesCommand,
  applyCommand,
];

const leavesOf = (command: Command): readonly Command[] =>
  command.commands.length === 0 ? [command] : command.commands.flatMap(leavesOf);
