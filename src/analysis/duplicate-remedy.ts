import type { Remedy } from '../domain/finding.ts';
import type { ProposedKey, SoftDelete } from './duplicate-keys.ts';
import { planRemedy } from './remedies.ts';

/** The plan that leaves the first row of each key. None for a partitioned table: its partitions are planned by name. */
export function duplicateRemedy(
  { subject, parts, softDelete }: ProposedKey,
  database: string,
): Remedy | null {
  const { table, indexes, columns } = subject;
  const primary = indexes.find((index) => index.isPrimary)?.keys[0]?.column;
  const by = primary ?? columns[0]?.name;
  if (table.kind === 'PARTITIONED' || by === undefined) return null;
  const where = [
    ...(softDelete === null ? [] : [notDeleted(softDelete)]),
    ...parts.filter(({ trim }) => trim).map(({ column }) => ({ column, op: 'NE', value: '' })),
  ];
  const summary = `Leave one row of each ${parts.map(({ column }) => column).join(', ')}: the one with the lowest ${by}. What references the others is pointed at it.`;
  return planRemedy('Deduplication', summary, {
    database,
    schema: table.schema,
    table: table.name,
    key: parts.map(({ column, ignoreCase, trim }) => ({ column, ignoreCase, trim })),
    keep: { by, order: 'LOWEST' },
    references: 'REPOINT',
    ...(where.length === 0 ? {} : { where: { all: where } }),
    destination: { kind: 'FILES', store: 'local', format: 'COPY_ZSTD' },
  });
}

const notDeleted = ({ column, isFlag }: SoftDelete) =>
  isFlag
    ? {
        any: [
          { column, op: 'EQ', value: 'false' },
          { column, op: 'IS_NULL' },
        ],
      }
    : { column, op: 'IS_NULL' };
