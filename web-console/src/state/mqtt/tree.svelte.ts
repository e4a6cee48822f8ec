/** The tree of topics as far as it has been unfolded, asked for again while somebody looks. */

import { isAbort } from "../../api/client";
import { mqttApi, type Level, type Levels } from "../../api/mqtt";

const PAGE = 100;

interface Branch {
  levels: Level[];
  total: number;
  next: string | null;
  /** How many levels somebody wants to see. */
  wanted: number;
}

export interface Row {
  level: Level;
  depth: number;
  /** The prefix of what is below; "" when nothing is. */
  below: string;
  unfolded: boolean;
  /** Behind this row of a branch there are so many more. */
  more: number;
  /** The prefix of the branch that it stands in. */
  branch: string;
}

export class TopicTree {
  sort = $state("name");
  search = $state("");
  topics = $state(0);
  unlisted = $state(0);
  loading = $state(true);
  error = $state.raw<unknown>(null);

  private branches = $state.raw<Record<string, Branch>>({});
  private unfolded = $state.raw<readonly string[]>([]);
  private generation = 0;

  readonly rows = $derived.by(() => {
    const rows: Row[] = [];
    this.collect("", 0, rows);
    return rows;
  });

  private collect(prefix: string, depth: number, rows: Row[]): void {
    const branch = this.branches[prefix];
    if (!branch) return;
    branch.levels.forEach((level, index) => {
      const below = level.children > 0 && !this.search ? `${level.topic}/` : "";
      const unfolded = below !== "" && this.unfolded.includes(below);
      rows.push({ level, depth, below, unfolded, more: 0, branch: prefix });
      if (unfolded) this.collect(below, depth + 1, rows);
      const last = rows.at(-1);
      if (last && index === branch.levels.length - 1 && branch.next !== null) {
        rows.push({ ...last, level, depth, more: branch.total - branch.levels.length, branch: prefix });
      }
    });
  }

  async toggle(prefix: string): Promise<void> {
    if (this.unfolded.includes(prefix)) {
      this.unfolded = this.unfolded.filter((one) => one !== prefix);
      return;
    }
    this.unfolded = [...this.unfolded, prefix];
    await this.fetch(prefix);
  }

  async more(prefix: string): Promise<void> {
    const branch = this.branches[prefix];
    if (!branch) return;
    this.branches = { ...this.branches, [prefix]: { ...branch, wanted: branch.wanted + PAGE } };
    await this.fetch(prefix);
  }

  /** The order or the search has changed. */
  async restart(): Promise<void> {
    this.generation++;
    for (const branch of Object.values(this.branches)) branch.wanted = PAGE;
    await this.refresh();
  }

  /** Ask again for all that is unfolded. */
  async refresh(signal?: AbortSignal): Promise<void> {
    const shown = this.search ? [""] : ["", ...this.unfolded.filter((prefix) => this.visible(prefix))];
    await Promise.all(shown.map((prefix) => this.fetch(prefix, signal)));
  }

  /** Whether all branches that a branch stands in are unfolded. */
  private visible(prefix: string): boolean {
    const above = prefix.slice(0, prefix.lastIndexOf("/", prefix.length - 2) + 1);
    return above === "" || (this.unfolded.includes(above) && this.visible(above));
  }

  private async fetch(prefix: string, signal?: AbortSignal): Promise<void> {
    const generation = this.generation;
    const wanted = this.branches[prefix]?.wanted ?? PAGE;
    try {
      let page: Levels | undefined;
      let levels: Level[] = [];
      do {
        const query = {
          search: this.search,
          sort: this.sort,
          order: this.sort === "name" ? "asc" : "desc",
          limit: Math.min(wanted - levels.length, 200),
          next: page?.next ?? null,
        };
        page = await mqttApi.topics(prefix, query, signal);
        levels = [...levels, ...page.levels];
      } while (page.next !== null && levels.length < wanted);
      if (generation !== this.generation) return;
      const branch = { levels, total: page.total, next: page.next, wanted };
      this.branches = { ...this.branches, [prefix]: branch };
      if (prefix === "") {
        this.topics = page.topics;
        this.unlisted = page.unlisted;
      }
      this.error = null;
    } catch (error) {
      if (isAbort(error)) return;
      this.error = error;
    }
    this.loading = false;
  }
}
