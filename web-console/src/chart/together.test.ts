import { expect, test } from "vitest";
import type { HistoryRequest } from "../api/client";
import type { History } from "../api/types";
import { Together } from "./together";

const DAY = { thing: "boiler", from: "2026-11-22T00:00:00Z", to: "2026-11-23T00:00:00Z" };
const never = new AbortController().signal;

/** Answers at once; a property called "long" has more than one page. */
function platform() {
  const asked: HistoryRequest[] = [];
  const history = async (query: HistoryRequest): Promise<History> => {
    asked.push(query);
    const properties = query.property as string[];
    const series = properties.map((property) => ({
      thing: "boiler",
      property,
      unit: "",
      columns: ["time", "value"],
      points: [],
    }));
    return { series, next: properties.includes("long") ? "more" : null };
  };
  return { asked, together: new Together(history) };
}

test("what is asked at one moment is one request", async () => {
  const { asked, together } = platform();
  const found = await Promise.all(["a", "b", "c"].map((name) => together.ask(DAY, name, never)));
  expect(asked).toEqual([{ ...DAY, property: ["a", "b", "c"] }]);
  expect(found.map((one) => [one.series?.property, one.complete])).toEqual([
    ["a", true],
    ["b", true],
    ["c", true],
  ]);
});

test("other times, and later moments, are other requests", async () => {
  const { asked, together } = platform();
  await Promise.all([together.ask(DAY, "a", never), together.ask({ ...DAY, every: "1h" }, "b", never)]);
  await together.ask(DAY, "c", never);
  expect(asked.map((query) => query.property)).toEqual([["a"], ["b"], ["c"]]);
});

test("many properties are several requests", async () => {
  const { asked, together } = platform();
  const names = Array.from({ length: 20 }, (_, number) => `p${number}`);
  const found = await Promise.all(names.map((name) => together.ask(DAY, name, never)));
  expect(found.map((one) => one.series?.property)).toEqual(names);
  expect(asked.map((query) => query.property?.length)).toEqual([8, 8, 4]);
});

test("a property with more than a page does not cut off the others", async () => {
  const { asked, together } = platform();
  const found = await Promise.all(["a", "long"].map((name) => together.ask(DAY, name, never)));
  expect(found.map((one) => one.complete)).toEqual([true, false]);
  expect(asked.map((query) => query.property)).toEqual([["a", "long"], ["a"], ["long"]]);
});

test("a request ends when nobody waits for it any more", async () => {
  const signals: AbortSignal[] = [];
  const together = new Together((_, signal) => {
    signals.push(signal);
    return new Promise(() => {});
  });
  const [one, two] = [new AbortController(), new AbortController()];
  const given = [together.ask(DAY, "a", one.signal), together.ask(DAY, "b", two.signal)].map((answer) =>
    expect(answer).rejects.toThrow(),
  );
  await new Promise((resolve) => setTimeout(resolve));
  one.abort();
  expect(signals.map((signal) => signal.aborted)).toEqual([false]);
  two.abort();
  expect(signals.map((signal) => signal.aborted)).toEqual([true]);
  await Promise.all(given);
});

test("what nobody waits for any more is not asked", async () => {
  const { asked, together } = platform();
  const early = new AbortController();
  const given = expect(together.ask(DAY, "a", early.signal)).rejects.toThrow();
  early.abort();
  await Promise.all([given, together.ask(DAY, "b", never)]);
  expect(asked).toEqual([{ ...DAY, property: ["b"] }]);
});

test("an error is everybody's", async () => {
  const together = new Together(() => Promise.reject(new Error("busy")));
  const answers = await Promise.allSettled(["a", "b"].map((name) => together.ask(DAY, name, never)));
  expect(answers.map((one) => one.status)).toEqual(["rejected", "rejected"]);
});
