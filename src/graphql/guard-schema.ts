import { createRequire } from 'node:module';
import { GraphQLError, type GraphQLSchema, isObjectType } from 'graphql';
import type * as middleware from 'graphql-middleware';
import type * as shield from 'graphql-shield';
import { roleFor, scopeOf, type Permission } from '../security/permissions.ts';
import { ACCESS, NESTED_ACCESS, type Wanted } from './access.ts';
import { makeAuditTrail } from './audit-trail.ts';
import type { ApiContext } from './context.ts';
import type { Log } from '../log.ts';

// graphql-shield's ES module build does not load on current Node (it imports util.isUndefined). Both packages come through
// require, or each would have its own copy of the other's classes. Its chain, race and not are never used: they fail open.
const require = createRequire(import.meta.url);
const { shield: makeShield, rule, deny } = require('graphql-shield') as typeof shield;
const { applyMiddleware } = require('graphql-middleware') as typeof middleware;

type Rule = ReturnType<ReturnType<typeof rule>>;
export type RuleMap = Record<string, Record<string, Rule>>;

export const forbidden = (permission: Permission) =>
  new GraphQLError(`This needs the scope ${scopeOf(permission)} (role ${roleFor(permission)}).`, {
    extensions: { code: 'FORBIDDEN', scope: scopeOf(permission) },
  });

function may({ permissions }: ApiContext, wanted: Wanted) {
  const anyOf = typeof wanted === 'string' ? [wanted] : wanted;
  return anyOf.some((permission) => permissions.has(permission)) || forbidden(anyOf[0]);
}

const needs = (wanted: Wanted) =>
  rule({ cache: 'no_cache' })((_root: unknown, _args: unknown, context: ApiContext) => may(context, wanted));

const needsWhenExact = (permission: Permission) =>
  rule({ cache: 'no_cache' })((_root: unknown, args: { exact?: boolean }, context: ApiContext) =>
    may(context, args.exact === true ? permission : 'read'),
  );

/** Whoever got as far as an object was let in at the root; without a principal there is no context at all. */
const isAuthenticated = rule({ cache: 'no_cache' })(
  (_root: unknown, _args: unknown, context: ApiContext) => context.permissions.size > 0,
);

/** A rule for every field of every object type. @throws TypeError when a root field has no entry in ACCESS, or the reverse */
export function ruleMap(schema: GraphQLSchema): RuleMap {
  const map: RuleMap = {};
  for (const type of Object.values(schema.getTypeMap())) {
    if (!isObjectType(type) || type.name.startsWith('__')) continue;
    const fields = Object.keys(type.getFields());
    map[type.name] = Object.fromEntries(fields.map((field) => [field, ruleOf(type.name, field)]));
  }
  assertKnown(map);
  return map;
}

function ruleOf(type: string, field: string): Rule {
  if (type in ACCESS) return rootRule(type as keyof typeof ACCESS, field);
  const nested = NESTED_ACCESS[`${type}.${field}`];
  if (nested === undefined) return isAuthenticated;
  return nested.when === 'exact' ? needsWhenExact(nested.permission) : needs(nested.permission);
}

function rootRule(type: keyof typeof ACCESS, field: string): Rule {
  const permission = ACCESS[type][field];
  if (permission === undefined) throw new TypeError(`${type}.${field} has no entry in graphql/access.ts.`);
  return needs(permission);
}

function assertKnown(map: RuleMap): void {
  const listed = Object.entries(ACCESS).flatMap(([type, fields]) =>
    Object.keys(fields).map((field) => `${type}.${field}`),
  );
  for (const name of [...listed, ...Object.keys(NESTED_ACCESS)]) {
    const [type = '', field = ''] = name.split('.');
    if (map[type]?.[field] === undefined)
      throw new TypeError(`graphql/access.ts names ${name}, which does not exist.`);
  }
}

/** The schema that is served: whatever is not allowed is denied, and every mutation is in the audit chain. */
export function guardSchema(schema: GraphQLSchema, log: Log): GraphQLSchema {
  const trail = makeAuditTrail(log);
  const guard = makeShield(ruleMap(schema), {
    fallbackRule: deny,
    fallbackError: () => new GraphQLError('You may not do this.', { extensions: { code: 'FORBIDDEN' } }),
    allowExternalErrors: true, // errors of resolvers are masked in one place, present-error.ts
  });
  const guarded = applyMiddleware(schema, { Mutation: trail.outcome }, guard, { Mutation: trail.intent });
  guardSubscriptions(guarded);
  return guarded;
}

/** graphql-middleware wraps resolve alone, which runs once an event has come: the stream itself must not open either. */
function guardSubscriptions(schema: GraphQLSchema): void {
  for (const field of Object.values(schema.getSubscriptionType()?.getFields() ?? {})) {
    const permission = ACCESS.Subscription[field.name];
    const open = field.subscribe;
    if (permission === undefined || open === undefined)
      throw new TypeError(`Subscription.${field.name} cannot be guarded.`);
    field.subscribe = (root: unknown, args: unknown, context: ApiContext, info) => {
      const answer = may(context, permission);
      if (answer !== true) throw answer;
      return open(root, args, context, info);
    };
  }
}
