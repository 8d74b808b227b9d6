import type { RemovedIndex } from '../domain/index-spec.ts';
import { readIndexByOid } from './index-state.ts';
import { isInWork } from './index-work.ts';
import type { Session } from './session.ts';

/** Which fact about an index that is to go has changed since it was planned; null: none. */
export async function removalDrift(session: Session, planned: RemovedIndex): Promise<string | null> {
  const name = `${planned.schema}.${planned.name}`;
  const now = await readIndexByOid(session, planned.oid);
  if (now?.schema !== planned.schema || now.name !== planned.name || now.definition !== planned.definition)
    return `the index ${name} was dropped, renamed or made anew`;
  if (now.duties.length > 0) return `the index ${name} is needed by now`;
  if (!planned.isValid) {
    // A build that ends, and a plain REINDEX, make it valid under the same OID.
    if (now.isValid) return `the index ${name} is valid by now`;
    return (await isInWork(session, now)) ? `somebody works on the index ${name} now` : null;
  }
  if (planned.keeper !== null) return keeperDrift(session, planned.keeper);
  const more = now.scans - planned.usage.scans;
  if (more === 0) return null;
  return more > 0
    ? `the index ${name} was used ${more} times since`
    : `the counters of the index ${name} were reset`;
}

async function keeperDrift(
  session: Session,
  { oid, schema, name, definition }: NonNullable<RemovedIndex['keeper']>,
): Promise<string | null> {
  const now = await readIndexByOid(session, oid);
  return now?.isValid === true && now.definition === definition
    ? null
    : `the index ${schema}.${name}, which does the same work, is no longer what it was`;
}
