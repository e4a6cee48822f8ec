/** One file on its way in: looked at, corrected, imported. It goes on while other pages are shown. */

import { api, ApiError, isAbort } from "../api/client";
import { startOf, type FileStart, type Imported, type ImportOptions, type Preview } from "../api/imports";
import { t, tn } from "../text/messages.svelte";
import { router } from "./router.svelte";
import { session } from "./session.svelte";
import { status } from "./status.svelte";
import { errorText, toasts } from "./toasts.svelte";

const READY_TRIES = 40;
const READY_WAIT_MS = 400;

class Importing {
  file = $state.raw<File | null>(null);
  /** What the person says of the file. */
  said = $state.raw<ImportOptions>({});
  preview = $state.raw<Preview | null>(null);
  looking = $state(false);
  sending = $state(false);
  /** Bytes that have gone. */
  sent = $state(0);
  problem = $state("");
  result = $state.raw<Imported | null>(null);
  /** The first thing of the file can be looked at. */
  ready = $state(false);

  private start = $state.raw<FileStart | null>(null);
  private aborter = new AbortController();
  private user = "";

  /** Whether there is nothing left to say, so that it may begin. */
  get open(): boolean {
    return !this.looking && !this.sending && !this.problem && this.preview?.understood.questions.length === 0;
  }

  /** Whether the preview saw the file's last rows beside its first. */
  get ends(): boolean {
    return this.start !== null && this.start.bytes.size > this.start.head;
  }

  /** Whose file it is: the next one to log in here shall not see it. */
  belongs(): boolean {
    return this.user === session.me?.user;
  }

  forget(): void {
    this.aborter.abort();
    this.file = this.preview = this.result = this.start = null;
    this.said = {};
    this.problem = "";
    this.looking = this.sending = this.ready = false;
    this.sent = 0;
  }

  async choose(files: FileList | null): Promise<void> {
    const [file, ...more] = files ?? [];
    if (!file) return;
    this.forget();
    this.user = session.me?.user ?? "";
    if (more.length) {
      this.problem = t("import.single");
      return;
    }
    this.file = file;
    const signal = (this.aborter = new AbortController()).signal;
    try {
      const start = await startOf(file);
      if (signal.aborted) return;
      this.start = start;
    } catch {
      // Folders, and files that have gone meanwhile.
      if (!signal.aborted) this.problem = t("import.unreadable", { name: file.name });
      return;
    }
    if (this.start) await this.look();
    else this.problem = t("import.large", { name: file.name });
  }

  /** Say more of the file, or (with undefined) take something back. */
  async say(more: { [Name in keyof ImportOptions]: ImportOptions[Name] | undefined }): Promise<void> {
    const said = Object.entries({ ...this.said, ...more }).filter(
      ([, value]) => value !== undefined && value !== "" && !(Array.isArray(value) && value.length === 0),
    );
    this.said = Object.fromEntries(said);
    await this.look();
  }

  private async look(): Promise<void> {
    const start = this.start;
    if (!start) return;
    this.aborter.abort();
    const signal = (this.aborter = new AbortController()).signal;
    this.looking = true;
    this.problem = "";
    try {
      const found = await api.previewImport(start, this.said, signal);
      this.preview = found.understood.zone_by === "platform" ? await this.here(start, found, signal) : found;
    } catch (error) {
      if (isAbort(error) || signal.aborted) return;
      this.problem = errorText(error);
    }
    if (!signal.aborted) this.looking = false;
  }

  /** Nobody says the zone: that of this browser is more likely than that of the machine that the platform runs on. */
  private async here(start: FileStart, found: Preview, signal: AbortSignal): Promise<Preview> {
    const { timeZone } = Intl.DateTimeFormat().resolvedOptions();
    try {
      return await api.previewImport(start, { ...this.said, zone: timeZone }, signal);
    } catch (error) {
      // A zone whose name the platform does not know.
      if (error instanceof ApiError && error.status === 400) return found;
      throw error;
    }
  }

  async send(): Promise<void> {
    if (!this.file || !this.preview || !this.open) return;
    const signal = (this.aborter = new AbortController()).signal;
    this.sending = true;
    this.sent = 0;
    try {
      const result = await api.importFile(
        this.file,
        this.preview.options,
        (bytes) => (this.sent = bytes),
        signal,
      );
      if (signal.aborted) return;
      this.result = result;
      if (router.route.name !== "import") toasts.say(tn("import.accepted", result.accepted));
      status.soon();
    } catch (error) {
      if (!isAbort(error)) this.problem = errorText(error);
      if (!isAbort(error) && router.route.name !== "import") toasts.fail(error);
    }
    this.sending = false;
    if (this.result) await this.wait(this.result, signal);
  }

  /** What is sent is kept, and so is what of the file had arrived. */
  stop(): void {
    this.aborter.abort();
    this.problem = t("import.stopped");
  }

  /** Another try after something has failed. */
  retry(): Promise<void> {
    return this.look();
  }

  /** Readings on disk are seen a little later. */
  private async wait(result: Imported, signal: AbortSignal): Promise<void> {
    const thing = result.things[0];
    if (thing === undefined) return;
    for (let left = READY_TRIES; left > 0 && !signal.aborted; left--) {
      const found = await this.isThere(thing, signal);
      if (found) break;
      await new Promise((resolve) => setTimeout(resolve, READY_WAIT_MS));
    }
    if (!signal.aborted) this.ready = true;
  }

  private async isThere(thing: string, signal: AbortSignal): Promise<boolean> {
    try {
      const described = await api.thing(thing, signal);
      if (!Object.keys(described.properties ?? {}).length) return false;
      return (await api.history({ thing, limit: 1 }, signal)).series.some((one) => one.points.length > 0);
    } catch {
      return false;
    }
  }
}

export const importing = new Importing();
