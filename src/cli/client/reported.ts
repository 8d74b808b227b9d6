import { ApiError } from './api-error.ts';
import { EXIT } from './exit-codes.ts';

/** Runs a command's work: a refusal becomes one line on stderr and exit code 1. */
export async function reported(work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    process.stderr.write(`${error.code}: ${error.message}\n`);
    process.exitCode = EXIT.failed;
  }
}
