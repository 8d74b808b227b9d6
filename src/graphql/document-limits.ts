import {
  type DocumentNode,
  type FragmentDefinitionNode,
  GraphQLError,
  Kind,
  type OperationDefinitionNode,
  type SelectionNode,
  type SelectionSetNode,
  type ValidationRule,
} from 'graphql';
import { DESTRUCTIVE } from './access.ts';

/** A document of more tokens than this is not even parsed to its end. */
export const MAX_TOKENS = 1_000;
export const MAX_ERRORS = 10;

const LIMITS = {
  depth: { most: 8, what: 'levels of fields' },
  introspectionDepth: { most: 16, what: 'levels of introspection' }, // the standard query has 15
  fields: { most: 1_000, what: 'fields' },
  aliases: { most: 15, what: 'aliases' },
  directives: { most: 20, what: 'directives' },
  destructive: { most: 1, what: 'mutation that starts or removes something' },
} as const;

type Measure = { [Limit in keyof typeof LIMITS]: number };

const NOTHING: Measure = {
  depth: 0,
  introspectionDepth: 0,
  fields: 0,
  aliases: 0,
  directives: 0,
  destructive: 0,
};

/** Bounds what an operation may ask for, fragments written out; each fragment is measured once, however often it is spread. */
export const documentLimits: ValidationRule = (context) => ({
  Document(document: DocumentNode) {
    const measureOf = measurer(document);
    for (const operation of document.definitions.filter((node) => node.kind === Kind.OPERATION_DEFINITION)) {
      for (const message of excesses(measureOf(operation))) {
        context.reportError(new GraphQLError(message, { nodes: operation }));
      }
    }
  },
});

function excesses(measure: Measure): string[] {
  return Object.entries(LIMITS)
    .filter(([limit, { most }]) => measure[limit as keyof Measure] > most)
    .map(([, { most, what }]) => `An operation may have ${most} ${what} at most.`);
}

function measurer(document: DocumentNode): (operation: OperationDefinitionNode) => Measure {
  const definitions = document.definitions.filter((node) => node.kind === Kind.FRAGMENT_DEFINITION);
  const fragments = new Map<string, FragmentDefinitionNode>(
    definitions.map((node) => [node.name.value, node]),
  );
  const measured = new Map<string, Measure>();

  const ofFragment = (name: string): Measure => {
    const known = measured.get(name);
    if (known) return known;
    measured.set(name, NOTHING); // a cycle ends here; another rule reports it
    const result = ofSelections(fragments.get(name)?.selectionSet);
    measured.set(name, result);
    return result;
  };

  const ofSelections = (set: SelectionSetNode | undefined): Measure =>
    (set?.selections ?? []).map(ofSelection).reduce(sum, NOTHING);

  const ofSelection = (node: SelectionNode): Measure => {
    const directives = { ...NOTHING, directives: node.directives?.length ?? 0 };
    if (node.kind === Kind.FRAGMENT_SPREAD) return sum(directives, ofFragment(node.name.value));
    const inner = sum(directives, ofSelections(node.selectionSet));
    return node.kind === Kind.INLINE_FRAGMENT
      ? inner
      : ofField(node.name.value, node.alias !== undefined, inner);
  };

  return (operation) => {
    const own = { ...NOTHING, directives: operation.directives?.length ?? 0 };
    return sum(own, ofSelections(operation.selectionSet));
  };
}

function ofField(name: string, aliased: boolean, inner: Measure): Measure {
  const depth = inner.depth + 1;
  return {
    ...inner,
    ...(name === '__schema' || name === '__type' ? { depth: 1, introspectionDepth: depth } : { depth }),
    fields: inner.fields + 1,
    aliases: inner.aliases + (aliased ? 1 : 0),
    destructive: inner.destructive + (DESTRUCTIVE.has(name) ? 1 : 0),
  };
}

const sum = (a: Measure, b: Measure): Measure => ({
  depth: Math.max(a.depth, b.depth),
  introspectionDepth: Math.max(a.introspectionDepth, b.introspectionDepth),
  fields: a.fields + b.fields,
  aliases: a.aliases + b.aliases,
  directives: a.directives + b.directives,
  destructive: a.destructive + b.destructive,
});
