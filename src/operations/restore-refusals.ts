import { Stop } from '../domain/stop.ts';
import { TargetError } from '../target/sqlstate.ts';
import type { StagedRows } from './restore-rows.ts';

interface Refused {
  readonly staged: readonly StagedRows[];
  /** rows of each that were to go back */
  readonly chosen: readonly number[];
  /** those of each whose keys are free */
  readonly insertable: () => Promise<readonly number[]>;
}

const CONSTRAINTS: Readonly<Record<string, string>> = {
  '23502': 'have no value where the table wants one now',
  '23514': 'do not fulfil a check of the table or of a type, or find no partition',
};

/** What PostgreSQL's refusal means for the rows of this part; the transaction is rolled back in any case. */
export async function explained(error: TargetError, refused: Refused): Promise<unknown> {
  const tables = refused.staged.map(({ target }) => `${target.schema}.${target.name}`).join(', ');
  if (error.failure === 'CONFLICT' || error.sqlstate === '23P01') {
    const message =
      `${await takenKeys(refused, tables)} None of the part was put back. ` +
      'onConflict: SKIP leaves them out, and a side table takes them all.';
    return new Stop('CONFLICT', message, 'FAILED', { cause: error });
  }
  if (error.sqlstate === '23503') {
    const message = `Rows of this part reference rows that are not there: restore those first, then resume. (${tables})`;
    return new Stop('DEPENDENTS', message, 'PAUSED', { cause: error });
  }
  const words = CONSTRAINTS[error.sqlstate ?? ''];
  if (words === undefined) return error;
  return new Stop(
    'CONFLICT',
    `Rows of this part ${words}: ${tables}. None of the part was put back. Restore into a side table, and decide there.`,
    'FAILED',
    { cause: error },
  );
}

async function takenKeys({ staged, chosen, insertable }: Refused, tables: string): Promise<string> {
  const free = await insertable().catch((error: unknown) => {
    // Without the rows whose keys are taken, others may find nothing to reference: how many they are cannot be told then.
    if (error instanceof TargetError && error.failure !== 'CONNECTION') return null;
    throw error;
  });
  if (free === null) return `Rows of this part find their keys taken (${tables}).`;
  return staged
    .map(({ target }, i) => ({
      name: `${target.schema}.${target.name}`,
      all: chosen[i] ?? 0,
      free: free[i] ?? 0,
    }))
    .filter((table) => table.free < table.all)
    .map(
      ({ name, all, free: put }) =>
        `Of the ${all} rows of this part ${all - put} find their keys taken in ${name}.`,
    )
    .join(' ');
}
