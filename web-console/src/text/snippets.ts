/** Lines that a person copies into a terminal or an editor to send a thing's first message. */

import type { PropertyAffordance } from "../api/types";
import { writeJson } from "./json";

export interface Snippet {
  host: string;
  port: number;
  thing: string;
  /** null: none is needed. */
  token: string | null;
  payload: Record<string, unknown>;
}

const PROPERTIES_MAX = 2;

/** A payload that the thing's description would accept. */
export function examplePayload(properties: Record<string, PropertyAffordance>): Record<string, unknown> {
  const entries = Object.entries(properties).slice(0, PROPERTIES_MAX);
  if (entries.length === 0) return { temperature: 21.5 };
  return Object.fromEntries(entries.map(([name, property]) => [name, exampleOf(property)]));
}

function exampleOf(property: PropertyAffordance): unknown {
  if (property.enum?.length) return property.enum[0];
  if (property.type === "boolean") return true;
  if (property.type === "string") return "on";
  if (property.type === "object") return {};
  if (property.type === "array") return [];
  const [minimum, maximum] = [property.minimum, property.maximum].map((limit) => limit && Number(limit));
  const middle =
    minimum !== undefined && maximum !== undefined ? (minimum + maximum) / 2 : (minimum ?? maximum ?? 21.5);
  return property.type === "integer" ? Math.round(middle) : Math.round(middle * 10) / 10;
}

/** Within single quotes of a POSIX shell. */
const shell = (text: string) => `'${text.replaceAll("'", `'\\''`)}'`;

export function mosquittoLine({ host, port, thing, token, payload }: Snippet): string {
  const parts = [`mosquitto_pub -h ${host} -p ${port} -q 1`];
  if (token !== null) parts.push(`-u ${shell(thing)} -P ${shell(token)}`);
  parts.push(`-t ${shell(`things/${thing}/properties`)}`, `-m ${shell(writeJson(payload))}`);
  return parts.join(" \\\n  ");
}

/** JSON is Python but for three words. */
function python(value: unknown): string {
  if (value === true) return "True";
  if (value === false) return "False";
  if (value === null) return "None";
  if (Array.isArray(value)) return `[${value.map(python).join(", ")}]`;
  if (typeof value === "object") {
    return `{${Object.entries(value)
      .map(([name, one]) => `${JSON.stringify(name)}: ${python(one)}`)
      .join(", ")}}`;
  }
  return writeJson(value);
}

export function pythonLines({ host, port, thing, token, payload }: Snippet): string {
  const lines = [
    "import json",
    "import paho.mqtt.client as mqtt",
    "",
    `client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id=${JSON.stringify(thing)})`,
  ];
  if (token !== null)
    lines.push(`client.username_pw_set(${JSON.stringify(thing)}, ${JSON.stringify(token)})`);
  lines.push(
    `client.connect(${JSON.stringify(host)}, ${port})`,
    "client.loop_start()",
    `reading = ${python(payload)}`,
    `message = client.publish(${JSON.stringify(`things/${thing}/properties`)}, json.dumps(reading), qos=1)`,
    "message.wait_for_publish()",
    "client.disconnect()",
  );
  return lines.join("\n");
}
