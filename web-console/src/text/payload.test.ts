import { expect, test } from "vitest";
import { asHex, asText, payloadBytes, preview } from "./payload";

test("text is shown as text", () => {
  const bytes = payloadBytes({ payload: '{"a": "温度"}' });
  expect(asText(bytes)).toBe('{"a": "温度"}');
});

test("what is no text is shown in hexadecimal", () => {
  const bytes = payloadBytes({ payload: "{�\u0000A", payload_base64: "e/8AQQ==" });
  expect(asText(bytes)).toBeNull();
  expect(asHex(bytes, false)).toBe("7b ff 00 41");
  expect(asHex(bytes, true)).toMatch(/^000000 {2}7b ff 00 41 +\{··A$/);
});

test("the full form has sixteen bytes a row", () => {
  const rows = asHex(new Uint8Array(33), true).split("\n");
  expect(rows.map((row) => row.slice(0, 6))).toEqual(["000000", "000010", "000020"]);
});

test("control characters are no text", () => {
  expect(asText(new Uint8Array([65, 1, 66]))).toBeNull();
  expect(asText(new Uint8Array([65, 9, 10, 66]))).toBe("A\t\nB");
});

test("a preview is text even where it cuts a character in two", () => {
  expect(preview(new TextEncoder().encode("温".repeat(1000)))).toBe("温".repeat(133));
  expect(preview(new Uint8Array([0, 255, 16]))).toBe("00 ff 10");
});
