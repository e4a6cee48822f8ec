import { describe, expect, test } from "vitest";
import { prettyJson, readJson, writeJson } from "./json";

describe("reading", () => {
  test.each<[string, unknown]>([
    ["18446744073709551617", 18446744073709551617n],
    ["-9223372036854775809", -9223372036854775809n],
    ["9007199254740991", 9007199254740991],
    ["9007199254740993", 9007199254740993n],
    ["[1.5, 1e300, 12345678901234567890.5, 1e20]", [1.5, 1e300, 12345678901234567890.5, 1e20]],
    [
      '{"a":[18446744073709551617,"18446744073709551617"]}',
      { a: [18446744073709551617n, "18446744073709551617"] },
    ],
    ['"\\"18446744073709551617\\\\"', '"18446744073709551617\\'],
    ['{"18446744073709551617":1}', { "18446744073709551617": 1 }],
    ["null", null],
  ])("%s", (text, value) => expect(readJson(text)).toEqual(value));

  test.each(["", "{", "01", "[18446744073709551617", "18446744073709551617 x"])("%s is no JSON", (text) =>
    expect(() => readJson(text)).toThrow(SyntaxError),
  );
});

test.each([
  { a: [18446744073709551617n, "x", null, { b: -9223372036854775809n }], "\u0000": 1 },
  18446744073709551617n,
  [[], {}, "\u0000123:5", '"'],
])("what is written is read as it was", (value) => {
  for (const indent of [0, 2]) expect(readJson(writeJson(value, indent))).toEqual(value);
});

test("numbers are written without quotes", () => {
  expect(writeJson({ a: 18446744073709551617n, b: "c" })).toBe('{"a":18446744073709551617,"b":"c"}');
});

describe("in lines", () => {
  test.each(['{"a":[1,{"b":"c:,[]{} \\" d"}],"e":{ },"f":[\n]}', "[]", '"x"', "[true, null]"])("%s", (text) =>
    expect(prettyJson(text)).toBe(JSON.stringify(JSON.parse(text), null, 2)),
  );

  test("values stay as they are written", () => {
    expect(prettyJson('{"a": 1.50, "a":18446744073709551617,"b":1E+2}')).toBe(
      '{\n  "a": 1.50,\n  "a": 18446744073709551617,\n  "b": 1E+2\n}',
    );
    expect(() => prettyJson("{")).toThrow(SyntaxError);
  });
});
