import { quoteIdent } from '../target/sql.ts';
import { nameOf } from './index-advice.ts';
import type { InvalidIndex, MissingPart } from './read-invalid-indexes.ts';

/** So many partitions are spelt out; the evidence names all of them. */
const SPELT_OUT = 10;
const LONGEST_NAME = 63;

/** The statements that make a partitioned index valid: a part for each partition that lacks one, built without locking. */
export function completionOf(
  index: Pick<InvalidIndex, 'schema' | 'name' | 'definition'>,
  parts: readonly MissingPart[],
): string {
  const statements = parts.slice(0, SPELT_OUT).flatMap((part) => statementsFor(index, part));
  const more = parts.length > SPELT_OUT ? ` And so on for ${parts.length - SPELT_OUT} more.` : '';
  return `To complete it: ${statements.join(' ')}${more}`;
}

function statementsFor(
  index: Pick<InvalidIndex, 'schema' | 'name' | 'definition'>,
  part: MissingPart,
): string[] {
  const attach = (name: string) => `ALTER INDEX ${nameOf(index)} ATTACH PARTITION ${name};`;
  if (part.partSchema !== null && part.partName !== null) {
    const name = nameOf({ schema: part.partSchema, name: part.partName });
    // Attached again, although it is attached already: that is when PostgreSQL looks whether all are valid now.
    return [
      part.isPartitioned ? `first complete ${name};` : `REINDEX INDEX CONCURRENTLY ${name};`,
      attach(name),
    ];
  }
  const name = cut(`${part.table}_${index.name}`);
  // CONCURRENTLY is not for partitioned tables; theirs has to be completed in turn.
  const [create, on] = part.isPartitioned ? ['CREATE', 'ON ONLY'] : ['CREATE', 'ON'];
  return [
    `${create}${uniqueOf(index.definition)} INDEX${part.isPartitioned ? '' : ' CONCURRENTLY'} ${quoteIdent(name)} ${on} ${quoteIdent(part.schema)}.${quoteIdent(part.table)}${columnsOf(index.definition)};`,
    attach(`${quoteIdent(part.schema)}.${quoteIdent(name)}`),
  ];
}

const uniqueOf = (definition: string | null) => (definition?.startsWith('CREATE UNIQUE ') ? ' UNIQUE' : '');

/** From the method on; a definition of a partitioned index reads CREATE INDEX name ON ONLY table USING method (...). */
function columnsOf(definition: string | null): string {
  const on = definition?.indexOf(' ON ONLY ') ?? -1;
  const using = definition?.indexOf(' USING ', Math.max(on, 0)) ?? -1;
  return definition === null || using < 0 ? ' (...)' : definition.slice(using);
}

/** PostgreSQL cuts longer names, by bytes. */
function cut(name: string): string {
  const bytes = Buffer.from(name);
  if (bytes.length <= LONGEST_NAME) return name;
  return bytes
    .subarray(0, LONGEST_NAME)
    .toString()
    .replace(/\uFFFD$/, '');
}
