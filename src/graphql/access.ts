import type { Permission } from '../security/permissions.ts';

/** One permission, or any one of several. */
export type Wanted = Permission | readonly [Permission, Permission];

/** What each root field asks for. A field that is missing here cannot be served: the guard refuses to be built. */
export const ACCESS: Readonly<
  Record<'Query' | 'Mutation' | 'Subscription', Readonly<Record<string, Wanted>>>
> = {
  Query: {
    viewer: 'read',
    databases: 'read',
    database: 'read',
    table: 'read',
    findings: 'read',
    plan: 'read',
    plans: 'read',
    run: 'read',
    runs: 'read',
    waitForRun: 'read',
    archive: 'read',
    archives: 'read',
    policy: 'read',
    policies: 'read',
    holds: 'read',
    auditEvents: 'audit',
    maintenanceStop: 'read',
  },
  Mutation: {
    registerDatabase: 'admin',
    updateDatabase: 'admin',
    removeDatabase: 'admin',
    checkDatabase: 'admin',
    analyzeDatabase: 'plan',
    suppressFinding: 'plan',
    unsuppressFinding: 'plan',
    planPurge: 'plan',
    planArchive: 'plan',
    planDeduplication: 'plan',
    planOrphanRemoval: 'plan',
    planReorganization: 'plan',
    planReindex: 'plan',
    planIndexCreation: 'plan',
    planIndexRemoval: 'plan',
    planRestore: 'plan',
    planArchiveExpiry: 'plan',
    approvePlan: 'approve',
    rejectPlan: ['approve', 'plan'], // whoever made a plan may take it back: planning/decide-plan decides
    startRun: 'execute',
    pauseRun: 'execute',
    resumeRun: 'execute',
    cancelRun: 'execute',
    retryRun: 'execute',
    updateThrottle: 'execute',
    verifyArchive: 'execute',
    savePolicy: 'admin',
    deletePolicy: 'admin',
    runPolicy: 'execute',
    placeHold: 'admin',
    releaseHold: 'admin',
    setMaintenanceStop: 'admin',
  },
  Subscription: { runEvents: 'read' },
};

/** Nested fields that ask for more than their parents; with exact: only when that argument is true. */
export const NESTED_ACCESS: Readonly<
  Record<string, { readonly permission: Permission; readonly when?: 'exact' }>
> = {
  'Plan.sample': { permission: 'plan' },
  'Policy.input': { permission: 'plan' },
  'Table.bloat': { permission: 'plan', when: 'exact' },
  'Index.bloat': { permission: 'plan', when: 'exact' },
  'Table.duplicates': { permission: 'plan' },
  'Run.queryTimes': { permission: 'plan' },
};

/** Mutations after which rows or protection may be gone: one in an operation, and with a rate limit of their own. */
export const DESTRUCTIVE: ReadonlySet<string> = new Set([
  'removeDatabase',
  'startRun',
  'resumeRun',
  'retryRun',
  'runPolicy',
  'releaseHold',
]);
