/**
 * VACUUM: makes room, and gives the empty end back. DESCENT: rows of the last blocks go to the first that have room. CUT: VACUUM
 * gives back what the descent has emptied so far, since nobody reads or writes the table while its file is made shorter, and that
 * takes as long as what goes is large. SWEEP: what is in the end all the same. REREAD: VACUUM looks at every page, when there was less room than was planned for: the free space
 * map is not crash-safe. INDEXES: are built anew, one after the other.
 */
type Phase = 'VACUUM' | 'DESCENT' | 'CUT' | 'SWEEP' | 'REREAD' | 'INDEXES' | 'DONE';

/** Where a compaction is, as the ledger keeps it. */
export interface CompactState {
  readonly phase: Phase;
  /** descents begun */
  readonly round: number;
  /** of the table, when the descent began */
  readonly blocks: number;
  /** all rows from this block on have been moved, but those that were locked, or came later */
  readonly block: number;
  /** the block at which the descent stops for a cut */
  readonly floor: number;
  /** the first block that all rows behind it had left in some round; 0: not known yet */
  readonly goal: number;
  /** times in a row that a round has come to nothing: the end could not be emptied, or VACUUM did not give it back */
  readonly stuck: number;
  /** indexes built anew */
  readonly indexes: number;
}

const START: CompactState = {
  phase: 'VACUUM',
  round: 0,
  blocks: 0,
  block: 0,
  floor: 0,
  goal: 0,
  stuck: 0,
  indexes: 0,
};

/** Rows that others put behind the end again and again are moved so often. */
const MAX_ROUNDS = 5;
/** So often a round may come to nothing before somebody has to help. */
const MAX_STUCK = 3;
/** Empty blocks that VACUUM leaves at the end: so many, or a sixteenth of the table, whichever is less. */
const MAX_KEPT_BLOCKS = 1_000;

/**
 * A sixteenth of the table at a time: each cut reads the indexes to their ends. VACUUM leaves fewer empty blocks than this where
 * they are.
 */
const CUTS = 16;
const LEAST_CUT_BLOCKS = 1_024;

/** By whoever goes on: what a sweep had on its list nobody knows any more, so it is made anew. */
export const resumed = (state: CompactState | null): CompactState =>
  state === null ? START : { ...state, stuck: 0, phase: state.phase === 'SWEEP' ? 'DESCENT' : state.phase };

/** The next descent begins at the end of the table. */
export const nextRound = (state: CompactState, blocks: number): CompactState => ({
  ...fromTheEnd(state, blocks),
  round: state.round + 1,
  blocks,
  stuck: 0,
});

export const fromTheEnd = (state: CompactState, blocks: number): CompactState => ({
  ...state,
  phase: 'DESCENT',
  block: blocks,
  floor: nextFloor(blocks, blocks),
});

/** Whether the descent has come to its floor and there is more below. */
export const isAtFloor = ({ phase, block, floor }: CompactState): boolean =>
  phase === 'DESCENT' && block > 0 && block <= floor;

/** What the descent has emptied is given back; it goes on below. */
export const deeper = (state: CompactState): CompactState => ({
  ...state,
  phase: 'DESCENT',
  floor: nextFloor(state.block, state.blocks),
});

const nextFloor = (block: number, blocks: number): number =>
  Math.max(0, block - Math.ceil(Math.max(LEAST_CUT_BLOCKS, blocks / CUTS)));

/** The same round once more; null: often enough. */
export const onceMore = (state: CompactState): CompactState | null =>
  state.stuck + 1 < MAX_STUCK ? { ...state, stuck: state.stuck + 1 } : null;

/** The descent is over; a later one may be stopped early by rows that nobody can remove yet. */
export const reached = (state: CompactState): CompactState => ({
  ...state,
  phase: 'SWEEP',
  goal: state.goal === 0 ? state.block : Math.min(state.goal, state.block),
});

/** Whether VACUUM has given back all that it ever would. */
export const isGivenBack = ({ goal }: Pick<CompactState, 'goal'>, blocks: number): boolean =>
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
