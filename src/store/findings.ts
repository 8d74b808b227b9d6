import { createHash } from 'node:crypto';
import type { FoundFault, Remedy } from '../domain/finding.ts';
import type { FindingKind, Severity } from '../domain/words.ts';
import { notFound } from '../errors.ts';
import { type Finding, Prisma } from './client/client.ts';
import type { Store } from './open-store.ts';
import { inPlace, type Page, pageOf, type PageRequest, pageSize, pageStart, type Placed } from './page.ts';
import { tableColumns, type TableKey } from './table-key.ts';

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
  /** null: it may speak */
  readonly suppression: Suppression | null;
  readonly firstSeenAt: Date;
}

export interface Suppression {
  readonly by: string;
  readonly reason: string;
  readonly at: Date;
  /** null: until somebody unsuppresses it */
  readonly until: Date | null;
}

export interface FindingQuery extends PageRequest {
  readonly kinds?: readonly FindingKind[] | null;
  readonly minSeverity?: Severity | null;
  readonly includeSuppressed?: boolean;
}

/** What one analysis has to say: what it found, which kinds answered, and about which subjects they could not. */
export interface FindingsFound {
  readonly faults: readonly FoundFault[];
  readonly answered: readonly FindingKind[];
  readonly unsure: readonly Unsure[];
}

export interface Unsure {
  readonly kind: FindingKind;
  readonly schema: string | null;
  readonly table: string | null;
  readonly index: string | null;
}

type FaultName = Pick<FoundFault, 'kind' | 'schema' | 'table' | 'index' | 'columns' | 'key'>;

/** The same fault of the same thing has the same id tomorrow, and in every control store that knows the database by that name. */
export const findingId = (databaseName: string, { kind, schema, table, index, columns, key }: FaultName) =>
  createHash('sha256')
    .update(
      JSON.stringify([
        databaseName,
        kind,
        schema,
        table,
        index,
        columns,
        ...(key === undefined ? [] : [key]),
      ]),
    )
    .digest('hex')
    .slice(0, 32);

/** New findings open, known ones are refreshed, and those that were looked for and not found are closed. */
export async function recordFindings(
  tx: Prisma.TransactionClient,
  { id: databaseId, name }: { readonly id: string; readonly name: string },
  found: FindingsFound,
): Promise<void> {
  const rows = found.faults.map((fault) => ({ ...fault, id: findingId(name, fault) }));
  await closeOthers(tx, databaseId, found, new Set(rows.map((row) => row.id)));
  if (rows.length === 0) return;
  await tx.$executeRaw`
    INSERT INTO finding (id, "databaseId", kind, severity, schema, "table", "index", columns, title, detail, "wastedBytes", rows, evidence, remedy)
    SELECT r.id, ${databaseId}::uuid, r.kind, r.severity::"Severity", r.schema, r."table", r."index",
           ARRAY(SELECT jsonb_array_elements_text(r.columns)), r.title, r.detail, r."wastedBytes"::numeric::bigint, r.rows::numeric::bigint,
           r.evidence, CASE WHEN jsonb_typeof(r.remedy) = 'null' THEN NULL ELSE r.remedy END
      FROM jsonb_to_recordset(${JSON.stringify(rows)}::jsonb) AS r (id text, kind text, severity text, schema text, "table" text, "index" text,
           columns jsonb, title text, detail text, "wastedBytes" numeric, rows numeric, evidence jsonb, remedy jsonb)
    ON CONFLICT (id) DO UPDATE SET severity = excluded.severity, title = excluded.title, detail = excluded.detail,
           "wastedBytes" = excluded."wastedBytes", rows = excluded.rows, evidence = excluded.evidence, remedy = excluded.remedy,
           open = true, "lastSeenAt" = now()`;
}

async function closeOthers(
  tx: Prisma.TransactionClient,
  databaseId: string,
  { answered, unsure }: FindingsFound,
  found: ReadonlySet<string>,
): Promise<void> {
  const open = await tx.finding.findMany({
    where: { databaseId, open: true, kind: { in: [...answered] } },
    select: { id: true, kind: true, schema: true, table: true, index: true },
  });
  const doubtful = new Set(unsure.map(subjectKey));
  const gone = open.filter((finding) => !found.has(finding.id) && !doubtful.has(subjectKey(finding)));
  await tx.finding.updateMany({
    where: { id: { in: gone.map((finding) => finding.id) } },
    data: { open: false },
  });
}

const subjectKey = (subject: {
  kind: string;
  schema: string | null;
  table: string | null;
  index: string | null;
}) => JSON.stringify([subject.kind, subject.schema, subject.table, subject.index]);

const SPEAKS = Prisma.sql`(f."suppressedAt" IS NULL OR f."suppressedUntil" <= now())`;

