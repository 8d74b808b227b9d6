/** "12 MB", for events. */
export const sized = (bytes: number): string =>
  bytes < 10_000_000 ? `${Math.round(bytes / 1_000)} kB` : `${Math.round(bytes / 1_000_000)} MB`;
