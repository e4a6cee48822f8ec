/** Something that a person asked for: it is under way, or it says why it could not be done. */

import { errorText } from "./toasts.svelte";

export class Attempt {
  busy = $state(false);
  problem = $state("");

  /** Whether it was done. One at a time: a second one meanwhile is not begun. */
  async run(action: () => Promise<unknown>): Promise<boolean> {
    if (this.busy) return false;
    this.busy = true;
    this.problem = "";
    try {
      await action();
      return true;
    } catch (error) {
      this.problem = errorText(error);
      return false;
    } finally {
      this.busy = false;
    }
  }

  forget(): void {
    this.problem = "";
  }
}
