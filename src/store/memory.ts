import type { FindingKind } from '../domain/words.ts';
import type { Store } from './open-store.ts';

interface KeptFinding {
  readonly schema: string | null;
  readonly table: string | null;
  readonly columns: readonly string[];
  readonly evidence: Readonly<Record<string, unknown>>;
  readonly open: boolean;
  readonly firstSeenAt: Date;
}

interface KeptTable {
  readonly schema: string;
  readonly name: string;
  readonly liveRows: number;
  readonly deadRows: number;
  readonly totalBytes: number;
}

/** All findings of one kind, each as it was last seen: its evidence is what the kind remembers. */
export async function keptFindings(
  { prisma }: Store,
  databaseId: string,
  kind: FindingKind,
): Promise<KeptFinding[]> {
  const rows = await prisma.finding.findMany({
    where: { databaseId, kind },
    select: { schema: true, table: true, columns: true, evidence: true, open: true, firstSeenAt: true },
  });
  return rows.map((row) => ({ ...row, evidence: row.evidence as KeptFinding['evidence'] }));
}

/** The tables of the newest snapshot taken at that time or before; null when there is none. */
export async function keptTables(
  { prisma }: Store,
  databaseId: string,
  time: Date,
): Promise<KeptTable[] | null> {
  const snapshot = await prisma.snapshot.findFirst({
    where: { databaseId, takenAt: { lte: time } },
    orderBy: { takenAt: 'desc' },
    select: { id: true },
  });
  if (snapshot === null) return null;
  const rows = await prisma.tableSample.findMany({
    where: { snapshotId: snapshot.id },
    select: { schema: true, name: true, liveRows: true, deadRows: true, totalBytes: true },
  });
  return rows.map((row) => ({
    schema: row.schema,
    name: row.name,
    liveRows: Number(row.liveRows),
    deadRows: Number(row.deadRows),
    totalBytes: Number(row.totalBytes),
  }));
}
