// What codes, signals and states are called on the page.

import { ISSUES } from "./issues.js";
import { SIGNALS } from "./signals.js";

export const SEVERITY = { 1: "Critical", 2: "Major", 3: "Minor", 4: "Info" };
export const HEALTH = { up: "up", issues: "issues", down: "down", asleep: "asleep", unknown: "unknown" };
export const HEALTHS = Object.keys(HEALTH);

/** A severity from here on (1 is the worst) calls for somebody. */
export const NEEDS_ATTENTION = 2;

export function signalName(signal) {
  const label = SIGNALS[signal]?.label ?? signal;
  return label.charAt(0).toUpperCase() + label.slice(1);
}

/** A value with its unit: "29.4 °C", "83 %", "3 days". */
export function signalValue(signal, value) {
  const { suffix, digits, share } = SIGNALS[signal] ?? { suffix: "", digits: 1, share: false };
  if (share) return `${Math.round(value * 100)}\u00a0%`;
  return `${value.toFixed(digits)}${suffix ? `\u00a0${suffix}` : ""}`;
}

/** "site-outage" → "Site outage" */
export function ruleTitle(ruleId) {
  const words = ruleId.replaceAll("-", " ");
  return words.charAt(0).toUpperCase() + words.slice(1);
}

export function plural(count, one, many = `${one}s`) {
  return `${count.toLocaleString("en")} ${count === 1 ? one : many}`;
}

/** What was measured, in words: "83 % of devices down", "29.4 °C". Empty when the title says it all. */
export function measured({ signal, value }) {
  if (value === null || signal === "offline") return "";
  const { label, phrases, isReading } = SIGNALS[signal] ?? { label: signal, phrases: [], isReading: false };
  if (phrases.length === 2) return phrases[value === 1 ? 0 : 1].replace("{}", value.toLocaleString("en"));
  if (phrases.length === 1) return phrases[0].replace("{}", signalValue(signal, value));
  return isReading ? signalValue(signal, value) : `${label} ${value}`;
}

/** How rooms are used now; null where none says so, which is not "none in use". */
export function inUse(roomsInUse, roomsReporting) {
  return roomsReporting ? `${roomsInUse.toLocaleString("en")} of ${plural(roomsReporting, "reporting room")} in use` : null;
}

/** What a device issue code means; codes without words of ours are shown as Webex gives them. */
export function errorCode(code) {
  return ISSUES[code] ?? code;
}

/** Parts of a place from the smallest to the largest, without repeats and gaps. */
export function place(...parts) {
  return [...new Set(parts.filter(Boolean))].join(" · ");
}
