// What surrounds every page: how fresh the data is (loudly when it isn't), simulated time, open alerts, dark and light.

import { setAttribute, setText } from "./dom.js";
import { clockTime, durationText } from "./time.js";
import { plural } from "./words.js";

const PILL = { loading: "Connecting", live: "Live", stale: "Stale", disconnected: "Disconnected" };

export class Frame {
  constructor() {
    this.pill = document.getElementById("pill-text");
    this.banner = document.getElementById("banner-text");
    this.bannerAge = document.getElementById("banner-age");
    this.simulated = document.getElementById("simulated");
    this.badge = document.getElementById("open-alerts");
    document.getElementById("theme").addEventListener("click", switchTheme);
  }

  /** Bring it up to date; returns the state of the page: loading, live, stale or disconnected. */
  tick(feed, clock, pageName) {
    const { data } = feed;
    const age = ageOfData(data, clock.now());
    const state = stateOf(feed, age);
    document.body.dataset.state = state;
    const known = age !== null && state !== "loading";
    setText(
      this.pill,
      known ? `${PILL[state]} · ${state === "live" ? `data ${durationText(age)} old` : durationText(age)}` : PILL[state],
    );
    setText(this.banner, bannerText(state, data));
    setText(this.bannerAge, known ? `What you see is ${durationText(age)} old.` : "");
    this.#simulatedTime(clock);
    this.#openAlerts(data);
    for (const link of document.querySelectorAll("nav [data-page]")) {
      setAttribute(link, "aria-current", link.dataset.page === pageName ? "page" : null);
    }
    return state;
  }

  #simulatedTime(clock) {
    this.simulated.hidden = clock.speed === 1 && clock.aheadMinutes <= 0;
    const pace = clock.speed === 1 ? `${durationText(clock.aheadMinutes * 60_000)} ahead` : `×${clock.speed}`;
    setText(this.simulated, `simulated time, ${pace}`);
  }

  #openAlerts(data) {
    const open = data.counts?.incidents ?? 0;
    this.badge.hidden = open === 0;
    setText(this.badge, open.toLocaleString("en"));
    setAttribute(this.badge, "aria-label", `${plural(open, "open incident")}`);
  }
}

/** How old the newest observation of all is, in milliseconds of the run; null before the first. */
export function ageOfData(data, now) {
  const newest = data.pipeline?.newest;
  return newest ? Math.max(0, now - Date.parse(newest)) : null;
}

function stateOf(feed, age) {
  const { data } = feed;
  if (!feed.connected) return data.status ? "disconnected" : "loading";
  if (data.status.state === "starting") return "loading";
  const old = age !== null && age > data.run.staleAfterSeconds * 1000;
  return data.status.state === "failing" || old ? "stale" : "live";
}

/** Read out when it appears, so it must stay the same from then on: how old the data is stands beside it. */
function bannerText(state, data) {
  if (state === "disconnected") return "No connection to RoomPulse; trying again every few seconds.";
  if (state !== "stale") return "";
  if (data.status.state === "failing") {
    return `No new data can be read since ${clockTime(Date.parse(data.status.since), "UTC")}: ${data.status.text}.`;
  }
  return `No new data since ${clockTime(Date.parse(data.pipeline.newest), "UTC")}: the polls or the pipeline have stopped.`;
}

function switchTheme() {
  const root = document.documentElement;
  root.dataset.theme = root.dataset.theme === "dark" ? "light" : "dark";
  try {
    localStorage.setItem("theme", root.dataset.theme);
  } catch {
    // storage is switched off: the choice lasts until the page is left
  }
}

// Charts are drawn with the colours of the moment, so whatever changes the theme is passed on.
new MutationObserver(() => dispatchEvent(new Event("themechange"))).observe(document.documentElement, {
  attributeFilter: ["data-theme"],
});
