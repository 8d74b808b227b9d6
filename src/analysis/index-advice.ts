import { quoteIdent } from '../target/sql.ts';
import type { IndexDuty, MeasuredIndex } from './define-analysis.ts';

export const DUTIES_IN_WORDS: Readonly<Record<IndexDuty, string>> = {
  PRIMARY_KEY: 'is the primary key',
  CONSTRAINT: 'backs a constraint',
  FOREIGN_KEY_TARGET: 'is what a foreign key refers to',
  REPLICA_IDENTITY: 'is the replica identity',
  CLUSTERED: 'is what the table is clustered by',
  STATISTICS: 'carries statistics of its own',
  PARTITION: 'belongs to an index of the partitioned table',
};

/** How to drop it and how to get it back. */
export const dropAdvice = (index: MeasuredIndex) =>
  `To drop it without locking: DROP INDEX CONCURRENTLY ${quoteIdent(index.schema)}.${quoteIdent(index.name)}; ` +
  `to get it back: ${index.definition ?? 'its definition was not readable'}.`;
