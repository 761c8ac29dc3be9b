// Starts the page that the address asks for: draws it when sections arrive, and lets its ages grow once a second.

import { AlertsPage } from "./alerts.js";
import { CityPage } from "./city.js";
import { Feed } from "./feed.js";
import { Frame } from "./frame.js";
import { OverviewPage } from "./overview.js";
import { RunClock } from "./time.js";
import { WallPage } from "./wall.js";

const clock = new RunClock();
const frame = new Frame();
const page = chosenPage(location.pathname);
const feed = new Feed(page.stream, draw);
let built = false;
document.body.dataset.page = page.name;

function chosenPage(path) {
  if (path === "/wall") return new WallPage();
  if (path === "/alerts") return new AlertsPage();
  if (path.startsWith("/cities/")) return new CityPage(decodeURIComponent(path.slice("/cities/".length)));
  return new OverviewPage();
}

function draw(names) {
  if (feed.data.clock) clock.set(feed.data.clock);
  if (!names.includes("clock") || !hasContent()) return tick();
  if (!built) {
    document.getElementById("main").replaceChildren(...page.nodes);
    built = true;
  }
  if (names.length > 1) page.draw(feed.data, clock.now(), new Set(names));
  tick();
  document.body.dataset.ready = "true";
}

function hasContent() {
  return feed.data.status !== undefined && feed.data.status.state !== "starting";
}

function tick() {
  const state = frame.tick(feed, clock, page.name);
  if (built) page.tick(feed.data, clock.now(), state);
}

setInterval(tick, 1000);
addEventListener("themechange", () => built && page.draw(feed.data, clock.now(), new Set(Object.keys(feed.data))));
