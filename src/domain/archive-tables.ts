import { shortened } from './identifier.ts';
import type { ArchiveDestination, RelationIdentity } from './plan.ts';
import type { ArchiveContent } from './archive-content.ts';

type Destination = Extract<ArchiveDestination, { kind: 'TABLE' }>;
type Named = Pick<RelationIdentity, 'oid' | 'name'>;

/** Where rows of a plan's table are kept: those of tables that go along beside the subject's, under names that tell them apart. */
export function archiveTableOf(
  { schema, table }: Pick<Destination, 'schema' | 'table'>,
  relations: readonly Named[],
  part: number,
): { readonly schema: string; readonly table: string } {
  const relation = relations[part];
  if (part === 0 || relation === undefined) return { schema, table };
  const name = `${shortened(relation.name, NAME_BYTES)}_archive`;
  const isTaken =
    name === table ||
    relations.some(
      (other, i) => i > 0 && i !== part && `${shortened(other.name, NAME_BYTES)}_archive` === name,
    );
  return {
    schema,
    table: isTaken ? `${shortened(relation.name, NAME_BYTES)}_${relation.oid}_archive` : name,
  };
}

/** Room for an OID and the word behind it, in 63 bytes. */
const NAME_BYTES = 40;

const HOLDER_STEM_BYTES = 50;

/** The run's own table for its rows: a name of at most 63 bytes, told apart by the run. */
export const holderName = (table: string, runId: string): string =>
  `${shortened(table, HOLDER_STEM_BYTES)}_${runId.slice(0, 8)}`;

const SIDE_STEM_BYTES = 40;

/** The side table for a part of an archive, told apart from those of other archives and of other parts, in 63 bytes. */
export function sideTableOf(table: string, part: number, runId: string): string {
  const stem = shortened(table, SIDE_STEM_BYTES);
  const suffix = part === 0 || stem === table ? '' : `_${part}`;
  return `${stem}_restored_${runId.slice(0, 8)}${suffix}`;
}

/** The temporary table through which rows of a part come back from files. */
export const stageName = (part: number): string =>
  part === 0 ? 'declutter_stage' : `declutter_stage_${part < 0 ? `r${-part}` : part}`;

/** TABLE: every table that holds rows of the archive. */
export const holdersOf = ({ holder, parts = [] }: Pick<ArchiveContent, 'holder' | 'parts'>) =>
  [holder, ...parts.map((part) => part.holder)].filter((one) => one !== null);

/** What is told of a part; 0 is the table itself. */
export function partOf(content: ArchiveContent, part: number): Pick<ArchiveContent, 'columns' | 'holder'> {
  const found = part === 0 ? content : content.parts?.find(({ number }) => number === part);
  if (found === undefined) throw new TypeError(`The archive has no part ${part}`);
  return found;
}
