import { describe, expect, test } from "vitest";
import { HEAD_BYTES, isDocument, startOf, TAIL_BYTES, WHOLE_BYTES_MAX } from "./imports";

const fileOf = (start: string, size: number) =>
  new File([start, new Uint8Array(size - start.length).fill(49)], "a.csv");

describe("what a preview is sent", () => {
  test("is all of a small file", async () => {
    const file = fileOf("a,b\n", 100);
    expect(await startOf(file)).toEqual({ name: "a.csv", bytes: file, head: 100, whole: true });
  });

  test("is the first and the last bytes of a large table", async () => {
    const start = await startOf(fileOf("a,b\n", HEAD_BYTES * 3));
    expect(start?.head).toBe(HEAD_BYTES);
    expect(start?.bytes.size).toBe(HEAD_BYTES + TAIL_BYTES);
    expect(start?.whole).toBe(false);
  });

  test("has no byte twice", async () => {
    const start = await startOf(fileOf("a,b\n", HEAD_BYTES + 10));
    expect(start?.bytes.size).toBe(HEAD_BYTES + 10);
  });

  test("has no end of a packed file, which cannot be read alone", async () => {
    const packed = new File([new Uint8Array([0x1f, 0x8b]), new Uint8Array(HEAD_BYTES * 2)], "a.csv.gz");
    expect((await startOf(packed))?.bytes.size).toBe(HEAD_BYTES);
  });

  test.each(["PAR1", "ARROW1", "[1,", '{"a":\n'])("is all of what begins with %s", async (mark) => {
    expect((await startOf(fileOf(mark, HEAD_BYTES * 2)))?.whole).toBe(true);
    expect(await startOf(fileOf(mark, WHOLE_BYTES_MAX + 1))).toBeNull();
  });
});

test.each([
  ["[1]", true],
  [' {\n "a": 1}', true],
  ['{"a": 1}\n{"a": 2}', false],
  ["a,b", false],
])("%j is a document: %s", (text, is) => expect(isDocument(text)).toBe(is));
