import type { BloatMethod, BloatVerdict, FindingKind, Severity } from './words.ts';

/** How much of a relation is waste, and how we know. Never a number without its method. */
export interface Bloat {
  readonly verdict: BloatVerdict;
  /** bytes that a rewrite would give back; null when UNKNOWN */
  readonly wastedBytes: number | null;
  /** wastedBytes / size, 0..1 */
  readonly ratio: number | null;
  readonly method: BloatMethod;
  readonly causes: readonly { readonly code: string; readonly detail: string; readonly pid: number | null }[];
  readonly advice: string;
  /** bytes within the relation: free for new rows now, and taken by dead rows until VACUUM; neither goes back to the disk by itself */
  readonly room?: { readonly free: number; readonly dead: number };
}

/** The mutation to send next, ready to paste. */
export interface Remedy {
  readonly summary: string;
  readonly mutation: string;
  readonly variables: Readonly<Record<string, unknown>>;
}

/** What an analysis finds; its id is derived from kind and subject, so that the same fault has the same id tomorrow. */
export interface FoundFault {
  readonly kind: FindingKind;
  readonly severity: Severity;
  readonly schema: string | null;
  readonly table: string | null;
  readonly index: string | null;
  readonly columns: readonly string[];
  /** tells faults of one kind and subject apart, where more than one is possible; as stable as the fault */
  readonly key?: string;
  readonly title: string;
  readonly detail: string;
  readonly wastedBytes: number | null;
  readonly rows: number | null;
  readonly evidence: Readonly<Record<string, unknown>>;
  readonly remedy: Remedy | null;
}

/** What an analysis could not judge: a false green would be worse. */
export interface NotJudged {
  readonly kind: FindingKind;
  /** with the right that would help */
  readonly reason: string;
  /** how many tables and indexes it concerns; 0: the whole kind */
  readonly subjects: number;
  /** one of them */
  readonly example: string | null;
}

export interface IndexFigures {
  readonly name: string;
  readonly definition: string;
  readonly sizeBytes: number;
  readonly scans: number;
  readonly lastScanAt: string | null;
  readonly isUnique: boolean;
  readonly isPrimary: boolean;
  readonly isValid: boolean;
  readonly bloat: Bloat;
}

export interface TableFigures {
  readonly oid: number;
  readonly schema: string;
  readonly name: string;
  readonly liveRows: number;
  readonly deadRows: number;
  readonly totalBytes: number;
  readonly heapBytes: number;
  readonly toastBytes: number;
  readonly indexBytes: number;
  readonly bloat: Bloat;
  readonly indexes: readonly IndexFigures[];
  readonly lastVacuumAt: string | null;
  readonly lastAnalyzeAt: string | null;
}
