import { ident, join, toText, sql, type Sql } from './sql.ts';

interface Side {
  readonly schema: string;
  readonly table: string;
  readonly columns: readonly string[];
}

/** ALTER TABLE ... ADD FOREIGN KEY, without what may stand behind it. */
export const addForeignKey = (child: Side, parent: Side, name: string | null = null): string =>
  toText(
    sql`ALTER TABLE ${ident(child.schema, child.table)} ADD ${name === null ? sql`` : sql`CONSTRAINT ${ident(name)} `}FOREIGN KEY (${listed(child)}) REFERENCES ${ident(parent.schema, parent.table)} (${listed(parent)})`,
  );

export const validateKey = ({ schema, table }: Omit<Side, 'columns'>, name: string): string =>
  toText(sql`ALTER TABLE ${ident(schema, table)} VALIDATE CONSTRAINT ${ident(name)}`);

export const enforceKey = ({ schema, table }: Omit<Side, 'columns'>, name: string): string =>
  toText(sql`ALTER TABLE ${ident(schema, table)} ALTER CONSTRAINT ${ident(name)} ENFORCED`);

const listed = ({ columns }: Side): Sql =>
  join(
    columns.map((name) => ident(name)),
    ', ',
  );
