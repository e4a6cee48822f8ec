import { describe, expect, test } from "vitest";
import { matchRoute, paths, safeTarget } from "./routes";

describe("addresses", () => {
  test.each([
    ["/", "overview", ""],
    ["/console/things", "things", ""],
    ["/console/things/", "things", ""],
    ["/console/things/pump-7", "thing", "pump-7"],
    ["/console/things/urn%3Aa%2Fb", "thing", "urn:a/b"],
    ["/console/things/a/b", "missing", ""],
    ["/console/things/%E0%A4%A", "missing", ""],
    ["/console/import", "import", ""],
    ["/console/rejects", "rejects", ""],
    ["/console/clients", "clients", ""],
    ["/console/explorer", "explorer", ""],
    ["/console/rejects/x", "missing", ""],
    ["/console/nowhere", "missing", ""],
    ["/consoles", "missing", ""],
  ])("%s is %s", (path, name, parameter) => expect(matchRoute(path)).toEqual({ name, parameter }));

  test("of a thing lead back to it", () => {
    expect(matchRoute(paths.thing("urn:x/y?z#1")).parameter).toBe("urn:x/y?z#1");
  });
});

describe("where the login leads", () => {
  const origin = "http://127.0.0.1:8484";

  test.each([
    ["/console/things?search=a", "/console/things?search=a"],
    [null, "/"],
    ["https://elsewhere.example/", "/"],
    ["//elsewhere.example/", "/"],
    ["/\\elsewhere.example/", "/"],
    ["javascript:alert(1)", "/"],
  ])("%s leads to %s", (to, target) => expect(safeTarget(to, origin)).toBe(target));
});
