import type { RowFilter } from '../domain/filter.ts';
import type { PlanLock, PlanStep } from '../domain/plan.ts';
import { compileFilter } from '../target/row-filter.ts';
import { ident, join, sql, toText } from '../target/sql.ts';
import { type ChosenPartition, inWords } from './choose-partitions.ts';
import { LEDGER_STEP, rowSteps, SEAL_STEP, tableSteps } from './deletion-steps.ts';
import { nameOf } from './plan-context.ts';
import type { Look } from './plan-deletion.ts';

type Step = Omit<PlanStep, 'position'>;

/** filter: with what holds leave of it, to be read for each partition. */
export type PartitionedLook = Look & { readonly filter: RowFilter };

/** What the run does, in order; one partition stands for those that are treated the same way. */
export function partitionSteps(look: PartitionedLook, chosen: readonly ChosenPartition[]): Step[] {
  const whole = chosen.filter(({ way }) => way === 'WHOLE');
  const byRows = chosen.filter(({ way }) => way === 'ROWS');
  return [
    LEDGER_STEP,
    ...tableSteps(look),
    ...wholeSteps(look, whole),
    ...(['HEAP_RANGES', 'INDEX'] as const).flatMap((pick) =>
      partSteps(
        look,
        byRows.filter((one) => one.pick === pick),
      ),
    ),
    ...(look.destination === null ? [] : [SEAL_STEP]),
  ];
}

function wholeSteps(look: PartitionedLook, whole: readonly ChosenPartition[]): Step[] {
  const [first] = whole;
  if (first === undefined) return [];
  const { partition, relation } = first;
  const table = ident(partition.schema, partition.name);
  const parent = ident(partition.parent.schema, partition.parent.name);
  const columns = join(
    look.relation.columns.map(({ name }) => ident(name)),
    ', ',
  );
  const why = whole.every(({ implied }) => implied)
    ? 'by their bounds all of their rows match'
    : 'all of their rows match, by their bounds or as counted';
  return [
    {
      description: `Treat ${whole.length} partitions as a whole, one after the other, since ${why}: ${inWords(whole, 50)}. First detach it; a lock that cannot be had within 100 ms is given up and tried again`,
      sql: toText(
        sql`ALTER TABLE ${parent} DETACH PARTITION ${table}; ALTER TABLE ${table} ADD CONSTRAINT declutter_detached CHECK (false) NOT VALID`,
      ),
    },
    ...(whole.every(({ implied }) => implied)
      ? []
      : [
          {
            description:
              'Look whether a row that does not match has come to it until then; if so, attach it again, and treat it row by row',
            sql: toText(
              sql`SELECT EXISTS (SELECT FROM ONLY ${table} WHERE (${compileFilter(look.filter, relation)}) IS NOT TRUE)`,
            ),
          },
        ]),
    ...(look.destination === null
      ? []
      : [
          {
            description: 'Copy its rows to the archive, in batches; nothing is deleted',
            sql: toText(sql`COPY (SELECT ${columns} FROM ONLY ${table}) TO STDOUT`),
          },
        ]),
    {
      description:
        look.destination === null
          ? "Drop it, in one transaction with the ledger's entry"
          : "Drop it once the archive holds as many rows as it does, in one transaction with the ledger's entry",
      sql: toText(sql`DROP TABLE ${table}`),
    },
  ];
}

/** Those whose rows are found the same way. */
function partSteps(look: PartitionedLook, parts: readonly ChosenPartition[]): Step[] {
  const [first] = parts;
  if (first === undefined) return [];
  const { relation, pick, why } = first;
  const condition = compileFilter(look.filter, relation);
  const [step, ...more] = rowSteps({ ...look, relation, condition, chosen: { pick, why } });
  if (step === undefined) return [];
  return [
    {
      ...step,
      description: `Treat ${parts.length} partitions row by row, one after the other: ${inWords(parts, 50)}. ${step.description}`,
    },
    ...more,
  ];
}

export function partitionLocks({ throttle }: Look, chosen: readonly ChosenPartition[]): PlanLock[] {
  const whole = chosen.filter(({ way }) => way === 'WHOLE');
  const parents = new Map(whole.map(({ partition: { parent } }) => [parent.oid, nameOf(parent)]));
  const moment = (relation: string): PlanLock => ({
    relation,
    mode: 'ACCESS EXCLUSIVE, for the moment of a DETACH',
    longestMs: 100,
  });
  return [
    ...[...parents.values()].map(moment),
    ...chosen.map(({ partition, way }) =>
      way === 'WHOLE'
        ? { ...moment(nameOf(partition)), mode: 'ACCESS EXCLUSIVE, to detach and to drop it' }
        : {
            relation: nameOf(partition),
            mode: 'ROW EXCLUSIVE, and the rows of a batch',
            longestMs: throttle.batchMs,
          },
    ),
  ];
}
