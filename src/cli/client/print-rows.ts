import type { CommandContext } from './commands.ts';
import { type Column, table } from './table.ts';

/** A list as an aligned table, or with --json as one object a line. */
export function printRows<Row>(
  context: Pick<CommandContext, 'print'>,
  options: { readonly json?: true },
  rows: readonly Row[],
  columns: readonly Column[],
  cells: (row: Row) => string[],
): void {
  if (options.json) for (const row of rows) context.print(JSON.stringify(row));
  else context.print(table(columns, rows.map(cells)));
}
