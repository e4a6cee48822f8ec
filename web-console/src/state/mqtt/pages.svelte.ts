/** A long list of which one page is shown, and asked for again every few seconds. */

import { isAbort } from "../../api/client";
import { poll } from "./poll";

export interface Page<T> {
  rows: T[];
  total: number;
  next: string | null;
}

export class PagedList<T> {
  rows = $state.raw<T[]>([]);
  total = $state(0);
  loading = $state(true);
  error = $state.raw<unknown>(null);
  /** Where each page until this one begins. */
  private places = $state.raw<(string | null)[]>([null]);
  private next = $state.raw<string | null>(null);
  private asked = 0;

  constructor(
    readonly size: number,
    private readonly fetch: (next: string | null, signal?: AbortSignal) => Promise<Page<T>>,
  ) {}

  get first(): number {
    return (this.places.length - 1) * this.size + 1;
  }

  get hasPrevious(): boolean {
    return this.places.length > 1;
  }

  get hasNext(): boolean {
    return this.next !== null;
  }

  /** Begin anew: the question has changed. */
  restart(): Promise<void> {
    this.places = [null];
    return this.load();
  }

  forth(): Promise<void> {
    if (this.next !== null) this.places = [...this.places, this.next];
    return this.load();
  }

  back(): Promise<void> {
    if (this.hasPrevious) this.places = this.places.slice(0, -1);
    return this.load();
  }

  /** Ask for this page again. An answer that another question has overtaken is not shown. */
  async load(signal?: AbortSignal): Promise<void> {
    const turn = ++this.asked;
    try {
      const page = await this.fetch(this.places.at(-1) ?? null, signal);
      if (turn !== this.asked) return;
      this.rows = page.rows;
      this.total = page.total;
      this.next = page.next;
      this.error = null;
    } catch (error) {
      if (isAbort(error) || turn !== this.asked) return;
      this.error = error;
    }
    this.loading = false;
  }

  watch(everyMs: number): () => void {
    return poll(everyMs, (signal) => this.load(signal));
  }
}
