import { registerEnumType } from 'type-graphql';
import * as words from '../domain/words.ts';

/** Every closed set of words, made known to the schema; imported for this effect alone. */
const ENUMS: readonly [object, string, string][] = [
  [words.Role, 'Role', 'What a token may do. ADMIN may all; OPERATOR and APPROVER may also what VIEWER may.'],
  [words.TlsMode, 'TlsMode', 'How the connection to a database is encrypted and whom it trusts.'],
  [words.Environment, 'Environment', 'What a database is for; PRODUCTION asks for approvals.'],
  [words.TableOrder, 'TableOrder', 'The order of a list of tables; figures largest first.'],
  [words.BloatVerdict, 'BloatVerdict', 'What is to be done about waste. UNKNOWN when it cannot be known.'],
  [words.BloatMethod, 'BloatMethod', 'Where a figure comes from: an estimate, a measurement, or nowhere.'],
  [
    words.DuplicateMethod,
    'DuplicateMethod',
    'COUNT: all rows were read. LOOK_UP: sampled rows, each looked up by an index. SAMPLE: repeats within a sample. NONE: not known.',
  ],
  [words.Severity, 'Severity', 'How much a finding matters.'],
  [words.FindingKind, 'FindingKind', 'The kinds of faults that analyses find.'],
  [words.FilterOp, 'FilterOp', 'How a column is compared. OLDER_THAN takes an age.'],
  [words.DependentRows, 'DependentRows', 'What to do about rows that reference the chosen ones.'],
  [
    words.KeepOrder,
    'KeepOrder',
    'Which of equal rows stays, by a column. A row whose column is NULL comes last.',
  ],
  [words.DuplicateReferences, 'DuplicateReferences', 'What to do about rows that reference a duplicate.'],
  [words.ArchiveState, 'ArchiveState', 'Whether an archive is still there.'],
  [words.ArchiveKind, 'ArchiveKind', 'Where archived rows go.'],
  [words.ArchiveFormat, 'ArchiveFormat', 'How archived rows are written.'],
  [
    words.ReorganizationMethod,
    'ReorganizationMethod',
    'How a table is put in order. AUTO chooses and says why.',
  ],
  [words.RestoreInto, 'RestoreInto', 'Where restored rows go.'],
  [words.RestoreConflict, 'RestoreConflict', 'What to do about a row whose key is already there.'],
  [words.PlanKind, 'PlanKind', 'What a plan would do.'],
  [words.PlanState, 'PlanState', 'Whether a plan can be started, and if not, why.'],
  [
    words.MissedTicks,
    'MissedTicks',
    'What becomes of ticks that no worker was there for: SKIP leaves them out, ONCE makes one run for all of them.',
  ],
  [
    words.PolicyOutcome,
    'PolicyOutcome',
    'What came of a policy that was due: STARTED has a run, WAITING a plan that somebody else must approve.',
  ],
  [words.EffectKind, 'EffectKind', 'How a row of another table would change.'],
  [words.ApprovalDecision, 'ApprovalDecision', "Somebody else's yes or no."],
  [
    words.RunState,
    'RunState',
    'Where a run is. PAUSING and CANCELLING are asked for, PAUSED and CANCELLED are facts.',
  ],
];

for (const [values, name, description] of ENUMS) registerEnumType(values, { name, description });
