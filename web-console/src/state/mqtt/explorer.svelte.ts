/** An MQTT client in this page, over WebSocket: what it is subscribed to, and the newest messages. */

import type { MqttClient as Client } from "mqtt";
import { mqttApi } from "../../api/mqtt";
import { session } from "../session.svelte";

/** Messages that are kept; older ones make room. */
const KEEP = 500;
/** What came meanwhile is shown at most so often. */
const SHOW_EVERY_MS = 150;
/** A token is used again for so long; it holds for some minutes. */
const TOKEN_MS = 120_000;
const AGAIN_MS = 2_000;
/** Reason codes of a SUBACK from here on refuse (MQTT 5 section 3.9.3). */
const REFUSED = 0x80;

export interface Message {
  id: number;
  ms: number;
  topic: string;
  payload: Uint8Array;
  qos: number;
  retain: boolean;
}

export type Link = "connecting" | "up" | "down";

export class Explorer {
  link = $state<Link>("connecting");
  /** Why the gateway let nobody in, or a filter was refused. */
  trouble = $state("");
  filters = $state.raw<{ filter: string; qos: number; refused: boolean }[]>([]);
  messages = $state.raw<Message[]>([]);
  paused = $state(false);
  /** Since the page was opened, also what was not kept. */
  total = $state(0);
  /** What came while the list was held. */
  held = $state(0);

  private client: Client | undefined;
  private waiting: Message[] = [];
  private timer: ReturnType<typeof setTimeout> | undefined;
  private next = 1;
  private token: { user: string; token: string; until: number } | undefined;
  private stopped = false;

  /** Connect, and connect again when the connection breaks, until the returned function is called. */
  start(): () => void {
    void this.connect();
    return () => {
      this.stopped = true;
      clearTimeout(this.timer);
      this.client?.end(true);
    };
  }

  subscribe(filter: string, qos: number): void {
    this.filters = [...this.filters.filter((one) => one.filter !== filter), { filter, qos, refused: false }];
    this.ask(filter, qos);
  }

  unsubscribe(filter: string): void {
    this.filters = this.filters.filter((one) => one.filter !== filter);
    if (this.client?.connected) this.client.unsubscribe(filter);
  }

  /** Resolves when the gateway has it (QoS 1: on disk). Throws what the gateway said against it. */
  async publish(topic: string, payload: string, qos: 0 | 1, retain: boolean): Promise<void> {
    if (!this.client?.connected) throw new Error("not connected");
    await this.client.publishAsync(topic, payload, { qos, retain });
  }

  clear(): void {
    this.messages = [];
    this.waiting = [];
    this.held = 0;
  }

  hold(paused: boolean): void {
    this.paused = paused;
    if (!paused) this.show();
  }

  private async credentials(): Promise<{ username?: string; password?: string }> {
    if (session.me?.open) return {};
    if (!this.token || this.token.until < Date.now()) {
      this.token = { ...(await mqttApi.token()), until: Date.now() + TOKEN_MS };
    }
    return { username: this.token.user, password: this.token.token };
  }

  private async connect(): Promise<void> {
    try {
      const [{ default: mqtt }, credentials] = await Promise.all([import("mqtt"), this.credentials()]);
      if (this.stopped) return;
      const url = `${location.origin.replace(/^http/, "ws")}/mqtt`;
      const client = mqtt.connect(url, {
        ...credentials,
        protocolVersion: 5,
        clientId: `console-${crypto.getRandomValues(new Uint32Array(2)).join("-")}`,
        // A new connection may need a new token.
        reconnectPeriod: 0,
        keepalive: 30,
        resubscribe: false,
        timerVariant: "native",
      });
      this.client = client;
      client.on("connect", () => {
        this.link = "up";
        this.trouble = "";
        for (const { filter, qos } of this.filters) this.ask(filter, qos);
      });
      client.on("message", (topic, payload, packet) =>
        this.take({
          id: this.next++,
          ms: Date.now(),
          topic,
          payload,
          qos: packet.qos,
          retain: packet.retain,
        }),
      );
      client.on("error", (error) => this.fail(error));
      client.on("disconnect", (packet) => (this.trouble = packet.properties?.reasonString ?? ""));
      client.on("close", () => this.again());
    } catch (error) {
      this.fail(error);
      this.again();
    }
  }

  private fail(error: unknown): void {
    this.trouble = error instanceof Error ? error.message : String(error);
    this.token = undefined;
  }

  private again(): void {
    if (this.stopped) return;
    this.link = "down";
    clearTimeout(this.timer);
    this.timer = setTimeout(() => void this.connect(), AGAIN_MS);
  }

  private ask(filter: string, qos: number): void {
    const client = this.client;
    if (!client?.connected) return;
    client.subscribe(filter, { qos: qos === 0 ? 0 : 1 }, (error, granted) => {
      const refused = Boolean(error) || Boolean(granted?.some((one) => one.qos >= REFUSED));
      this.filters = this.filters.map((one) => (one.filter === filter ? { ...one, refused } : one));
    });
  }

  private take(message: Message): void {
    this.total++;
    this.waiting.push(message);
    if (this.waiting.length > KEEP) this.waiting.splice(0, this.waiting.length - KEEP);
    if (this.paused) this.held++;
    else this.showing ??= setTimeout(() => this.show(), SHOW_EVERY_MS);
  }

  private showing: ReturnType<typeof setTimeout> | undefined;

  private show(): void {
    clearTimeout(this.showing);
    this.showing = undefined;
    if (this.paused) return;
    this.messages = [...this.waiting.reverse(), ...this.messages].slice(0, KEEP);
    this.waiting = [];
    this.held = 0;
  }
}
