import { expect, test } from "vitest";
import { localized } from "./localized";

const titles = { en: "Air station", "zh-CN": "空气监测站" };

test("a title is shown in the viewer's language", () => {
  expect(localized("Air station", titles, "zh")).toBe("空气监测站");
  expect(localized("Air station", titles, "en")).toBe("Air station");
});

test("without a translation the default holds", () => {
  expect(localized("Air station", undefined, "zh")).toBe("Air station");
  expect(localized("Air station", { en: "Air station" }, "zh")).toBe("Air station");
});

test("a renamed thing keeps its new name in every language", () => {
  expect(localized("On the roof", titles, "zh")).toBe("On the roof");
});
