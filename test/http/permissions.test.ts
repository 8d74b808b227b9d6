import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import {
  buildSchema,
  type GraphQLArgument,
  getNamedType,
  isEnumType,
  isInputObjectType,
  isLeafType,
  isRequiredArgument,
  isRequiredInputField,
  type GraphQLInputType,
} from 'graphql';
import { readFileSync } from 'node:fs';
import { ACCESS } from '../../src/graphql/access.ts';
import { permissionsOf } from '../../src/security/permissions.ts';
import type { UseCases } from '../../src/graphql/context.ts';
import type { Role } from '../../src/domain/words.ts';
import { type ApiServer, apiServer, type Client } from '../support/api-server.ts';

const CLIENTS: readonly Client[] = ['viewer', 'operator', 'approver', 'admin'];
const schema = buildSchema(readFileSync(new URL('../../schema.graphql', import.meta.url), 'utf8'));

/** Every use-case that is reached notes its name and stops there. */
const reached: string[] = [];
const useCases = new Proxy(
  {},
  {
    get: (_target, noun: string) =>
      new Proxy(
        {},
        {
          get: (_inner, verb: string) => async () => {
            if (`${noun}.${verb}` === 'audit.record') return;
            reached.push(`${noun}.${verb}`);
            throw new TypeError('reached');
          },
        },
      ),
  },
) as UseCases;

describe('permissions over HTTP', () => {
  let api: ApiServer;
  beforeAll(async () => {
    api = await apiServer({}, { useCases });
  });
  afterAll(() => api.close());
  beforeEach(() => void reached.splice(0));

  for (const [root, fields] of Object.entries({ Query: ACCESS.Query, Mutation: ACCESS.Mutation })) {
    for (const [field, wanted] of Object.entries(fields).filter(([name]) => name !== 'viewer')) {
      const anyOf = [wanted].flat();
      it(`lets through ${root}.${field} exactly those who have ${anyOf.join(' or ')}`, async () => {
        for (const client of CLIENTS) {
          reached.splice(0);
          const answer = await api.ask(client, operation(root as 'Query' | 'Mutation', field));
          const held = permissionsOf([], [client.toUpperCase() as Role]);
          const allowed = anyOf.some((permission) => held.has(permission));
          expect({
            client,
            code: answer.errors[0]?.extensions['code'],
            status: answer.status,
            reached: reached.length > 0,
          }).toEqual(
            allowed
              ? { client, code: 'INTERNAL_SERVER_ERROR', status: expect.any(Number), reached: true }
              : { client, code: 'FORBIDDEN', status: 403, reached: false },
          );
        }
      });
    }
  }
});

/** A call with the least arguments that fit the schema. */
function operation(root: 'Query' | 'Mutation', name: string): string {
  const field = (root === 'Query' ? schema.getQueryType() : schema.getMutationType())?.getFields()[name];
  if (!field) throw new TypeError(name);
  const args = field.args
    .filter(isRequiredArgument)
    .map((arg: GraphQLArgument) => `${arg.name}: ${example(arg.type)}`);
  const call = args.length > 0 ? `${name}(${args.join(', ')})` : name;
  return `${root.toLowerCase()} { ${call} ${isLeafType(getNamedType(field.type)) ? '' : '{ __typename }'} }`;
}

function example(type: GraphQLInputType): string {
  const named = getNamedType(type);
  if (isInputObjectType(named)) {
    const fields = Object.values(named.getFields()).filter(isRequiredInputField);
    return `{ ${fields.map((field) => `${field.name}: ${example(field.type)}`).join(', ')} }`;
  }
  if (isEnumType(named)) return named.getValues()[0]?.name ?? '';
  const examples: Record<string, string> = {
    ID: '"6f1c2a52-6c2c-4a6b-9d34-0d8b3f0a7c11"',
    String: '"text"',
    Boolean: 'true',
    Int: '1',
  };
  return examples[named.name] ?? '{}';
}
