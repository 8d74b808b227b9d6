import type { Session } from '../target/session.ts';
import type { ApiClient } from '../cli/client/api-client.ts';
import type { Checks } from './checks.ts';

/** What every chapter of the demo works with. */
export interface Stage {
  /** The API, as each of the people who use it. */
  readonly as: Readonly<Record<'admin' | 'operator' | 'approver' | 'viewer', ApiClient>>;
  /** The shop's own connection, for counting past the product. */
  readonly shop: Session;
  readonly checks: Checks;
  readonly print: (line: string) => void;
  /** The name that the shop is registered under. */
  readonly database: string;
}
