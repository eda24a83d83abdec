/** Reads a request's body as bytes, bounded before it is read. Nothing here throws for what a client sends. */
import { problem, type Problem } from "./problems.ts";

export const BODY_BYTES_MAX = 256 * 1024;

export type RequestBytes =
  { readonly kind: "bytes"; readonly bytes: Uint8Array } | { readonly kind: "refused"; readonly problem: Problem };

/** The bytes of a body that says it is JSON. */
export async function readJsonBytes(request: Request): Promise<RequestBytes> {
  return unsupportedMediaType(request.headers) ?? (await readBytes(request));
}

/** The same where a body may be left out: without any bytes, nobody asks what type they have. */
export async function readOptionalJsonBytes(request: Request): Promise<RequestBytes> {
  const body = await readBytes(request);
  if (body.kind === "bytes" && body.bytes.byteLength === 0) return body;
  return unsupportedMediaType(request.headers) ?? body;
}

function unsupportedMediaType(headers: Headers): RequestBytes | null {
  const contentType = headers.get("content-type") ?? "";
  if (!/^application\/json\s*(;\s*charset="?utf-8"?\s*)?$/i.test(contentType.trim())) {
    return refused(problem("UNSUPPORTED_MEDIA_TYPE", "Send the body as `Content-Type: application/json`, in UTF-8."));
  }
  const encoding = headers.get("content-encoding");
  if (encoding !== null && encoding.toLowerCase() !== "identity") {
    return refused(problem("UNSUPPORTED_MEDIA_TYPE", "Send the body without a Content-Encoding."));
  }
  return null;
}

/** Content-Length is only believed when it already says too much: a body may be longer, or chunked. */
async function readBytes(request: Request): Promise<RequestBytes> {
  if (Number(request.headers.get("content-length") ?? 0) > BODY_BYTES_MAX) return tooLarge();
  if (request.body === null) return { kind: "bytes", bytes: new Uint8Array() };
  const reader = request.body.getReader();
  const chunks: Uint8Array[] = [];
  let size = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return { kind: "bytes", bytes: Buffer.concat(chunks) };
    size += value.byteLength;
    if (size > BODY_BYTES_MAX) {
      await reader.cancel();
      return tooLarge();
    }
    chunks.push(value);
  }
}

function tooLarge(): RequestBytes {
  return refused(problem("PAYLOAD_TOO_LARGE", `A body may have at most ${BODY_BYTES_MAX} bytes. Send less.`));
}

function refused(content: Problem): RequestBytes {
  return { kind: "refused", problem: content };
}
