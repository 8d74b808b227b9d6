export interface TableKey {
  readonly databaseId: string;
  readonly schema: string;
  readonly name: string;
}

/** As the arrays that unnest makes rows of. */
export const tableColumns = (tables: readonly TableKey[]) => ({
  ids: tables.map((table) => table.databaseId),
  schemas: tables.map((table) => table.schema),
  names: tables.map((table) => table.name),
});
