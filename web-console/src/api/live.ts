/** The live feed (`/api/live`, server-sent events): new values as they arrive, while somebody looks. */

import { readJson } from "../text/json";
import { address } from "./client";
import type { CurrentValue } from "./types";

export interface LiveFilter {
  things?: readonly string[];
  properties?: readonly string[];
}

/** A connection that was refused for good is tried again after this long. */
const RETRY_MS = 5_000;

/**
 * Call `onValues` with each batch until the returned function is called. The connection is closed while the page is
 * hidden, and `onState` says whether it stands. `onBreak` says that values may have been missed.
 */
export function watchLive(
  filter: LiveFilter,
  onValues: (values: CurrentValue[]) => void,
  onState: (connected: boolean) => void = () => {},
  onBreak: () => void = () => {},
): () => void {
  let source: EventSource | undefined;
  let opened = false;
  let retry: ReturnType<typeof setTimeout> | undefined;

  const open = () => {
    close();
    source = new EventSource(address("/api/live", { thing: filter.things, property: filter.properties }));
    source.addEventListener("open", () => {
      onState(true);
      if (opened) onBreak();
      opened = true;
    });
    source.addEventListener("gap", onBreak);
    source.addEventListener("values", (event: MessageEvent<string>) => {
      onValues((readJson(event.data) as { values: CurrentValue[] }).values);
    });
    source.addEventListener("error", () => {
      onState(false);
      // The browser itself comes back after a broken connection, not after an answer such as 503.
      if (source?.readyState === EventSource.CLOSED) retry = setTimeout(open, RETRY_MS);
    });
  };
  const close = () => {
    clearTimeout(retry);
    source?.close();
    source = undefined;
  };
  const onVisibility = () => (document.hidden ? close() : open());

  if (!document.hidden) open();
  document.addEventListener("visibilitychange", onVisibility);
  return () => {
    document.removeEventListener("visibilitychange", onVisibility);
    close();
  };
}
