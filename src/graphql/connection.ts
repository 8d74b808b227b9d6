import { ArgsType, type ClassType, Field, Int, ObjectType } from 'type-graphql';
import type { Page } from '../store/page.ts';

@ArgsType()
export class PageArgs {
  @Field(() => Int, { nullable: true, description: 'How many, from 1 to 100; 20 when not given.' })
  first?: number | null;

  @Field(() => String, { nullable: true, description: 'A cursor: the list goes on behind it.' })
  after?: string | null;
}

@ObjectType({ description: 'Where a page of a list stands.' })
export class PageInfo {
  @Field(() => Boolean, { description: 'Whether there is more behind this page.' })
  hasNextPage!: boolean;

  @Field(() => Boolean, { description: 'Whether there is something before this page.' })
  hasPreviousPage!: boolean;

  @Field(() => String, {
    nullable: true,
    description: 'The cursor of the first item; null when the page is empty.',
  })
  startCursor!: string | null;

  @Field(() => String, { nullable: true, description: 'The cursor of the last item: give it as after.' })
  endCursor!: string | null;
}

export interface Connection<Node> {
  readonly edges: readonly { readonly node: Node; readonly cursor: string }[];
  readonly nodes: readonly Node[];
  readonly pageInfo: PageInfo;
}

/** The Relay types for a list of one type of node. */
export function connectionType(name: string, node: () => ClassType): ClassType {
  @ObjectType(`${name}Edge`, { description: `One ${name} of a list, with its place.` })
  class Edge {
    @Field(node, { description: 'The item.' })
    node!: object;

    @Field(() => String, { description: 'The place of the item in the list.' })
    cursor!: string;
  }

  @ObjectType(`${name}Connection`, { description: `A page of a list of ${name}.` })
  class NodeConnection {
    @Field(() => [Edge], { description: 'The items with their places.' })
    edges!: Edge[];

    @Field(() => [node()], { description: 'The items alone.' })
    nodes!: object[];

    @Field(() => PageInfo, { description: 'Whether there is more.' })
    pageInfo!: PageInfo;
  }
  return NodeConnection;
}

export function connection<View, Node = View>(
  page: Page<View>,
  nodeOf: (view: View) => Node,
): Connection<Node> {
  const edges = page.edges.map(({ node, cursor }) => ({ node: nodeOf(node), cursor }));
  return {
    edges,
    nodes: edges.map((edge) => edge.node),
    pageInfo: {
      hasNextPage: page.hasNextPage,
      hasPreviousPage: page.hasPreviousPage,
      startCursor: edges[0]?.cursor ?? null,
      endCursor: edges.at(-1)?.cursor ?? null,
    },
  };
}

/** For lists whose nodes need nothing added. */
export const plainConnection = <View>(page: Page<View>): Connection<View> => connection(page, (view) => view);
