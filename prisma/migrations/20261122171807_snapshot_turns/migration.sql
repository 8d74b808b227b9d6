-- AlterTable
ALTER TABLE "database" ADD COLUMN     "snapshotRetryAt" TIMESTAMPTZ(6),
ADD COLUMN     "snapshotTurnAt" TIMESTAMPTZ(6) NOT NULL DEFAULT CURRENT_TIMESTAMP;

-- AlterTable
ALTER TABLE "finding" ADD COLUMN     "suppressedUntil" TIMESTAMPTZ(6);

-- AlterTable
ALTER TABLE "snapshot" ADD COLUMN     "deadRows" BIGINT NOT NULL DEFAULT 0;

-- CreateIndex
CREATE INDEX "run_databaseId_endedAt_idx" ON "run"("databaseId", "endedAt" DESC);
