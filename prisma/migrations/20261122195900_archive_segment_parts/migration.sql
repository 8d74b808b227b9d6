-- AlterTable
ALTER TABLE "archive_segment" ADD COLUMN     "batches" JSONB,
ADD COLUMN     "part" INTEGER NOT NULL DEFAULT 0;
