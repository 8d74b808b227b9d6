import type { PlanNotice } from '../domain/plan.ts';
import { throttleFrom } from '../domain/throttle.ts';
import type { ReorganizationMethod } from '../domain/words.ts';
import type { Relation } from '../target/catalog.ts';
import { ident, integer, sql, toText } from '../target/sql.ts';
import { badInput } from '../errors.ts';
import { checkSubject, refuseRelation } from './check-subject.ts';
import { LEDGER_STEP } from './deletion-steps.ts';
import { reorganizationForecast } from './forecast.ts';
import { nameOf, notice, type PlanContext, requireRelation } from './plan-context.ts';
import type { PlanReorganizationInput } from './plan-inputs.ts';
import { type Draft, NO_LIMITS } from './save-plan.ts';

type Method = 'ANALYZE' | 'VACUUM';

interface Statistics {
  readonly live: number;
  readonly dead: number;
  readonly changed: number;
  readonly everAnalyzed: boolean;
}

/** VACUUM makes the space of dead rows reusable, ANALYZE renews the statistics; AUTO looks which of them helps. */
export async function planReorganization(
  context: PlanContext,
  input: PlanReorganizationInput,
): Promise<Draft> {
  if (input.index != null && input.method !== 'CLUSTER') throw badInput('index is for CLUSTER only.');
  const relation = await requireRelation(context, input.schema, input.table);
  const unsafe = refuseRelation(relation).filter(
    ({ code }) => code === 'UNSAFE_TABLE' || relation.kind !== 'MATERIALIZED_VIEW',
  );
  const rights =
    unsafe.length > 0 ? [] : (await checkSubject(context, relation, ['MAINTAIN'])).filter(mattersHere);
  const statistics = await readStatistics(context, relation);
  const { method, blockers, warnings } = choose(input.method, statistics);
  const held = method === 'VACUUM' ? await heldBack(context) : [];
  return {
    operation: { kind: 'REORGANIZATION', method },
    relations: [relation],
    subject: relation,
    limits: NO_LIMITS,
    throttle: throttleFrom(input.throttle),
    holds: [],
    cutoff: null,
    impact: reorganizationForecast(relation, method, statistics),
    effects: [],
    locks: [{ relation: nameOf(relation), mode: 'SHARE UPDATE EXCLUSIVE', longestMs: null }],
    blockers: [...unsafe, ...rights, ...blockers],
    warnings: [...warnings, ...held],
    steps: [LEDGER_STEP, stepOf(relation, method)],
    sample: [],
  };
}

const mattersHere = ({ code }: PlanNotice) => code !== 'ROW_SECURITY' && code !== 'RULES';

function stepOf({ schema, name }: Relation, method: Method) {
  const table = ident(schema, name);
  return method === 'VACUUM'
    ? {
        description: `Make the space of dead rows in ${schema}.${name} and its indexes reusable, and renew its statistics`,
        sql: toText(sql`VACUUM (ANALYZE) ${table}`),
      }
    : { description: `Renew the statistics of ${schema}.${name}`, sql: toText(sql`ANALYZE ${table}`) };
}

async function readStatistics({ session }: PlanContext, { oid }: Relation): Promise<Statistics> {
  const [row] = await session.query<Statistics>(sql`
    SELECT n_live_tup::pg_catalog.float8 AS live, n_dead_tup::pg_catalog.float8 AS dead, n_mod_since_analyze::pg_catalog.float8 AS changed,
           last_analyze IS NOT NULL OR last_autoanalyze IS NOT NULL AS "everAnalyzed"
      FROM pg_catalog.pg_stat_all_tables WHERE relid = ${integer(oid)}`);
  return row ?? { live: 0, dead: 0, changed: 0, everAnalyzed: true };
}

interface Choice {
  readonly method: Method;
  readonly blockers: readonly PlanNotice[];
  readonly warnings: readonly PlanNotice[];
}

const DEAD_FLOOR = 1_000;
const DEAD_SHARE = 0.02;
const CHANGED_SHARE = 0.05;

function choose(wanted: ReorganizationMethod, statistics: Statistics): Choice {
  if (wanted === 'ANALYZE' || wanted === 'VACUUM') return { method: wanted, blockers: [], warnings: [] };
  if (wanted === 'AUTO') return chooseByStatistics(statistics);
  const blocker = notice(
    'METHOD_UNAVAILABLE',
    `This version does not do ${wanted}.`,
    'VACUUM makes the space reusable; planReindex gives back that of indexes.',
  );
  return { method: 'VACUUM', blockers: [blocker], warnings: [] };
}

function chooseByStatistics({ live, dead, changed, everAnalyzed }: Statistics): Choice {
  const chosen = (method: Method, why: string): Choice => ({
    method,
    blockers: [],
    warnings: [notice('METHOD_CHOSEN', `AUTO chose ${method}: ${why}`)],
  });
  if (dead >= DEAD_FLOOR && dead >= live * DEAD_SHARE) {
    return chosen(
      'VACUUM',
      `${dead} rows are dead beside ${live} live ones. Their space becomes reusable; giving it back to the disk needs a rewrite, which this version does not do.`,
    );
  }
  if (!everAnalyzed || changed >= Math.max(DEAD_FLOOR, live * CHANGED_SHARE)) {
    return chosen(
      'ANALYZE',
      everAnalyzed
        ? `${changed} rows have changed since the last one, and few are dead.`
        : 'the table was never analysed, and few rows are dead.',
    );
  }
  const why = `${dead} rows are dead and ${changed} have changed since the last ANALYZE: neither VACUUM nor ANALYZE would help. Space that is free within the files needs a rewrite, which this version does not do.`;
  return {
    method: 'ANALYZE',
    blockers: [],
    warnings: [notice('NOTHING_TO_DO', why, 'There is no need to run this plan.')],
  };
}

/** With an old snapshot open VACUUM removes nothing that has died since. */
async function heldBack({ session }: PlanContext): Promise<PlanNotice[]> {
  const rows = await session.query<{ pid: number; minutes: number }>(sql`
    SELECT pid, (extract(epoch FROM pg_catalog.now() - xact_start) / 60)::pg_catalog.int4 AS minutes
      FROM pg_catalog.pg_stat_activity
     WHERE backend_xmin IS NOT NULL AND datname = pg_catalog.current_database() AND pid <> pg_catalog.pg_backend_pid()
       AND xact_start < pg_catalog.now() - interval '1 minute'
     ORDER BY xact_start LIMIT 3`);
  return rows.map(({ pid, minutes }) =>
    notice(
      'VACUUM_HELD_BACK',
      `The session with pid ${pid} has had a transaction open for ${minutes} minutes: rows that died since cannot be removed.`,
      'Let it end first.',
    ),
  );
}
