export interface PageOf<Node> {
  readonly nodes: readonly Node[];
  readonly pageInfo: { readonly hasNextPage: boolean; readonly endCursor?: string | null | undefined };
}

/** What one page may hold. */
const PAGE = 100;

/** The first `limit` nodes of a list, page by page. */
export async function allPages<Node>(
  limit: number,
  fetchPage: (first: number, after: string | null) => Promise<PageOf<Node>>,
): Promise<Node[]> {
  const nodes: Node[] = [];
  let after: string | null = null;
  while (nodes.length < limit) {
    const page: PageOf<Node> = await fetchPage(Math.min(PAGE, limit - nodes.length), after);
    nodes.push(...page.nodes);
    after = page.pageInfo.endCursor ?? null;
    if (!page.pageInfo.hasNextPage || after === null) break;
  }
  return nodes;
}
