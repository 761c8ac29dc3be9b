// Starts the page that the address asks for: draws it when sections arrive, and lets its ages grow once a second.

import { AlertsPage } from "./alerts.js";
import { CityPage } from "./city.js";
import { DevicesPage } from "./devices.js";
import { EntityPage } from "./entity.js";
import { Feed } from "./feed.js";
import { Frame } from "./frame.js";
import { OverviewPage } from "./overview.js";
import { SearchPage } from "./search.js";
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
  if (path === "/devices") return new DevicesPage(redraw);
  if (path === "/search") return new SearchPage(redraw);
  const [, kind, id] = /^\/(devices|rooms)\/(.+)$/.exec(path) ?? [];
  if (kind) return new EntityPage(kind, decodeURIComponent(id), redraw);
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
  if (page.loaded ?? true) document.body.dataset.ready = "true";
}

/** For pages that ask for their data themselves: it is there. */
function redraw() {
  tick();
  if (built) document.body.dataset.ready = "true";
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
