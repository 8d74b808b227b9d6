import { describe, expect, it } from '@jest/globals';
import {
  getNamedType,
  type GraphQLSchema,
  isInputObjectType,
  isInterfaceType,
  isObjectType,
  isUnionType,
} from 'graphql';
import { ACCESS, DESTRUCTIVE } from '../../src/graphql/access.ts';
import { ruleMap } from '../../src/graphql/guard-schema.ts';
import { buildApiSchema } from '../../src/graphql/schema.ts';
import { permissionsOf } from '../../src/security/permissions.ts';
import { Role } from '../../src/domain/words.ts';

const schema = buildApiSchema();

describe('the schema', () => {
  it('has a rule for every field of every object type that can be reached', () => {
    const rules = ruleMap(schema);
    const fields = reachableFields(schema);
    expect(fields.length).toBeGreaterThan(200);
    const unguarded = fields.filter(({ type, field }) => rules[type]?.[field] === undefined);
    expect(unguarded).toEqual([]);
  });

  it('has no interfaces and no unions, whose rules graphql-shield would ignore', () => {
    const types = Object.values(schema.getTypeMap());
    expect(types.filter((type) => isInterfaceType(type) || isUnionType(type))).toEqual([]);
  });

  it('describes every type, field, argument and enum', () => {
    const described = Object.values(schema.getTypeMap()).filter((type) => !type.name.startsWith('__'));
    const silent = described.flatMap((type) => {
      const own =
        type.description || /^(?:String|Int|Float|Boolean|ID|Query|Mutation|Subscription)$/.test(type.name)
          ? []
          : [type.name];
      if (!isObjectType(type) && !isInputObjectType(type)) return own;
      const fields = Object.values(type.getFields() as Record<string, Field>);
      return [...own, ...fields.flatMap((field) => silentParts(type.name, field))];
    });
    expect(silent).toEqual([]);
  });

  it('lets each role do what the golden table says, and nothing else', () => {
    const table = Object.entries(ACCESS).flatMap(([type, fields]) =>
      Object.entries(fields).map(([field, wanted]) => {
        const roles = Object.values(Role).filter((role) =>
          [wanted].flat().some((permission) => permissionsOf([], [role]).has(permission)),
        );
        return `${type}.${field}: ${roles.join(' ')}`;
      }),
    );
    expect(table.sort()).toEqual(GOLDEN.trim().split('\n').sort());
  });

  it('counts as destructive only mutations that exist', () => {
    const mutations = Object.keys(schema.getMutationType()?.getFields() ?? {});
    expect([...DESTRUCTIVE].filter((name) => !mutations.includes(name))).toEqual([]);
  });
});

interface Part {
  readonly name: string;
  readonly description?: string | null | undefined;
}

interface Field extends Part {
  readonly args?: readonly Part[];
}

function silentParts(type: string, field: Field): string[] {
  const own = field.description ? [] : [`${type}.${field.name}`];
  return [
    ...own,
    ...(field.args ?? [])
      .filter((arg) => !arg.description)
      .map((arg) => `${type}.${field.name}(${arg.name})`),
  ];
}

function reachableFields(from: GraphQLSchema): { type: string; field: string }[] {
  const roots = [from.getQueryType(), from.getMutationType(), from.getSubscriptionType()].filter(
    (type) => type != null,
  );
  const seen = new Set(roots);
  const found: { type: string; field: string }[] = [];
  for (const type of seen) {
    for (const field of Object.values(type.getFields())) {
      found.push({ type: type.name, field: field.name });
      const next = getNamedType(field.type);
      if (isObjectType(next)) seen.add(next);
    }
  }
  return found;
}

const GOLDEN = `
Query.viewer: VIEWER OPERATOR APPROVER ADMIN
Query.databases: VIEWER OPERATOR APPROVER ADMIN
Query.database: VIEWER OPERATOR APPROVER ADMIN
Query.table: VIEWER OPERATOR APPROVER ADMIN
Query.findings: VIEWER OPERATOR APPROVER ADMIN
Query.plan: VIEWER OPERATOR APPROVER ADMIN
Query.plans: VIEWER OPERATOR APPROVER ADMIN
Query.run: VIEWER OPERATOR APPROVER ADMIN
Query.runs: VIEWER OPERATOR APPROVER ADMIN
Query.waitForRun: VIEWER OPERATOR APPROVER ADMIN
Query.archive: VIEWER OPERATOR APPROVER ADMIN
Query.archives: VIEWER OPERATOR APPROVER ADMIN
Query.policies: VIEWER OPERATOR APPROVER ADMIN
Query.policy: VIEWER OPERATOR APPROVER ADMIN
Query.holds: VIEWER OPERATOR APPROVER ADMIN
Query.auditEvents: ADMIN
Query.maintenanceStop: VIEWER OPERATOR APPROVER ADMIN
Mutation.registerDatabase: ADMIN
Mutation.updateDatabase: ADMIN
Mutation.removeDatabase: ADMIN
Mutation.checkDatabase: ADMIN
Mutation.analyzeDatabase: OPERATOR ADMIN
Mutation.suppressFinding: OPERATOR ADMIN
Mutation.unsuppressFinding: OPERATOR ADMIN
Mutation.planPurge: OPERATOR ADMIN
Mutation.planArchive: OPERATOR ADMIN
Mutation.planDeduplication: OPERATOR ADMIN
Mutation.planOrphanRemoval: OPERATOR ADMIN
Mutation.planReorganization: OPERATOR ADMIN
Mutation.planArchiveExpiry: OPERATOR ADMIN
Mutation.planReindex: OPERATOR ADMIN
Mutation.planIndexCreation: OPERATOR ADMIN
Mutation.planIndexRemoval: OPERATOR ADMIN
Mutation.planRestore: OPERATOR ADMIN
Mutation.approvePlan: APPROVER ADMIN
Mutation.rejectPlan: OPERATOR APPROVER ADMIN
Mutation.startRun: OPERATOR ADMIN
Mutation.pauseRun: OPERATOR ADMIN
Mutation.resumeRun: OPERATOR ADMIN
Mutation.cancelRun: OPERATOR ADMIN
Mutation.retryRun: OPERATOR ADMIN
Mutation.updateThrottle: OPERATOR ADMIN
Mutation.verifyArchive: OPERATOR ADMIN
Mutation.deletePolicy: ADMIN
Mutation.runPolicy: OPERATOR ADMIN
Mutation.savePolicy: ADMIN
Mutation.placeHold: ADMIN
Mutation.releaseHold: ADMIN
Mutation.setMaintenanceStop: ADMIN
Subscription.runEvents: VIEWER OPERATOR APPROVER ADMIN
`;
