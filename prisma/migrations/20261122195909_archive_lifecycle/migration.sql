-- CreateEnum
CREATE TYPE "ArchiveState" AS ENUM ('KEPT', 'EXPIRING', 'EXPIRED');

-- AlterTable
ALTER TABLE "archive" ADD COLUMN     "checkedAt" TIMESTAMPTZ(6),
ADD COLUMN     "expiredAt" TIMESTAMPTZ(6),
ADD COLUMN     "expiryRunId" UUID,
ADD COLUMN     "problems" JSONB NOT NULL DEFAULT '[]',
ADD COLUMN     "state" "ArchiveState" NOT NULL DEFAULT 'KEPT',
ADD COLUMN     "verifyAfter" TIMESTAMPTZ(6);
