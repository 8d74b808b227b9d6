import {
  type DocumentNode,
  type FieldNode,
  type GraphQLSchema,
  Kind,
  type OperationDefinitionNode,
  OperationTypeNode,
  TypeInfo,
  visit,
  visitWithTypeInfo,
} from 'graphql';
import type { Permission } from '../security/permissions.ts';
import { NESTED_ACCESS } from './access.ts';
import { forbidden } from './guard-schema.ts';

interface Request {
  readonly schema: GraphQLSchema;
  readonly document: DocumentNode;
  readonly operation: OperationDefinitionNode;
  readonly variables: Readonly<Record<string, unknown>>;
  readonly permissions: ReadonlySet<Permission>;
}

/**
 * A mutation whose result may not be read would be done, and yet answer that it was forbidden: it is refused before it begins.
 * @throws GraphQLError FORBIDDEN
 */
export function refuseForbiddenPayload({
  schema,
  document,
  operation,
  variables,
  permissions,
}: Request): void {
  if (operation.operation !== OperationTypeNode.MUTATION) return;
  const types = new TypeInfo(schema);
  const look = (field: FieldNode) => {
    const nested = NESTED_ACCESS[`${types.getParentType()?.name ?? ''}.${field.name.value}`];
    if (nested === undefined || permissions.has(nested.permission)) return;
    if (nested.when === 'exact' && !mayBeExact(field, variables)) return;
    throw forbidden(nested.permission);
  };
  visit(document, visitWithTypeInfo(types, { [Kind.FIELD]: look }));
}

function mayBeExact(field: FieldNode, variables: Request['variables']): boolean {
  const value = field.arguments?.find(({ name }) => name.value === 'exact')?.value;
  if (value === undefined) return false;
  if (value.kind === Kind.VARIABLE) return variables[value.name.value] !== false;
  return value.kind !== Kind.BOOLEAN || value.value;
}
