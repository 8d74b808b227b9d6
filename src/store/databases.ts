import { DeclutterError } from '../errors.ts';
import { ENDED_STATES } from '../domain/run.ts';
import type { Replica } from '../domain/database-inputs.ts';
import type { Environment, TlsMode } from '../domain/words.ts';
import { type Database, Prisma } from './client/client.ts';
import type { Store } from './open-store.ts';

/** A database under our care, as it is registered. */
export interface RegisteredDatabase {
  readonly id: string;
  readonly name: string;
  readonly host: string;
  readonly port: number;
  readonly database: string;
  readonly user: string;
  readonly passwordRef: string | null;
  readonly passwordBox: Buffer | null;
  readonly tls: TlsMode;
  readonly caRef: string | null;
  readonly environment: Environment;
  readonly allowSuperuser: boolean;
  readonly replicas: readonly Replica[];
  readonly systemIdentifier: string | null;
  readonly databaseOid: number | null;
  readonly serverVersion: string | null;
  readonly unreachable: string | null;
}

/** With the figures of the last snapshot; null before the first. */
export interface DatabaseSummary extends RegisteredDatabase {
  readonly sizeBytes: number | null;
  readonly wastedBytes: number | null;
  readonly snapshotAt: Date | null;
}

type Row = Database & LastFigures;

interface LastFigures {
  readonly lastSize: bigint | null;
  readonly lastWaste: bigint | null;
  readonly lastTakenAt: Date | null;
}

/** By name; one statement, however many there are. */
export async function listDatabases({ prisma }: Store): Promise<DatabaseSummary[]> {
  const rows = await prisma.$queryRaw<
    Row[]
  >`${withLastFigures(Prisma.sql`true`)} ORDER BY d.name COLLATE "C"`;
  return rows.map(summaryOf);
}

export async function findDatabase({ prisma }: Store, name: string): Promise<DatabaseSummary | null> {
  const [row] = await prisma.$queryRaw<Row[]>`${withLastFigures(Prisma.sql`d.name = ${name}`)}`;
  return row === undefined ? null : summaryOf(row);
}

const withLastFigures = (where: Prisma.Sql) => Prisma.sql`
  SELECT d.*, last."sizeBytes" AS "lastSize", last."wastedBytes" AS "lastWaste", last."takenAt" AS "lastTakenAt"
    FROM database d LEFT JOIN LATERAL (
      SELECT s."sizeBytes", s."wastedBytes", s."takenAt" FROM snapshot s
       WHERE s."databaseId" = d.id ORDER BY s."takenAt" DESC, s.id DESC LIMIT 1
    ) last ON true
   WHERE ${where}`;

export async function findDatabaseById({ prisma }: Store, id: string): Promise<RegisteredDatabase | null> {
  const row = await prisma.database.findUnique({ where: { id } });
  return row === null ? null : databaseOf(row);
}

export type NewDatabase = Omit<RegisteredDatabase, 'unreachable'> & { readonly createdBy: string };

/** @throws CONFLICT when the name is taken, or the database has one already */
export async function insertDatabase({ prisma }: Store, database: NewDatabase): Promise<void> {
  try {
    await prisma.database.create({ data: columnsOf(database) as Prisma.DatabaseUncheckedCreateInput });
  } catch (error) {
    if ((error as { code?: unknown }).code !== 'P2002') throw error;
    await refuseTaken({ prisma }, database, error);
    throw error;
  }
}

/** Under a second name a database would be out of reach of the holds and the environment of the first. @throws CONFLICT */
export async function refuseTaken(
  { prisma }: Pick<Store, 'prisma'>,
  { name, systemIdentifier, databaseOid }: Pick<NewDatabase, 'name' | 'systemIdentifier' | 'databaseOid'>,
  cause?: unknown,
): Promise<void> {
  const refuse = (message: string) => new DeclutterError('CONFLICT', message, {}, { cause });
  if ((await prisma.database.count({ where: { name } })) > 0)
    throw refuse(`A database named "${name}" is registered already.`);
  if (systemIdentifier === null || databaseOid === null) return;
  const same = await prisma.database.findFirst({
    where: { systemIdentifier, databaseOid: BigInt(databaseOid) },
    select: { name: true },
  });
  if (same === null) return;
  throw refuse(
    `This database is registered already, as "${same.name}" (the same system identifier and OID). ` +
      'A standby of it is named under replicas (updateDatabase); a copy made of its files cannot be told from it.',
  );
}

const STRICTNESS: readonly Environment[] = ['DEVELOPMENT', 'STAGING', 'PRODUCTION'];

