/**
 * VACUUM: makes room, and gives the empty end back. DESCENT: rows of the last blocks go to the first that have room. SWEEP: what
 * is in the end all the same. REREAD: VACUUM looks at every page, when there was less room than was planned for: the free space
 * map is not crash-safe. INDEXES: are built anew, one after the other.
 */
type Phase = 'VACUUM' | 'DESCENT' | 'SWEEP' | 'REREAD' | 'INDEXES' | 'DONE';

/** Where a compaction is, as the ledger keeps it. */
export interface CompactState {
  readonly phase: Phase;
  /** descents begun */
  readonly round: number;
  /** of the table, when the descent began */
  readonly blocks: number;
  /** all rows from this block on have been moved, but those that were locked, or came later */
  readonly block: number;
  /** the first block that all rows behind it had left in some round; 0: not known yet */
  readonly goal: number;
  /** times in a row that a round has come to nothing: the end could not be emptied, or VACUUM did not give it back */
  readonly stuck: number;
  /** indexes built anew */
  readonly indexes: number;
}

const START: CompactState = { phase: 'VACUUM', round: 0, blocks: 0, block: 0, goal: 0, stuck: 0, indexes: 0 };

/** Rows that others put behind the end again and again are moved so often. */
const MAX_ROUNDS = 5;
/** So often a round may come to nothing before somebody has to help. */
const MAX_STUCK = 3;
/** Empty blocks that VACUUM leaves at the end: so many, or a sixteenth of the table, whichever is less. */
const MAX_KEPT_BLOCKS = 1_000;

/** By whoever goes on: what a sweep had on its list nobody knows any more, so it is made anew. */
export const resumed = (state: CompactState | null): CompactState =>
  state === null ? START : { ...state, stuck: 0, phase: state.phase === 'SWEEP' ? 'DESCENT' : state.phase };

/** The next descent begins at the end of the table. */
export const nextRound = (state: CompactState, blocks: number): CompactState => ({
  ...state,
  phase: 'DESCENT',
  round: state.round + 1,
  blocks,
  block: blocks,
  stuck: 0,
});

/** The same round once more; null: often enough. */
export const onceMore = (state: CompactState, change: Partial<CompactState>): CompactState | null =>
  state.stuck + 1 < MAX_STUCK ? { ...state, ...change, stuck: state.stuck + 1 } : null;

/** The descent is over; a later one may be stopped early by rows that nobody can remove yet. */
export const reached = (state: CompactState): CompactState => ({
  ...state,
  phase: 'SWEEP',
  goal: state.goal === 0 ? state.block : Math.min(state.goal, state.block),
});

/** Whether VACUUM has given back all that it ever would. */
export const isGivenBack = ({ goal }: CompactState, blocks: number): boolean =>
  blocks - goal <= leastGiven(blocks);

/** The first descent has found next to no room, and nobody has looked whether the free space map knows all there is. */
export const isDoubtful = ({ round, blocks: before }: CompactState, blocks: number): boolean =>
  round === 1 && before - blocks <= leastGiven(before);

const leastGiven = (blocks: number): number => Math.min(MAX_KEPT_BLOCKS, blocks / 16);

/** Whether another round may do better: the second always, later ones as long as the table gets smaller. */
export const isWorthwhile = ({ round, blocks: before }: CompactState, blocks: number): boolean =>
  round < MAX_ROUNDS && (round === 1 || before - blocks > leastGiven(before));

/** The next index, of so many; without one all is done. */
export const indexAt = (state: CompactState, number: number, of: number): CompactState => ({
  ...state,
  phase: number < of ? 'INDEXES' : 'DONE',
  indexes: number,
});
