// Whether a city is well, and the words for it. Depends on the moment: a city falls silent without any message.

import { clockTime, durationText, momentText } from "./time.js";
import { NEEDS_ATTENTION, SEVERITY, place, plural, ruleTitle } from "./words.js";

/** States of a city, the worst first: this is the order of the wall. */
export const WORST_FIRST = ["critical", "silent", "major", "minor", "down", "waiting", "maintenance", "fine"];

const WELL = ["fine", "waiting"];

/** The state of a city: one of WORST_FIRST (waiting: not polled yet), with its shape and its words. */
export function judge(city, now, staleAfterSeconds) {
  if (!city.lastPoll) return { state: "waiting", shape: "waiting", text: "Waiting for the first poll" };
  const age = now - Date.parse(city.lastPoll);
  if (age > staleAfterSeconds * 1000)
    return { state: "silent", shape: "silent", text: `Not heard from for ${durationText(age)}` };
  if (city.incidents === 0) return quiet(city);
  const worst = Math.min(city.worstSeverity, 4);
  const state = worst === 1 ? "critical" : worst <= NEEDS_ATTENTION ? "major" : "minor";
  const word = SEVERITY[worst].toLowerCase();
  const text = city.incidents === 1 ? `1 ${word} incident` : `${plural(city.incidents, "incident")}, worst ${word}`;
  return { state, shape: `severity-${worst}`, text };
}

/** Nothing is open. That may be because nobody is to be notified, or no rule fires yet, which is not the same as being well. */
function quiet(city) {
  const down = unexplained(city);
  const kept = keptQuiet(city);
  if (down > 0) return { state: "down", shape: "down", text: place(`${plural(down, "device")} down, no incident`, kept) };
  if (kept) return { state: "maintenance", shape: "maintenance", text: kept };
  return { state: "fine", shape: "fine", text: "No open incidents" };
}

/** How many devices are down that planned maintenance does not explain. */
function unexplained({ devices, maintenance }) {
  return (devices.down ?? 0) - (maintenance ?? 0);
}

/** What is kept quiet in a city: "3 devices in maintenance · Device offline muted · 1 silence". Empty when nothing is. */
export function keptQuiet({ maintenance, muted, silences }) {
  return place(
    maintenance ? `${plural(maintenance, "device")} in maintenance` : null,
    muted.length > 1 ? `${muted.length} rules muted` : null,
    muted.length === 1 ? `${ruleTitle(muted[0])} muted` : null,
    silences ? plural(silences, "silence") : null,
  );
}

export function needsAttention({ state }) {
  return state === "silent" || state === "critical" || state === "major";
}

/** What is worst, by its name: "Singapore one-north has been down since 19:19 SGT". Null when nothing open calls for somebody. */
export function worstByName({ worst, cities }, now) {
  if (!worst || worst.severity > NEEDS_ATTENTION) return null;
  const city = cities.find(({ slug }) => slug === worst.cityId);
  const since = `since ${momentText(Date.parse(worst.startedAt), city.timeZone, now)}`;
  const own = (worst.entity === "city" ? null : (worst.name ?? worst.locationName)) ?? city.name;
  const name = own.includes(city.name) ? own : `${own} (${city.name})`;
  if (worst.signal === "offlineRatio" || worst.signal === "offline") return `${name} has been down ${since}`;
  return `${ruleTitle(worst.ruleId)}: ${name}, ${since}`;
}

/** A city that was polled and has fallen silent, in words. */
export function silentByName(city, now) {
  return `${city.name} has not been heard from since ${momentText(Date.parse(city.lastPoll), city.timeZone, now)}`;
}

/** How many cities need attention; the sentence at the top of the consolidated page when nothing is worse than the rest. */
export function headline(judgements) {
  const polled = judgements.filter(({ state }) => state !== "waiting");
  if (polled.length === 0) return "Waiting for the first poll";
  const count = judgements.filter(needsAttention).length;
  const all = judgements.length;
  if (count > 0) return `${count} of ${plural(all, "city", "cities")} ${count === 1 ? "needs" : "need"} attention`;
  const down = judgements.filter(({ state }) => state === "down").length;
  if (down > 0) return `No open incidents that call for anybody; devices are down in ${down} of ${plural(all, "city", "cities")}`;
  if (polled.length < all) return `${polled.length} of ${plural(all, "city", "cities")} polled, all well so far`;
  return all === 1 ? "The city is well" : `All ${all} cities are well`;
}

/** What is wrong in places that are not of the stack, which the sentence does not count: "Unassigned: 2 devices down". */
export function elsewhere(judged) {
  const strays = judged.filter(({ city, judgement }) => !city.declared && !WELL.includes(judgement.state));
  return place(...strays.map(({ city, judgement }) => `${city.name}: ${decapitalised(judgement.text)}`));
}

/** A sentence as the rest of another one. */
export function decapitalised(text) {
  return text.charAt(0).toLowerCase() + text.slice(1);
}

/** The sentence at the top of a city's page. */
export function cityHeadline(city, { state }) {
  if (state === "waiting") return `${city.name}: waiting for the first poll`;
  if (state === "silent") return `${city.name}: not heard from since ${clockTime(Date.parse(city.lastPoll), city.timeZone)}`;
  if (state === "down") return `${city.name}: no open incidents, ${plural(unexplained(city), "device")} down`;
  return state === "fine" ? `${city.name} is well` : `${city.name}: ${plural(city.incidents, "open incident")}`;
}
