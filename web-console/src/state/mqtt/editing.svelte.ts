/** A short list that is shown whole and changed by dialogs: load, do, load again. */

import { errorText } from "../toasts.svelte";

export class Editing<T> {
  rows = $state.raw<T[] | null>(null);
  error = $state("");

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

  /** Change the list. Throws what was said against it. */
  async change(action: () => Promise<unknown>): Promise<void> {
    await action();
    await this.load();
  }
}
