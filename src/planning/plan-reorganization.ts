import { badInput } from '../errors.ts';
import type { PlanNotice } from '../domain/plan.ts';
import type { Throttle } from '../domain/run.ts';
import { throttleFrom } from '../domain/throttle.ts';
import type { Relation } from '../target/catalog.ts';
import { checkSubject, refuseRelation } from './check-subject.ts';
import { chooseMethod, compactWhereRowsMayGo } from './choose-method.ts';
import { LEDGER_STEP } from './deletion-steps.ts';
import { roomFor } from './disk-room.ts';
import type { MethodForecast } from './method-forecast.ts';
import { notice, type PlanContext, requireRelation } from './plan-context.ts';
import type { PlanReorganizationInput } from '../domain/plan-inputs.ts';
import { planReindex } from './plan-reindex.ts';
import { repackForecast } from './repack-forecast.ts';
import { clusterForecast, vacuumFullForecast } from './rewrite-forecast.ts';
import { type Draft, NO_LIMITS } from './save-plan.ts';
import { lookAtTable, type TableLook } from './table-look.ts';
import { analyzeForecast, vacuumForecast } from './vacuum-forecast.ts';

/** Puts a table in order by the method that is asked for; AUTO looks which of them helps, and says why. */
export async function planReorganization(
  context: PlanContext,
  input: PlanReorganizationInput,
): Promise<Draft> {
  if (input.index != null && input.method !== 'CLUSTER') throw badInput('index is for CLUSTER only.');
  const throttle = throttleFrom(input.throttle);
  const relation = await requireRelation(context, input.schema, input.table);
  const unsafe = refuseRelation(relation).filter(
    ({ code }) => code === 'UNSAFE_TABLE' || relation.kind !== 'MATERIALIZED_VIEW',
  );
  if (unsafe.length > 0)
    return draftOf(relation, throttle, { ...analyzeForecast({ relation }), blockers: unsafe });
  const look = await lookAtTable(context, relation);
  return input.method === 'AUTO'
    ? chosen(context, look, throttle, input)
    : asked(context, look, throttle, input);
}

async function chosen(
  context: PlanContext,
  look: TableLook,
  throttle: Throttle,
  input: PlanReorganizationInput,
): Promise<Draft> {
  const { relation } = look;
  const choice = await chooseMethod(context, look, { throttle, diskFreeBytes: input.diskFreeBytes ?? null });
  if (choice.kind === 'REINDEX') {
    const { database, schema, table } = input;
    const draft = await planReindex(context, { database, schema, table, indexes: [...choice.indexes] });
    return { ...draft, warnings: [becauseOf('REINDEX', choice.why), ...draft.warnings] };
  }
  if (choice.kind === 'NOTHING') {
    const nothing = notice('NOTHING_TO_DO', choice.why, 'There is no need to run this plan.');
    return draftOf(relation, throttle, {
      ...(await checked(context, look, analyzeForecast(look), input)),
      warnings: [nothing],
    });
  }
  const forecast = await checked(context, look, choice.forecast, input);
  const because = becauseOf(choice.forecast.operation.method, choice.why);
  return draftOf(relation, throttle, { ...forecast, warnings: [because, ...forecast.warnings] });
}

const becauseOf = (method: string, why: string) => notice('METHOD_CHOSEN', `AUTO chose ${method}: ${why}`);

async function asked(
  context: PlanContext,
  look: TableLook,
  throttle: Throttle,
  input: PlanReorganizationInput,
): Promise<Draft> {
  const forecast = await forecastOf(context, look, throttle, input);
  const unsuited = forecast.wins ? [] : [notice('METHOD_UNSUITABLE', forecast.why)];
  const whole = await checked(context, look, forecast, input);
  return draftOf(look.relation, throttle, { ...whole, blockers: [...whole.blockers, ...unsuited] });
}

async function forecastOf(
  context: PlanContext,
  look: TableLook,
  throttle: Throttle,
  input: PlanReorganizationInput,
): Promise<MethodForecast> {
  switch (input.method) {
    case 'VACUUM':
      return vacuumForecast(look, throttle);
    case 'COMPACT':
      return compactWhereRowsMayGo(context, look, throttle, input.acknowledgeTriggers ?? false);
    case 'REPACK':
      return repackForecast(context, look);
    case 'VACUUM_FULL':
      return vacuumFullForecast(look);
    case 'CLUSTER':
      return clusterForecast(look, input.index ?? null);
    case 'ANALYZE':
    case 'AUTO':
      return analyzeForecast(look);
  }
}

/** With what holds for all methods: rights, and room on the disk. */
async function checked(
  context: PlanContext,
  look: TableLook,
  forecast: MethodForecast,
  { diskFreeBytes }: PlanReorganizationInput,
): Promise<MethodForecast> {
  const { relation } = look;
  const rights = (await checkSubject(context, relation, ['MAINTAIN'])).filter(mattersHere);
  const known = new Set(forecast.blockers.map(({ message }) => message));
  const room = await roomFor(context, relation, forecast.impact, diskFreeBytes ?? null);
  return {
    ...forecast,
    impact: { ...forecast.impact, diskFreeBytes: room.freeBytes },
    blockers: [
      ...rights.filter(({ message }) => !known.has(message)),
      ...forecast.blockers,
      ...room.blockers,
    ],
    warnings: [...forecast.warnings, ...room.warnings],
  };
}

/** Row security and rules say nothing about the table's files. */
const mattersHere = ({ code }: PlanNotice) => code !== 'ROW_SECURITY' && code !== 'RULES';

const draftOf = (relation: Relation, throttle: Throttle, forecast: MethodForecast): Draft => ({
  operation: forecast.operation,
  relations: [relation],
  subject: relation,
  limits: NO_LIMITS,
  throttle,
  holds: [],
  cutoff: null,
  impact: forecast.impact,
  effects: forecast.effects,
  locks: forecast.locks,
  blockers: forecast.blockers,
  warnings: forecast.warnings,
  steps: [LEDGER_STEP, ...forecast.steps],
  sample: [],
});
