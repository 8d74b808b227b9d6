import type { OperationSpec } from '../../domain/plan.ts';
import { ident, sql, toText } from '../../target/sql.ts';
import type { Operation, OperationContext, StatementWork } from '../define-operation.ts';

type Reorganization = Extract<OperationSpec, { kind: 'REORGANIZATION' }>;

/** VACUUM makes the space of dead rows reusable; ANALYZE renews the statistics. Both leave readers and writers alone. */
export const reorganization = {
  kind: 'REORGANIZATION',
  counts: null,
  open({ relation, spec, cursor }: OperationContext<Reorganization>): Promise<StatementWork> {
    const table = ident(relation.schema, relation.name);
    const statement = {
      description: `${spec.method} ${relation.schema}.${relation.name}`,
      sql: toText(spec.method === 'VACUUM' ? sql`VACUUM (ANALYZE) ${table}` : sql`ANALYZE ${table}`),
      cleanUp: () => Promise.resolve([]),
      verify: () => Promise.resolve(null),
    };
    return Promise.resolve({ mode: 'STATEMENTS', statements: cursor === null ? [statement] : [] });
  },
} satisfies Operation<Reorganization>;