/** A page of the open findings of each database, the gravest and largest first. */
export async function listFindings(
  { prisma }: Store,
  databaseIds: readonly string[],
  query: FindingQuery,
): Promise<Page<FindingView>[]> {
  const rows = await prisma.$queryRaw<(Finding & Placed)[]>`
    SELECT p.*, d.place FROM unnest(${[...databaseIds]}::uuid[]) WITH ORDINALITY AS d (id, place)
     CROSS JOIN LATERAL (
      SELECT f.* FROM finding f
       WHERE f."databaseId" = d.id AND f.open AND (${query.includeSuppressed ?? false} OR ${SPEAKS})
         AND (${query.kinds ?? null}::text[] IS NULL OR f.kind = ANY (${query.kinds ?? null}::text[]))
         AND f.severity >= ${query.minSeverity ?? 'INFO'}::"Severity"
         AND ${afterKey(pageStart(query, ['severity', 'size', 'text']))}
       ORDER BY f.severity DESC, coalesce(f."wastedBytes", 0) DESC, f.id LIMIT ${pageSize(query) + 1}
     ) p
     ORDER BY d.place, p.severity DESC, coalesce(p."wastedBytes", 0) DESC, p.id`;
  return inPlace(databaseIds, rows).map((own) =>
    pageOf(own.map(viewOf), query, (view) => [view.severity, String(view.wastedBytes ?? 0), view.id]),
  );
}

/** The open findings about each table that nobody has silenced, the gravest and largest first. */
export async function listTableFindings(
  { prisma }: Store,
  tables: readonly TableKey[],
): Promise<FindingView[][]> {
  const { ids, schemas, names } = tableColumns(tables);
  const rows = await prisma.$queryRaw<(Finding & Placed)[]>`
    SELECT f.*, k.place FROM unnest(${ids}::uuid[], ${schemas}::text[], ${names}::text[]) WITH ORDINALITY AS k (id, schema, name, place)
      JOIN finding f ON f."databaseId" = k.id AND f.schema = k.schema AND f."table" = k.name
     WHERE f.open AND ${SPEAKS}
     ORDER BY k.place, f.severity DESC, coalesce(f."wastedBytes", 0) DESC, f.id`;
  return inPlace(tables, rows).map((own) => own.map(viewOf));
}

function afterKey(start: string[] | null): Prisma.Sql {
  if (start === null) return Prisma.sql`true`;
  const [severity, wasted, id] = start;
  return Prisma.sql`(f.severity < ${severity}::"Severity" OR (f.severity = ${severity}::"Severity" AND (
    coalesce(f."wastedBytes", 0) < ${wasted}::bigint OR (coalesce(f."wastedBytes", 0) = ${wasted}::bigint AND f.id > ${id}))))`;
}

/** Hides a finding, with the reason, until it is unsuppressed or the time has come; analyses keep it hidden. @throws NOT_FOUND */
export const suppressFinding = (
  store: Store,
  id: string,
  { reason, until, by }: Omit<Suppression, 'at'>,
): Promise<FindingView> =>
  changeFinding(store, id, {
    suppressedBy: by,
    suppressedReason: reason,
    suppressedAt: new Date(),
    suppressedUntil: until,
  });

/** @throws NOT_FOUND */
export const unsuppressFinding = (store: Store, id: string): Promise<FindingView> =>
  changeFinding(store, id, {
    suppressedBy: null,
    suppressedReason: null,
    suppressedAt: null,
    suppressedUntil: null,
  });

async function changeFinding(
  { prisma }: Store,
  id: string,
  data: Prisma.FindingUpdateManyMutationInput,
): Promise<FindingView> {
  const [changed] = await prisma.finding.updateManyAndReturn({ where: { id }, data });
  if (!changed) throw notFound('The finding');
  return viewOf(changed);
}

function suppressionOf(row: Finding): Suppression | null {
  if (row.suppressedAt === null) return null;
  const until = row.suppressedUntil;
  if (until !== null && until <= new Date()) return null;
  return { by: row.suppressedBy ?? '', reason: row.suppressedReason ?? '', at: row.suppressedAt, until };
}

const viewOf = (row: Finding): FindingView => ({
  id: row.id,
  kind: row.kind as FindingKind,
  severity: row.severity,
  schema: row.schema,
  table: row.table,
  index: row.index,
  columns: row.columns,
  title: row.title,
  detail: row.detail,
  wastedBytes: row.wastedBytes === null ? null : Number(row.wastedBytes),
  rows: row.rows === null ? null : Number(row.rows),
  evidence: row.evidence,
  remedy: row.remedy as Remedy | null,
  suppressed: suppressionOf(row) !== null,
  suppression: suppressionOf(row),
  firstSeenAt: row.firstSeenAt,
});
