const PIECE_BYTES = 1 << 24;

/** A message to the server is made in memory once more, and has an end at 1 GB. */
export function* piecesOf(bytes: Buffer): Generator<Buffer> {
  for (let at = 0; at < bytes.length; at += PIECE_BYTES) yield bytes.subarray(at, at + PIECE_BYTES);
}
