/** Short notes at the edge of the page: what was done, or why it could not be. */

import { ApiError } from "../api/client";
import { t } from "../text/messages.svelte";

export interface Toast {
  id: number;
  text: string;
  bad: boolean;
}

const SHOW_MS = 5_000;
const SHOW_BAD_MS = 10_000;
const MAX = 4;

class Toasts {
  list = $state.raw<Toast[]>([]);
  private next = 1;

  say(text: string, bad = false): void {
    const toast = { id: this.next++, text, bad };
    this.list = [...this.list, toast].slice(-MAX);
    setTimeout(() => this.dismiss(toast.id), bad ? SHOW_BAD_MS : SHOW_MS);
  }

  fail(error: unknown): void {
    this.say(errorText(error), true);
  }

  dismiss(id: number): void {
    this.list = this.list.filter((toast) => toast.id !== id);
  }
}

export function errorText(error: unknown): string {
  if (error instanceof ApiError) {
    if (error.status === 0) return t("error.offline");
    return error.detail || error.title || t("error.status", { status: error.status });
  }
  return error instanceof Error ? error.message : String(error);
}

export const toasts = new Toasts();