/** @throws CONFLICT when the environment would be a less strict one while holds or runs rely on it */
export async function changeDatabase(
  { prisma }: Store,
  id: string,
  change: Partial<NewDatabase>,
): Promise<void> {
  await prisma.$transaction(async (tx) => {
    // A hold or run that comes meanwhile waits for this lock, or is seen.
    await tx.$queryRaw`SELECT id FROM database WHERE id = ${id}::uuid FOR UPDATE`;
    const before = await tx.database.findUniqueOrThrow({ where: { id } });
    const to = STRICTNESS.indexOf(change.environment ?? before.environment);
    if (to < STRICTNESS.indexOf(before.environment)) await refuseWhileProtected(tx, before);
    await tx.database.update({ where: { id }, data: columnsOf(change) });
  });
}

async function refuseWhileProtected(tx: Prisma.TransactionClient, { id, name, environment }: Database) {
  const counts = {
    runs: await tx.run.count({ where: { databaseId: id, state: { notIn: [...ENDED_STATES] } } }),
    holds: await tx.hold.count({ where: { databaseId: id, releasedAt: null } }),
  };
  const kept = countsInWords(counts);
  if (kept === null) return;
  throw new DeclutterError(
    'CONFLICT',
    `"${name}" stays ${environment} while it has ${kept}. End the runs and release the holds first.`,
    counts,
  );
}

function countsInWords(counts: Readonly<Record<string, number>>): string | null {
  const some = Object.entries(counts).filter(([, count]) => count > 0);
  return some.length === 0 ? null : some.map(([noun, count]) => `${count} ${noun}`).join(', ');
}

/** null: it answers. */
export async function markUnreachable({ prisma }: Store, id: string, reason: string | null): Promise<void> {
  await prisma.database.updateMany({ where: { id }, data: { unreachable: reason } });
}

/** Takes the database and what belongs to it out of our care. @throws CONFLICT while runs, archives or holds speak of it */
export async function deleteDatabase({ prisma }: Store, id: string, name: string): Promise<void> {
  await prisma.$transaction(async (tx) => {
    const counts = {
      runs: await tx.run.count({ where: { databaseId: id } }),
      archives: await tx.archive.count({ where: { databaseId: id } }),
      holds: await tx.hold.count({ where: { databaseId: id, releasedAt: null } }),
    };
    const kept = countsInWords(counts);
    if (kept !== null) {
      throw new DeclutterError(
        'CONFLICT',
        `The database "${name}" has ${kept}; their history would be lost.`,
        counts,
      );
    }
    await tx.hold.deleteMany({ where: { databaseId: id } });
    await tx.plan.deleteMany({ where: { databaseId: id } });
    await tx.database.delete({ where: { id } });
  });
}

/** Which server and database the control store itself is: no target may be the same. */
export async function readStoreIdentity({
  prisma,
}: Store): Promise<{ systemIdentifier: string; databaseOid: number }> {
  const [row] = await prisma.$queryRaw<{ system: string; oid: string }[]>`
    SELECT (SELECT system_identifier::text FROM pg_control_system()) AS system, oid::text AS oid
      FROM pg_database WHERE datname = current_database()`;
  if (row === undefined) throw new TypeError('A connection is always to a database.');
  return { systemIdentifier: row.system, databaseOid: Number(row.oid) };
}

function columnsOf({ databaseOid, passwordBox, replicas, ...rest }: Partial<NewDatabase>): object {
  return {
    ...rest,
    ...(databaseOid === undefined ? {} : { databaseOid: databaseOid === null ? null : BigInt(databaseOid) }),
    ...(passwordBox === undefined
      ? {}
      : { passwordBox: passwordBox === null ? null : new Uint8Array(passwordBox) }),
    ...(replicas === undefined ? {} : { replicas: replicas.map(({ host, port }) => ({ host, port })) }),
  };
}

function databaseOf(row: Database): RegisteredDatabase {
  return {
    ...row,
    passwordBox: row.passwordBox === null ? null : Buffer.from(row.passwordBox),
    replicas: row.replicas as unknown as Replica[],
    databaseOid: row.databaseOid === null ? null : Number(row.databaseOid),
  };
}

function summaryOf({ lastSize, lastWaste, lastTakenAt, ...row }: Row): DatabaseSummary {
  return {
    ...databaseOf(row),
    sizeBytes: lastSize === null ? null : Number(lastSize),
    wastedBytes: lastWaste === null ? null : Number(lastWaste),
    snapshotAt: lastTakenAt,
  };
}
