import { describe, expect, test } from "vitest";
import { examplePayload, mosquittoLine, pythonLines, type Snippet } from "./snippets";

const snippet: Snippet = {
  host: "127.0.0.1",
  port: 1883,
  thing: "pump-7",
  token: "it's",
  payload: { pressure: 2.5, on: true, note: null },
};

describe("the example payload", () => {
  test("keeps to the description", () => {
    const payload = examplePayload({
      speed: { type: "integer", minimum: 0, maximum: 3 },
      mode: { type: "string", enum: ["eco", "full"] },
      third: { type: "number" },
    });
    expect(payload).toEqual({ speed: 2, mode: "eco" });
  });

  test("shows something where nothing is described", () => {
    expect(examplePayload({})).toEqual({ temperature: 21.5 });
    expect(examplePayload({ x: { type: "boolean" } })).toEqual({ x: true });
  });
});

test("the shell line quotes what it is given", () => {
  const line = mosquittoLine(snippet);
  expect(line).toContain(`-u 'pump-7' -P 'it'\\''s'`);
  expect(line).toContain(`-m '{"pressure":2.5,"on":true,"note":null}'`);
});

test("without authentication no credentials are shown", () => {
  expect(mosquittoLine({ ...snippet, token: null })).not.toContain("-u");
  expect(pythonLines({ ...snippet, token: null })).not.toContain("username");
});

test("the Python lines are Python", () => {
  const text = pythonLines(snippet);
  expect(text).toContain('client.username_pw_set("pump-7", "it\'s")');
  expect(text).toContain('reading = {"pressure": 2.5, "on": True, "note": None}');
});
