/** The bytes of a message, for people. */

const HEX_ROW = 16;
/** What fits into a line. */
const PREVIEW_BYTES = 400;
const PREVIEW_HEX_BYTES = 24;

export function payloadBytes(reject: { payload: string; payload_base64?: string | null }): Uint8Array {
  if (reject.payload_base64 == null) return new TextEncoder().encode(reject.payload);
  return Uint8Array.from(atob(reject.payload_base64), (char) => char.charCodeAt(0));
}

/** null when the bytes are no UTF-8 or hold control characters. `cut`: the last character may have been cut off. */
export function asText(bytes: Uint8Array, cut = false): string | null {
  try {
    const text = new TextDecoder("utf-8", { fatal: true }).decode(bytes, { stream: cut });
    return /[\u0000-\u0008\u000b\u000c\u000e-\u001f]/.test(text) ? null : text;
  } catch {
    return null;
  }
}

/** Pairs of digits; in full with offsets, sixteen a row, and the printable characters beside. */
export function asHex(bytes: Uint8Array, full: boolean): string {
  const pairs = (part: Uint8Array) => [...part].map((byte) => byte.toString(16).padStart(2, "0")).join(" ");
  if (!full) return pairs(bytes);
  const rows: string[] = [];
  for (let at = 0; at < bytes.length; at += HEX_ROW) {
    const part = bytes.subarray(at, at + HEX_ROW);
    const printable = [...part]
      .map((byte) => (byte >= 32 && byte < 127 ? String.fromCharCode(byte) : "·"))
      .join("");
    rows.push(`${at.toString(16).padStart(6, "0")}  ${pairs(part).padEnd(HEX_ROW * 3 - 1)}  ${printable}`);
  }
  return rows.join("\n");
}

/** The beginning, for one line of a list: text where it is text, else hexadecimal. */
export function preview(bytes: Uint8Array): string {
  const start = bytes.subarray(0, PREVIEW_BYTES);
  return asText(start, true) ?? asHex(start.subarray(0, PREVIEW_HEX_BYTES), false);
}
