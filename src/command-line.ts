import { Command, CommanderError } from 'commander';
import { type Environment, loadConfig, processEnvironment } from './config.ts';
import { badInput, DeclutterError, type ErrorCode } from './errors.ts';
import { makeLog } from './log.ts';
import type { Running } from './compose.ts';
import type { Setting } from './compose/parts.ts';
import type { AuditMark } from './store/audit.ts';

/** docs/configuration.md has the same table. */
const EXIT = { done: 0, failed: 1, usage: 64, unavailable: 69, interrupted: 75, configuration: 78 } as const;

const EXIT_BY_CODE: Partial<Record<ErrorCode, number>> = {
  BAD_USER_INPUT: EXIT.usage,
  STORE_UNAVAILABLE: EXIT.unavailable,
  CONFIGURATION: EXIT.configuration,
};

/** Runs one command and sets the exit code; every failure is a sentence on stderr. */
export async function runCommandLine(argv: readonly string[]): Promise<void> {
  try {
    const program = await commands(argv[2]);
    await program.parseAsync(argv);
  } catch (error) {
    process.exitCode = exitCodeOf(error);
    if (!(error instanceof CommanderError)) process.stderr.write(`${sentenceOf(error)}\n`);
  }
}

function exitCodeOf(error: unknown): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.done : EXIT.usage;
  return (error instanceof DeclutterError && EXIT_BY_CODE[error.code]) || EXIT.failed;
}

/** What was foreseen says what to do; the rest is a fault of ours and needs its stack. */
function sentenceOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (!(error instanceof DeclutterError)) return error.stack ?? error.message;
  const { cause } = error;
  return cause instanceof Error && cause.message !== ''
    ? `${error.message} (${cause.message})`
    : error.message;
}

async function commands(wanted: string | undefined): Promise<Command> {
  const env = processEnvironment();
  const program = new Command('declutter')
    .description(
      'Finds what clutters PostgreSQL databases and removes it, without downtime and without losing a row.',
    )
    .exitOverride();
  const serverCommands = [
    service('up', 'the API, a worker and the playground in one process', env, (compose) => compose.composeUp),
    service('serve', 'the API only', env, (compose) => compose.composeApi),
    service('work', 'a worker only', env, (compose) => compose.composeWorker),
    migrateCommand(env),
    tokenCommand(env),
    auditCommand(env),
    demoCommand(env),
  ];
  for (const command of serverCommands) program.addCommand(command.exitOverride());
  if (!serverCommands.some((command) => command.name() === wanted)) await addClient(program, env);
  return program;
}

/** The client stays out of the processes of the server, which have no use for it. */
async function addClient(program: Command, env: Environment): Promise<void> {
  const { addClientCommands } = await import('./cli/client/commands.ts');
  const { host, port } = loadConfig(env).http;
  const local = async () => {
    const { localToken } = await import('./compose/embedded-clients.ts');
    const token = await localToken(loadConfig(env), 'viewer');
    return token === null ? null : { token };
  };
  addClientCommands(
    program,
    { ...env, DECLUTTER_URL: env['DECLUTTER_URL'] || `http://${host}:${port}` },
    local,
  );
}

type Compose = typeof import('./compose.ts');

function service(
  name: string,
  description: string,
  env: Environment,
  choose: (compose: Compose) => (setting: Setting) => Promise<Running>,
): Command {
  return new Command(name).description(`runs ${description}, until a signal comes`).action(async () => {
    const setting = settingOf(env);
    const start = choose(await import('./compose.ts'));
    await untilSignal(setting, () => start(setting));
  });
}

function settingOf(env: Environment): Setting {
  const config = loadConfig(env);
  return { config, env, log: makeLog(config.logLevel) };
}

/** The first signal shuts down in order, within the grace period; a second one ends at once. */
async function untilSignal({ config, log }: Setting, start: () => Promise<Running>): Promise<void> {
  const signalled = new Promise<string>((resolve) => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) {
      process.once(signal, () => {
        resolve(signal);
        process.on(signal, () => process.exit(EXIT.interrupted));
      });
    }
  });
  const starting = start();
  const signal = await Promise.race([signalled, starting.then(() => signalled)]);
  log.info({ signal }, 'shutting down');
  const late = setTimeout(() => {
    log.warn('the grace period is over; what is left is taken over by others');
    process.exit(EXIT.interrupted);
  }, config.graceMs);
  await (await starting).stop();
  clearTimeout(late);
  process.exit(EXIT.done); // whatever a library has left open must not keep us
}

function migrateCommand(env: Environment): Command {
  return new Command('migrate').description('brings the control store up to date').action(async () => {
    const { composeMigration } = await import('./compose.ts');
    const applied = await composeMigration(settingOf(env));
    const lines = applied.map((name) => `applied ${name}\n`).join('');
    process.stdout.write(lines || 'The control store is up to date.\n');
  });
}

function tokenCommand(env: Environment): Command {
  return new Command('token')
    .description('prints an access token of the embedded issuer')
    .requiredOption('--client <name>', 'viewer, operator, approver or admin')
    .action(async ({ client }: { client: string }) => {
      const { composeToken } = await import('./compose/embedded-clients.ts');
      process.stdout.write(`${await composeToken(loadConfig(env), client)}\n`);
    });
}

function auditCommand(env: Environment): Command {
  const verify = new Command('verify')
    .description('reads the whole audit trail and names the first event that is not as it was written')
    .option(
      '--seen <sequence:hash>',
      'what it printed earlier, kept elsewhere: shows that the end was cut off',
    )
    .exitOverride()
    .action(async ({ seen }: { seen?: string }) => {
      const mark = seen === undefined ? undefined : markOf(seen);
      const { composeAuditCheck } = await import('./compose.ts');
      const verdict = await composeAuditCheck(settingOf(env), mark);
      if (!verdict.ok) process.exitCode = EXIT.failed;
      process.stdout.write(
        verdict.ok
          ? `The audit trail is whole: ${verdict.checked} events.\n${verdict.checked}:${verdict.head}\n`
          : `Event ${verdict.sequence} of the audit trail is not as it was written: ${verdict.problem}.\n`,
      );
    });
  return new Command('audit').description('checks the audit trail').addCommand(verify);
}

function markOf(text: string): AuditMark {
  const [, sequence, hash] = /^(\d{1,9}):([0-9a-f]{64})$/.exec(text) ?? [];
  if (sequence === undefined || hash === undefined)
    throw badInput('--seen takes what audit verify printed earlier: a number, a colon and a hash.');
  return { sequence: Number(sequence), hash };
}

function demoCommand(env: Environment): Command {
  return new Command('demo')
    .description('plays the main job on a cluttered shop of its own, and checks every figure')
    .action(async () => {
      const { composeDemo } = await import('./compose/demo.ts');
      const stack = new AsyncDisposableStack();
      const end = (code: number) => void stack.disposeAsync().finally(() => process.exit(code));
      for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => end(EXIT.interrupted));
      const held = await composeDemo(env, stack, (line) => process.stdout.write(`${line}\n`)).catch(
        (error: unknown) => {
          process.stderr.write(`${sentenceOf(error)}\n`);
          return false;
        },
      );
      end(held ? EXIT.done : EXIT.failed);
    });
}
