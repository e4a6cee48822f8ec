/** Asks again and again while somebody looks. */

import { isAbort } from "../../api/client";

/** Calls `work` now and every so often until the returned function is called; one call at a time. */
export function poll(everyMs: number, work: (signal: AbortSignal) => Promise<void>): () => void {
  const aborter = new AbortController();
  let timer: ReturnType<typeof setTimeout> | undefined;

  async function turn(): Promise<void> {
    if (!document.hidden) {
      try {
        await work(aborter.signal);
      } catch (error) {
        if (!isAbort(error)) throw error;
      }
    }
    if (!aborter.signal.aborted) timer = setTimeout(() => void turn(), everyMs);
  }
  void turn();
  return () => {
    aborter.abort();
    clearTimeout(timer);
  };
}
