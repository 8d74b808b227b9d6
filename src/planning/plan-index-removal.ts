import type { RemovedIndex } from '../domain/index-spec.ts';
import { checkIdentifier } from '../domain/identifier.ts';
import type { PlanNotice } from '../domain/plan.ts';
import { DEFAULT_THROTTLE } from '../domain/run.ts';
import { notFound } from '../errors.ts';
import { readRelationByOid, type Relation } from '../target/catalog.ts';
import { type IndexState, readIndex } from '../target/index-state.ts';
import { dropIndexSql } from '../target/index-statements.ts';
import { toText } from '../target/sql.ts';
import { missingRights, ownerNeed, schemaNeeds } from './check-rights.ts';
import { checkServer, refuseRelation } from './check-subject.ts';
import { LEDGER_STEP } from './deletion-steps.ts';
import { indexRemovalForecast } from './index-forecast.ts';
import { type JudgedIndex, judgeIndex, type Replicas } from './judge-index.ts';
import { oldTransactions } from './old-transactions.ts';
import { nameOf, notice, type PlanContext } from './plan-context.ts';
import type { PlanIndexRemovalInput } from '../domain/plan-inputs.ts';
import { planChanges } from './plan-changes.ts';
import { type Draft, NO_LIMITS } from './save-plan.ts';

/** Drops an index that nobody would miss, concurrently; its definition is kept, so that it can be built again. */
export async function planIndexRemoval(
  context: PlanContext,
  input: PlanIndexRemovalInput,
  replicas: Replicas,
): Promise<Draft> {
  const { index, relation } = await requireIndex(context, input);
  const unsafe = refuseRelation(relation).filter(({ code }) => code === 'UNSAFE_TABLE');
  const judged = await judgeIndex({ ...context, replicas }, relation, index);
  const removed = removedIndex(index, judged);
  const blockers = [
    ...unsafe,
    ...(unsafe.length > 0 ? [] : [...checkServer(context), ...(await missing(context, relation))]),
    ...judged.blockers,
  ];
  return {
    operation: { kind: 'INDEX_REMOVAL', index: removed },
    relations: [relation],
    subject: relation,
    limits: NO_LIMITS,
    throttle: DEFAULT_THROTTLE,
    holds: [],
    cutoff: null,
    impact: indexRemovalForecast(index.sizeBytes),
    effects: [],
    locks: [{ relation: nameOf(relation), mode: 'SHARE UPDATE EXCLUSIVE', longestMs: null }],
    blockers,
    warnings: [
      undoOf(removed),
      ...usageWarnings(removed),
      ...expressionWarnings(index),
      ...(await oldTransactions(context)),
      ...(index.isValid && blockers.length === 0
        ? await planChanges(context, relation, { hide: index.oid })
        : []),
    ],
    steps: [
      LEDGER_STEP,
      {
        description: `Drop ${nameOf(index)} while everybody reads and writes`,
        sql: toText(dropIndexSql(index)),
      },
    ],
    sample: [],
  };
}

/** @throws BAD_USER_INPUT, NOT_FOUND */
async function requireIndex(
  { session }: PlanContext,
  { schema, index: name }: PlanIndexRemovalInput,
): Promise<{ index: IndexState; relation: Relation }> {
  checkIdentifier('schema', schema);
  checkIdentifier('index', name);
  const index = await readIndex(session, schema, name);
  const relation =
    index === null ? null : await session.transaction(() => readRelationByOid(session, index.tableOid));
  if (index === null || relation === null) throw notFound(`The index "${schema}"."${name}"`);
  return { index, relation };
}

const missing = async (context: PlanContext, relation: Relation): Promise<PlanNotice[]> =>
  missingRights(context, [
    ...schemaNeeds(relation.schema, ['USAGE']),
    await ownerNeed(context, relation, 'only its owner may drop its indexes'),
  ]);

const removedIndex = (
  { oid, schema, name, definition, comment, isValid, sizeBytes }: IndexState,
  { usage, keeper }: JudgedIndex,
): RemovedIndex => ({ oid, schema, name, definition, comment, isValid, sizeBytes, usage, keeper });

const undoOf = (index: RemovedIndex): PlanNotice =>
  index.isValid
    ? notice(
        'INDEX_UNDO',
        `planRestore with the runId of the run builds ${nameOf(index)} again: ${index.definition}`,
        'Building it takes longer than dropping it.',
      )
    : notice('INDEX_INVALID', `${nameOf(index)} is not valid: no query uses it, and there is no undo.`);

function usageWarnings({ keeper, usage, isValid, ...index }: RemovedIndex): PlanNotice[] {
  if (!isValid) return [];
  const scans = `It was scanned ${usage.scans + usage.replicaScans} times${usage.countedSince === null ? '' : ` since ${usage.countedSince.slice(0, 10)}`}.`;
  return [
    keeper === null
      ? notice('INDEX_UNUSED', `Nobody uses ${nameOf(index)}. ${scans}`)
      : notice('INDEX_COVERED', `${nameOf(keeper)} does all that ${nameOf(index)} does. ${scans}`),
  ];
}

/** The planner reads these whether or not it chooses the index, and no counter counts that. */
const expressionWarnings = (index: IndexState): PlanNotice[] =>
  index.hasExpressions
    ? [
        notice(
          'EXPRESSION_STATISTICS',
          `ANALYZE keeps statistics of the expression in ${nameOf(index)}, which plans may rest on.`,
          'CREATE STATISTICS on the expression keeps them without the index.',
        ),
      ]
    : [];
