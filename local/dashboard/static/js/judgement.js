// Whether a city is well, and the words for it. Depends on the moment: a city falls silent without any message.

import { clockTime, durationText, momentText } from "./time.js";
import { NEEDS_ATTENTION, SEVERITY, plural, ruleTitle } from "./words.js";

/** The state of a city: waiting (not polled yet), silent, critical, major, minor or fine; with its shape and its words. */
export function judge(city, now, staleAfterSeconds) {
  if (!city.lastPoll) return { state: "waiting", shape: "waiting", text: "Waiting for the first poll" };
  const age = now - Date.parse(city.lastPoll);
  if (age > staleAfterSeconds * 1000)
    return { state: "silent", shape: "silent", text: `Not heard from for ${durationText(age)}` };
  if (city.incidents === 0) return { state: "fine", shape: "fine", text: "No open incidents" };
  const worst = Math.min(city.worstSeverity, 4);
  const state = worst === 1 ? "critical" : worst <= NEEDS_ATTENTION ? "major" : "minor";
  const word = SEVERITY[worst].toLowerCase();
  const text = city.incidents === 1 ? `1 ${word} incident` : `${plural(city.incidents, "incident")}, worst ${word}`;
  return { state, shape: `severity-${worst}`, text };
}

export function needsAttention({ state }) {
  return state === "silent" || state === "critical" || state === "major";
}

/** What is worst, by its name: "Singapore one-north has been down since 19:19 SGT". Null when nothing open calls for somebody. */
export function worstByName({ openAlerts, cities }, now) {
  const declared = new Map(cities.filter((city) => city.declared).map((city) => [city.slug, city]));
  const worst = openAlerts.find(({ cityId, severity }) => severity <= NEEDS_ATTENTION && declared.has(cityId));
  if (!worst) return null;
  const city = declared.get(worst.cityId);
  const since = `since ${momentText(Date.parse(worst.startedAt), city.timeZone, now)}`;
  const name = (worst.entity === "city" ? null : (worst.name ?? worst.locationName)) ?? city.name;
  if (worst.signal === "offlineRatio" || worst.signal === "offline") return `${name} has been down ${since}`;
  return `${ruleTitle(worst.ruleId)}: ${name}, ${since}`;
}

/** How many cities need attention; the sentence at the top of the consolidated page when nothing is worse than the rest. */
export function headline(judgements) {
  const polled = judgements.filter(({ state }) => state !== "waiting");
  if (polled.length === 0) return "Waiting for the first poll";
  const count = judgements.filter(needsAttention).length;
  const all = judgements.length;
  if (count > 0) return `${count} of ${plural(all, "city", "cities")} ${count === 1 ? "needs" : "need"} attention`;
  if (polled.length < all) return `${polled.length} of ${plural(all, "city", "cities")} polled, all well so far`;
  return all === 1 ? "The city is well" : `All ${all} cities are well`;
}

/** The sentence at the top of a city's page. */
export function cityHeadline(city, { state }) {
  if (state === "waiting") return `${city.name}: waiting for the first poll`;
  if (state === "silent") return `${city.name}: not heard from since ${clockTime(Date.parse(city.lastPoll), city.timeZone)}`;
  return state === "fine" ? `${city.name} is well` : `${city.name}: ${plural(city.incidents, "open incident")}`;
}
