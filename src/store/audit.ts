import { createHash } from 'node:crypto';
import type { Prisma } from './client/client.ts';
import type { Store } from './open-store.ts';
import { type Page, pageOf, type PageRequest, pageSize, pageStart } from './page.ts';

/** Something that was done, or tried and refused. */
export interface AuditEntry {
  readonly actor: string;
  readonly action: string;
  readonly subject: string;
  readonly outcome: string;
  readonly detail: Readonly<Record<string, unknown>>;
}

export interface AuditEvent extends AuditEntry {
  readonly sequence: number;
  readonly at: Date;
  readonly previous: string;
  readonly hash: string;
}

export type AuditVerdict =
  | { readonly ok: true; readonly checked: number; readonly head: string }
  | { readonly ok: false; readonly checked: number; readonly sequence: number; readonly problem: string };

/** An event of the chain, as somebody has kept it elsewhere. */
export interface AuditMark {
  readonly sequence: number;
  readonly hash: string;
}

export interface Audit {
  record(entry: AuditEntry): Promise<void>;
  /** Newest first. */
  list(page: PageRequest): Promise<Page<AuditEvent>>;
  /**
   * Recomputes the chain from its beginning and names the first event that does not fit. A chain alone does not show that its end was
   * cut off, or that all of it was written anew: what was seen of it earlier does.
   */
  verify(seen?: AuditMark): Promise<AuditVerdict>;
}

/** What stands before the first event. */
const GENESIS = '0'.repeat(64);
/** One writer at a time: this lock is held until the new head is committed. */
const CHAIN_LOCK = 0x61756469;
const MAX_TEXT = 2_000;

export function makeAudit({ prisma }: Pick<Store, 'prisma'>): Audit {
  return {
    record: (entry) => prisma.$transaction((tx) => append(tx, entry), { maxWait: 10_000, timeout: 10_000 }),
    list: async (page) => {
      const start = pageStart(page, ['sequence']);
      const rows = await prisma.auditEvent.findMany({
        ...(start === null ? {} : { where: { sequence: { lt: Number(start[0]) } } }),
        orderBy: { sequence: 'desc' },
        take: pageSize(page) + 1,
      });
      return pageOf(rows.map(eventOf), page, (event) => [String(event.sequence)]);
    },
    verify: async (seen) => {
      let state: AuditVerdict = { ok: true, checked: 0, head: GENESIS };
      for await (const row of oldestFirst(prisma)) state = verifyNext(state, row, seen);
      return state.ok && seen !== undefined && state.checked < seen.sequence ? cutOff(state, seen) : state;
    },
  };
}

async function* oldestFirst(prisma: Store['prisma']): AsyncGenerator<Row> {
  for (let last = 0; ;) {
    const rows = await prisma.auditEvent.findMany({
      where: { sequence: { gt: last } },
      orderBy: { sequence: 'asc' },
      take: 500,
    });
    if (rows.length === 0) return;
    yield* rows;
    last = rows.at(-1)?.sequence ?? last;
  }
}

type Row = Prisma.AuditEventGetPayload<object>;

async function append(tx: Prisma.TransactionClient, entry: AuditEntry): Promise<void> {
  await tx.$executeRaw`SELECT pg_advisory_xact_lock(${CHAIN_LOCK}::bigint)`;
  const head = await tx.auditEvent.findFirst({
    orderBy: { sequence: 'desc' },
    select: { sequence: true, hash: true },
  });
  const event = {
    sequence: (head?.sequence ?? 0) + 1,
    at: new Date(),
    actor: storable(entry.actor) as string,
    action: storable(entry.action) as string,
    subject: storable(entry.subject) as string,
    outcome: storable(entry.outcome) as string,
    detail: storable(entry.detail) as Prisma.InputJsonObject,
    previous: head?.hash ?? GENESIS,
  };
  await tx.auditEvent.create({ data: { ...event, hash: hashOf(event) } });
}

type Unsealed = Omit<Row, 'hash' | 'detail'> & { readonly detail: unknown };

const hashOf = ({ previous, ...event }: Unsealed): string =>
  createHash('sha256').update(previous).update(canonicalJson(event)).digest('hex');

/** JSON with its keys in order, so that PostgreSQL's jsonb gives back the same text as went in. */
function canonicalJson(value: unknown): string {
  if (value instanceof Date) return JSON.stringify(value);
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(',')}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  const members = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return `{${members.map(([key, member]) => `${JSON.stringify(key)}:${canonicalJson(member)}`).join(',')}}`;
}

/** jsonb takes neither NUL nor half a surrogate pair, and nobody may fill the disk with a long reason. */
function storable(value: unknown): unknown {
  if (typeof value === 'string') return shortened(value.replaceAll('\0', '\u2400').toWellFormed());
  if (value instanceof Date) return value.toISOString();
  if (Array.isArray(value)) return value.map(storable);
  if (typeof value === 'bigint') return value.toString();
  if (typeof value === 'number') return Number.isFinite(value) ? value : null;
  if (typeof value !== 'object' || value === null) return value ?? null;
  return Object.fromEntries(Object.entries(value).map(([key, member]) => [storable(key), storable(member)]));
}

const shortened = (text: string) =>
  text.length <= MAX_TEXT ? text : `${text.slice(0, MAX_TEXT).toWellFormed()}... (${text.length} characters)`;

const cutOff = ({ checked }: AuditVerdict, seen: AuditMark): AuditVerdict => ({
  ok: false,
  checked,
  sequence: checked + 1,
  problem: `it is missing, and all others up to ${seen.sequence}, which was there earlier`,
});

function verifyNext(state: AuditVerdict, row: Row, seen: AuditMark | undefined): AuditVerdict {
  if (!state.ok) return state;
  const { hash, ...event } = row;
  const broken = (problem: string): AuditVerdict => ({
    ok: false,
    checked: state.checked,
    sequence: row.sequence,
    problem,
  });
  if (row.sequence !== state.checked + 1) return broken('an event before this one is missing');
  if (row.previous !== state.head) return broken('it does not follow the event before it');
  if (hashOf(event) !== hash) return broken('its content was changed');
  if (row.sequence === seen?.sequence && hash !== seen.hash)
    return broken('it is another one than was there earlier: the chain was written anew');
  return { ok: true, checked: state.checked + 1, head: hash };
}

const eventOf = (row: Row): AuditEvent => ({ ...row, detail: row.detail as Record<string, unknown> });
