/** A short list that is shown whole and changed by dialogs: load, do, load again. */

import { errorText, toasts } from "../toasts.svelte";

export class Editing<T> {
  rows = $state.raw<T[] | null>(null);
  error = $state("");
  busy = $state(false);

  constructor(private readonly fetch: () => Promise<T[]>) {
    void this.load();
  }

  async load(): Promise<void> {
    try {
      this.rows = await this.fetch();
      this.error = "";
    } catch (error) {
      this.error = errorText(error);
    }
  }

  /** Do something to the list; whether it was done. */
  async act(action: () => Promise<unknown>): Promise<boolean> {
    this.busy = true;
    try {
      await action();
      await this.load();
      return true;
    } catch (error) {
      toasts.fail(error);
      return false;
    } finally {
      this.busy = false;
    }
  }
}
