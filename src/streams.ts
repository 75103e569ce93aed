/** What compressed bytes stand for; null when they are broken, or stand for more than `limit` bytes. */
export async function inflate(
  bytes: Uint8Array,
  format: 'gzip' | 'deflate',
  limit: number,
): Promise<Uint8Array<ArrayBuffer> | null> {
  const stream = new Blob([new Uint8Array(bytes)])
    .stream()
    .pipeThrough(new DecompressionStream(format))
  return readUpTo(stream, limit).catch(() => null)
}

/** A stream's bytes; null, and no more of it is read, when there are more than `limit`. */
export async function readUpTo(
  stream: ReadableStream<Uint8Array>,
  limit: number,
): Promise<Uint8Array<ArrayBuffer> | null> {
  const chunks: Uint8Array[] = []
  let size = 0
  for await (const chunk of stream) {
    size += chunk.length
    if (size > limit) return null
    chunks.push(chunk)
  }
  const bytes = new Uint8Array(size)
  let at = 0
  for (const chunk of chunks) {
    bytes.set(chunk, at)
    at += chunk.length
  }
  return bytes
}
