import type { Bloat, IndexFigures, Remedy } from '../domain/finding.ts';
import type { PlanForecast, PlanNotice } from '../domain/plan.ts';
import type { RunResult } from '../domain/run.ts';
import type {
  ApprovalDecision,
  ArchiveFormat,
  ArchiveKind,
  ArchiveState,
  DuplicateMethod,
  Environment,
  FindingKind,
  MissedTicks,
  PlanKind,
  PlanState,
  PolicyOutcome,
  RunState,
  Severity,
} from '../domain/words.ts';

/** What the use-cases hand to the API: plain objects, counts as numbers, times as Date (or RFC 3339 text from a target). */

type Time = Date | string;

export interface DatabaseView {
  readonly id: string;
  readonly name: string;
  readonly environment: Environment;
  readonly serverVersion: string | null;
  readonly sizeBytes: number | null;
  readonly wastedBytes: number | null;
  readonly snapshotAt: Date | null;
  readonly unreachable: string | null;
}

export interface DatabaseCheck {
  readonly ok: boolean;
  readonly items: readonly { readonly code: string; readonly ok: boolean; readonly detail: string }[];
}

export interface SnapshotView {
  readonly id: string;
  readonly takenAt: Date;
  readonly sizeBytes: number;
  readonly wastedBytes: number;
  readonly deadRows: number;
  readonly exact: boolean;
  readonly durationMs: number;
}

export interface TableView {
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
  readonly lastVacuumAt: Time | null;
  readonly lastAnalyzeAt: Time | null;
}

export interface DuplicateCountView {
  readonly rows: number | null;
  readonly keys: number | null;
  readonly largest: number | null;
  readonly rowsLookedAt: number;
  readonly method: DuplicateMethod;
  readonly detail: string;
}

export interface TableSampleView {
  readonly takenAt: Date;
  readonly totalBytes: number;
  readonly wastedBytes: number | null;
  readonly deadRows: number;
}

export interface FindingView {
  readonly id: string;
  readonly kind: FindingKind;
  readonly severity: Severity;
  readonly schema: string | null;
  readonly table: string | null;
  readonly index: string | null;
  readonly columns: readonly string[];
  readonly title: string;
  readonly detail: string;
  readonly wastedBytes: number | null;
  readonly rows: number | null;
  readonly evidence: unknown;
  readonly remedy: Remedy | null;
  readonly suppressed: boolean;
  readonly suppression: SuppressionView | null;
  readonly firstSeenAt: Date;
}

export interface SuppressionView {
  readonly by: string;
  readonly reason: string;
  readonly at: Date;
  readonly until: Date | null;
}

export interface ApprovalView {
  readonly by: string;
  readonly at: Date;
  readonly decision: ApprovalDecision;
  readonly comment: string | null;
}

export interface PlanView {
  readonly id: string;
  readonly kind: PlanKind;
  readonly state: PlanState;
  readonly hash: string;
  readonly databaseId: string;
  readonly schema: string | null;
  readonly table: string | null;
  readonly reason: string | null;
  readonly requestedBy: string;
  readonly createdAt: Date;
  readonly expiresAt: Date;
  readonly cutoff: Date | null;
  readonly forecast: PlanForecast;
  readonly approvals: readonly ApprovalView[];
}

export interface RunProgressView {
  readonly rowsDone: number;
  readonly rowsTotal: number | null;
  readonly ratio: number | null;
  readonly rowsPerSecond: number | null;
  readonly etaSeconds: number | null;
  readonly batches: number;
}

export interface RunThrottleView {
  readonly active: boolean;
  readonly reason: string | null;
  readonly dutyCycle: number;
  readonly batchRows: number;
}

export interface RunView {
  readonly id: string;
  readonly planId: string;
  readonly databaseId: string;
  readonly state: RunState;
  readonly stateCode: string | null;
  readonly stateReason: string | null;
  readonly progress: RunProgressView;
  readonly throttle: RunThrottleView;
  readonly result: RunResult;
  readonly startedBy: string;
  readonly startedAt: Date | null;
  readonly endedAt: Date | null;
  readonly heartbeatAt: Date | null;
}

export interface QueryTimeView {
  readonly query: string;
  readonly callsBefore: number;
  readonly meanMsBefore: number;
  readonly callsAfter: number | null;
  readonly meanMsAfter: number | null;
}

export interface RunEventView {
  readonly sequence: number;
  readonly at: Date;
  readonly kind: string;
  readonly message: string;
  readonly data: unknown;
}

export interface ArchiveView {
  readonly id: string;
  readonly runId: string;
  readonly databaseName: string;
  readonly schema: string;
  readonly table: string;
  readonly kind: ArchiveKind;
  readonly format: ArchiveFormat | null;
  readonly rows: number;
  readonly bytes: number;
  readonly createdAt: Date;
  readonly verifiedAt: Date | null;
  readonly checkedAt: Date | null;
  readonly problems: readonly PlanNotice[];
  readonly state: ArchiveState;
  readonly expiredAt: Date | null;
}

export interface ArchiveTableView {
  readonly schema: string;
  readonly table: string;
  readonly rows: number;
  readonly bytes: number;
}

export interface ArchiveSegmentView {
  readonly sequence: number;
  readonly location: string;
  readonly rows: number;
  readonly bytes: number;
  readonly sha256: string;
}

export interface ArchiveVerification {
  readonly ok: boolean;
  readonly segmentsChecked: number;
  readonly rowsChecked: number;
  readonly problems: readonly PlanNotice[];
}

export interface HoldView {
  readonly id: string;
  readonly database: string;
  readonly schema: string;
  readonly table: string;
  readonly reason: string;
  readonly placedBy: string;
  readonly placedAt: Date;
  readonly releasedAt: Date | null;
}

export interface MaintenanceStopView {
  readonly on: boolean;
  readonly reason: string | null;
  readonly since: Date | null;
  readonly by: string | null;
}

export interface AuditEventView {
  readonly sequence: number;
  readonly at: Date;
  readonly actor: string;
  readonly action: string;
  readonly subject: string;
  readonly outcome: string;
  readonly detail: unknown;
  readonly hash: string;
}

/** Something that was done, or tried and refused. Secrets are taken out before it gets here. */
export interface AuditInput {
  readonly actor: string;
  readonly action: string;
  readonly subject: string;
  readonly outcome: string;
  readonly detail: Readonly<Record<string, unknown>>;
}

export interface PolicyView {
  readonly name: string;
  readonly enabled: boolean;
  readonly kind: PlanKind;
  readonly input: unknown;
  readonly schedule: string | null;
  readonly timeZone: string;
  readonly window: { readonly from: string; readonly to: string } | null;
  readonly missed: MissedTicks;
  readonly jitterSeconds: number;
  readonly autoStartMaxRows: number | null;
  readonly nextRunAt: Date | null;
  readonly lastRunId: string | null;
  readonly savedBy: string;
  readonly savedAt: Date;
}

export interface PolicyTurnView {
  readonly tickAt: Date | null;
  readonly requestedBy: string;
  readonly createdAt: Date;
  readonly outcome: PolicyOutcome;
  readonly detail: string | null;
  readonly planId: string | null;
  readonly runId: string | null;
}

export interface PolicyRunView {
  readonly plan: PlanView;
  readonly run: RunView | null;
}
