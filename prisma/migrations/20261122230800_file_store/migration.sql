-- CreateTable
CREATE TABLE "file_store" (
    "name" TEXT NOT NULL,
    "id" TEXT NOT NULL,

    CONSTRAINT "file_store_pkey" PRIMARY KEY ("name")
);
