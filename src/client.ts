/** What the package gives to programs as `declutter/client`: docs/client.md. Nothing of ours imports it. */
export type { Credentials } from './cli/client/access-token.ts';
export {
  type ApiClient,
  apiClient,
  type ClientSettings,
  type TypedDocument,
} from './cli/client/api-client.ts';
export { ApiError } from './cli/client/api-error.ts';
export {
  hasStopped,
  type RunEvent,
  runEvents,
  type RunReport,
  waitForRun,
  type WaitOptions,
} from './cli/client/follow-run.ts';
export * from './cli/client/generated/api.ts';
