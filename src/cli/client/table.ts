export interface Column {
  readonly title: string;
  /** Figures stand to the right. */
  readonly right?: boolean;
  /** Longer texts are cut. */
  readonly most?: number;
}

/** Rows in aligned columns under their titles, without a line end behind the last. */
export function table(columns: readonly Column[], rows: readonly (readonly string[])[]): string {
  const cells = rows.map((row) => columns.map((column, i) => cut(row[i] ?? '', column.most)));
  const widths = columns.map((column, i) =>
    Math.max(column.title.length, ...cells.map((row) => widthOf(row[i]))),
  );
  const line = (row: readonly string[]) =>
    columns
      .map((column, i) => {
        const gap = ' '.repeat((widths[i] ?? 0) - widthOf(row[i]));
        return column.right ? gap + (row[i] ?? '') : (row[i] ?? '') + gap;
      })
      .join('  ')
      .trimEnd();
  return [
    line(columns.map((column) => column.title)),
    line(widths.map((width) => '─'.repeat(width))),
    ...cells.map(line),
  ].join('\n');
}

/** Names and messages come from databases: no control character of theirs may reach the terminal. */
export const oneLine = (text: string) => text.replace(/[\s\p{Cc}\p{Cf}]+/gu, ' ').trim();

const cut = (text: string, most = Infinity) => {
  const flat = oneLine(text);
  return flat.length > most ? `${flat.slice(0, most - 1)}…` : flat;
};

/** Wide letters are rare in names of tables; code points are close enough. */
const widthOf = (text = '') => Array.from(text).length;
