/** JSON in which no digit is lost: integers that a number does not hold exactly are bigint. */

/** A string, or a number with its fraction and exponent apart. */
const TOKENS = /"(?:[^"\\]|\\.)*"|(-?\d+)(\.\d+)?([eE][+-]?\d+)?/g;
/** Shorter integers are exact as numbers. Most answers have none, and need no second look. */
const LONG = /(?:^|[[,:\s-])\d{16,}\s*(?:$|[\]},])/;

const mark = () => `\u0000${crypto.getRandomValues(new Uint32Array(2)).join("")}:`;

/** Throws SyntaxError, as JSON.parse does. */
export function readJson(text: string): unknown {
  if (!LONG.test(text)) return JSON.parse(text);
  // Nobody who wrote the text can know the mark, so no string of theirs becomes a number.
  const sign = mark();
  const marked = text.replace(
    TOKENS,
    (token: string, whole?: string, fraction?: string, exponent?: string) =>
      whole === undefined || fraction || exponent || Number.isSafeInteger(Number(whole))
        ? token
        : JSON.stringify(sign + whole),
  );
  return JSON.parse(marked, (_, value: unknown) =>
    typeof value === "string" && value.startsWith(sign) ? BigInt(value.slice(sign.length)) : value,
  );
}

export function writeJson(value: unknown, indent = 0): string {
  const sign = mark();
  const text = JSON.stringify(
    value,
    (_, one: unknown) => (typeof one === "bigint" ? `${sign}${one}` : one),
    indent,
  );
  const quoted = JSON.stringify(sign).slice(0, -1);
  return text.split(quoted).reduce((before, after) => before + after.replace('"', ""));
}

/** JSON in lines, each value as it is written. Throws SyntaxError for what is no JSON. */
export function prettyJson(text: string): string {
  JSON.parse(text);
  let depth = 0;
  const line = () => `\n${"  ".repeat(depth)}`;
  return text
    .replace(/"(?:[^"\\]|\\.)*"|\s+|[{[]\s*[}\]]|[{}[\],:]/g, (token) => {
      if (/^\s/.test(token)) return "";
      if (token.length > 1) return token.startsWith('"') ? token : token.replace(/\s/g, "");
      if (token === "{" || token === "[") {
        depth += 1;
        return token + line();
      }
      if (token === "}" || token === "]") {
        depth -= 1;
        return line() + token;
      }
      return token === "," ? token + line() : token === ":" ? ": " : token;
    })
    .trim();
}
