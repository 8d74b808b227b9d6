import { notFound } from '../errors.ts';

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

/** Text that is no id at all names nothing: the same answer as for an id that does not exist. */
export const isId = (id: string): boolean => UUID.test(id);

/** @throws NOT_FOUND */
export function idOf(what: string, id: string): string {
  if (!isId(id)) throw notFound(`${what} ${JSON.stringify(id.slice(0, 64))}`);
  return id;
}
