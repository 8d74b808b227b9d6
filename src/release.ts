/**
 * Gives the memory of these bytes back at once. Memory outside the heap is otherwise returned at the next full collection, which
 * is rare in a worker that keeps next to nothing: megabytes a batch would pile up. Afterwards they are empty, their length too.
 */
export function release(bytes: Buffer): void {
  const memory = bytes.buffer;
  // small buffers share a pool with others
  if (memory instanceof ArrayBuffer && memory.byteLength > Buffer.poolSize) memory.transfer(0);
}
