import {
  getNamedType,
  type GraphQLArgument,
  type GraphQLInputField,
  type GraphQLResolveInfo,
  isInputObjectType,
} from 'graphql';
import type { IMiddlewareFunction } from 'graphql-middleware';
import type { Log } from '../log.ts';
import type { ApiContext } from './context.ts';
import { codeOf } from './present-error.ts';

type Args = Readonly<Record<string, unknown>>;

interface AuditTrail {
  /** Around the permissions: says how a mutation ended, the refused ones too. */
  readonly outcome: IMiddlewareFunction<unknown, ApiContext, Args>;
  /** Within the permissions: a mutation whose intent cannot be written down does not happen. */
  readonly intent: IMiddlewareFunction<unknown, ApiContext, Args>;
}

export function makeAuditTrail(log: Log): AuditTrail {
  return {
    intent: async (resolve, root, args, context, info) => {
      await record(context, args, info, 'STARTED', {});
      return (await resolve(root, args, context, info)) as unknown;
    },
    outcome: async (resolve, root, args, context, info) => {
      // graphql-shield hands an error back instead of throwing it; to GraphQL both are the same.
      const result: unknown = await Promise.resolve(resolve(root, args, context, info)).catch(asError);
      if (result instanceof Error) {
        await recordRefusal(context, args, info, result, log);
        throw result;
      }
      await record(context, args, info, 'SUCCEEDED', { result: identityOf(result) });
      return result;
    },
  };
}

const asError = (thrown: unknown) => (thrown instanceof Error ? thrown : new TypeError(String(thrown)));

/** The refusal stands even when it cannot be written down; what failed to be written goes to the log. */
async function recordRefusal(
  context: ApiContext,
  args: Args,
  info: GraphQLResolveInfo,
  error: unknown,
  log: Log,
) {
  try {
    await record(context, args, info, codeOf(error), {});
  } catch (auditError) {
    log.error(
      { err: auditError, action: info.fieldName, actor: context.principal.subject },
      'audit event not written',
    );
  }
}

function record(
  context: ApiContext,
  args: Args,
  info: GraphQLResolveInfo,
  outcome: string,
  more: Args,
): Promise<void> {
  const { principal, request, useCases } = context;
  const field = info.parentType.getFields()[info.fieldName];
  return useCases.audit.record({
    actor: principal.subject,
    action: info.fieldName,
    subject: subjectOf(args),
    outcome,
    detail: {
      arguments: redact(args, field?.args ?? []),
      clientId: principal.clientId,
      roles: principal.roles,
      ip: request.ip,
      requestId: request.id,
      ...more,
    },
  });
}

/** What a mutation is about: a database, a table, or the id of a plan, run, archive, hold or finding. */
function subjectOf(args: Args): string {
  const { name, id, planId, runId, input } = args;
  const single = [name, id, planId, runId].find((value) => typeof value === 'string');
  if (typeof single === 'string') return single;
  const { name: newName, database, schema, table, archiveId, runId: undone } = (input ?? {}) as Args;
  const parts = [newName ?? archiveId ?? undone ?? database, ...(table === undefined ? [] : [schema, table])];
  return parts.filter((part) => typeof part === 'string').join('.') || '-';
}

/** Values of input fields that are marked sensitive are left out, and what is no reference where one belongs. */
export function redact(values: Args, fields: readonly (GraphQLArgument | GraphQLInputField)[]): Args {
  const entries = Object.entries(values).map(([name, value]) => {
    const field = fields.find((candidate) => candidate.name === name);
    if (field === undefined || isSecret(value, field.extensions))
      return [name, value == null ? value : '[redacted]'];
    return [name, redactValue(value, field)];
  });
  return Object.fromEntries(entries) as Args;
}

const isSecret = (value: unknown, { sensitive, reference }: Readonly<Record<string, unknown>>): boolean =>
  sensitive === true || (reference === true && !/^(?:env|file):/.test(String(value)));

function redactValue(value: unknown, field: GraphQLArgument | GraphQLInputField): unknown {
  if (Array.isArray(value)) return value.map((item) => redactValue(item, field));
  const type = getNamedType(field.type);
  if (!isInputObjectType(type) || value === null || typeof value !== 'object') return value;
  return redact(value as Args, Object.values(type.getFields()));
}

const IDENTITY = ['id', 'name', 'hash', 'state', 'ok'] as const;

/** Enough of a result to find it again, and nothing of its content. */
function identityOf(result: unknown): unknown {
  if (typeof result !== 'object' || result === null) return result;
  const known = result as Args;
  return Object.fromEntries(IDENTITY.flatMap((key) => (key in known ? [[key, known[key]]] : [])));
}
