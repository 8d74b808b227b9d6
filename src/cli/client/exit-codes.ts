/** Of the client commands; docs/cli.md has the same table. */
export const EXIT = {
  done: 0,
  failed: 1,
  /** gate: something new and grave; apply --dry-run: something would change */
  found: 2,
  /** A plan waits for approval, or a run has paused. */
  waits: 3,
  blocked: 4,
} as const;
