import { readFileSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import { buildSchema, Kind, parse, validate } from 'graphql';
import { getVariableValues } from 'graphql/execution/values.js';
import { planRemedy } from '../../src/analysis/remedies.ts';

const schema = buildSchema(readFileSync(new URL('../../schema.graphql', import.meta.url), 'utf8'));
const table = { database: 'shop', schema: 'public', table: 'event' };

/** As the kinds make them. */
const REMEDIES = [
  planRemedy('Reorganization', 'VACUUM', { ...table, method: 'VACUUM' }),
  planRemedy('Reorganization', 'ANALYZE', { ...table, method: 'ANALYZE' }),
  planRemedy('Reorganization', 'AUTO', { ...table, method: 'AUTO' }),
  planRemedy('Reindex', 'rebuild', { ...table, indexes: ['event_pkey'] }),
  planRemedy('IndexCreation', 'build', { ...table, columns: ['customer_id'] }),
  planRemedy('IndexRemoval', 'drop', { database: 'shop', schema: 'public', index: 'event_old' }),
  planRemedy('Archive', 'archive', {
    ...table,
    where: { column: 'occurred_at', op: 'OLDER_THAN', age: 'P365D' },
    destination: { kind: 'FILES', store: 'local', format: 'COPY_ZSTD' },
    limits: { maxShare: 0.98 },
  }),
  planRemedy('Archive', 'archive by a number', {
    ...table,
    where: {
      all: [
        { column: 'at_ms', op: 'GT', value: '0' },
        { column: 'at_ms', op: 'LT', value: '1700000000000' },
      ],
    },
    destination: { kind: 'FILES', store: 'local', format: 'COPY_ZSTD' },
  }),
  planRemedy('OrphanRemoval', 'remove orphans', {
    ...table,
    columns: ['customer_id'],
    referencedSchema: 'public',
    referencedTable: 'customers',
    referencedColumns: ['id'],
    destination: { kind: 'FILES', store: 'local', format: 'COPY_ZSTD' },
    limits: { maxShare: 0.6 },
  }),
  planRemedy('Deduplication', 'leave one row of each key', {
    ...table,
    key: [{ column: 'email', ignoreCase: true, trim: true }],
    keep: { by: 'id', order: 'LOWEST' },
    references: 'REPOINT',
    where: {
      all: [
        {
          any: [
            { column: 'deleted', op: 'EQ', value: 'false' },
            { column: 'deleted', op: 'IS_NULL' },
          ],
        },
      ],
    },
    destination: { kind: 'FILES', store: 'local', format: 'COPY_ZSTD' },
  }),
];

describe('a remedy', () => {
  it.each(REMEDIES)(
    'is a mutation of the API with variables that it takes: $summary',
    ({ mutation, variables }) => {
      const document = parse(mutation);
      expect(validate(schema, document)).toEqual([]);
      const [operation] = document.definitions;
      if (operation?.kind !== Kind.OPERATION_DEFINITION) throw new Error('not an operation');
      const { errors } = getVariableValues(schema, operation.variableDefinitions ?? [], variables);
      expect(errors ?? []).toEqual([]);
      expect(
        getVariableValues(schema, operation.variableDefinitions ?? [], { input: { ...table, nonsense: 1 } })
          .errors,
      ).toBeDefined();
    },
  );
});
