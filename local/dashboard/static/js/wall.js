// The wall: one screen for any number of cities, the worst first, nothing to scroll, and a headline that names the worst.

import { webexNote } from "./details.js";
import { element, icon, keyed, setAttribute, setIcon, setText } from "./dom.js";
import { WORST_FIRST, decapitalised, elsewhere, headline, judge, needsAttention, silentByName, worstByName } from "./judgement.js";
import { hero } from "./parts.js";
import { clockTime } from "./time.js";
import { wallLayout } from "./wall_layout.js";
import { place, plural } from "./words.js";

export class WallPage {
  name = "wall";
  stream = "/events?view=wall";

  constructor() {
    document.title = "Wall · RoomPulse";
    this.sentence = element("h1", { class: "sentence" });
    this.summary = element("p", { class: "summary" });
    this.grid = element("ul", { class: "wall", "aria-label": "Cities, the worst first" });
    this.counts = [0, 0];
    this.webex = webexNote();
    this.nodes = [hero(this.sentence, this.summary, this.webex.node), this.grid];
    new ResizeObserver(() => this.#layOut()).observe(this.grid);
  }

  draw() {} // all of it depends on the moment

  tick(data, now, state) {
    const live = state === "live";
    const judged = worstFirst(data, live ? now : null);
    const declared = judged.filter(({ city }) => city.declared);
    const named = byName(declared, data, now);
    const counted = headline(declared.map(({ judgement }) => judgement));
    setText(this.sentence, live ? (named ?? counted) : `As of ${asOf(data)}: ${named ?? decapitalised(counted)}`);
    setText(this.summary, place(named && counted, elsewhere(judged), totals(judged)));
    this.webex.update(data.webexStatus, "UTC", now);
    keyed(this.grid, judged, ({ city }) => city.slug, wallTile);
    const troubled = judged.filter(({ judgement }) => needsAttention(judgement)).length;
    this.counts = [troubled, judged.length - troubled];
    this.#layOut();
  }

  #layOut() {
    const { clientWidth, clientHeight, style } = this.grid;
    if (!clientWidth || !clientHeight) return;
    for (const [name, value] of Object.entries(wallLayout(clientWidth, clientHeight, ...this.counts))) {
      style.setProperty(`--${name}`, name === "size" ? `${value}px` : value);
    }
  }
}

/** The cities with their judgements. Where `now` is null each is judged as of when it was last heard: only the page is behind. */
function worstFirst({ cities, run }, now) {
  return cities
    .map((city) => {
      const moment = now ?? (city.lastPoll ? Date.parse(city.lastPoll) : 0);
      return { city, judgement: judge(city, moment, run.staleAfterSeconds) };
    })
    .sort((one, other) => rank(one) - rank(other) || other.city.incidents - one.city.incidents);
}

function rank({ judgement }) {
  return WORST_FIRST.indexOf(judgement.state);
}

/** The worst by its name: an incident, or a city that nobody hears from. Null when nothing calls for somebody. */
function byName([first], data, now) {
  if (first?.judgement.state === "silent") return silentByName(first.city, now);
  const named = worstByName(data, now);
  const devices = data.worst?.devicesDown ?? data.worst?.devicesFolded;
  return named && devices ? `${named}, ${plural(devices, "device")}` : named;
}

function asOf({ pipeline }) {
  return pipeline.newest ? clockTime(Date.parse(pipeline.newest), "UTC") : "the start";
}

function totals(judged) {
  const polled = judged.map(({ city }) => city).filter(({ lastPoll }) => lastPoll);
  if (polled.length === 0) return null;
  const sum = (value) => polled.reduce((total, city) => total + (value(city) ?? 0), 0);
  const maintenance = sum((city) => city.maintenance);
  return place(
    `${sum((city) => city.roomsUsable).toLocaleString("en")} of ${plural(
      sum((city) => city.rooms),
      "room",
    )} usable`,
    maintenance ? `${plural(maintenance, "device")} in maintenance` : null,
  );
}

function wallTile() {
  const shape = icon("fine");
  const name = element("span", { class: "wall-name" });
  const link = element("a", { class: "wall-link" }, shape, name);
  const verdict = element("span", { class: "wall-verdict" });
  const rooms = element("span", { class: "wall-rooms" });
  const node = element("li", { class: "wall-tile" }, link, verdict, rooms);
  return {
    node,
    update({ city, judgement }) {
      setAttribute(node, "data-state", judgement.state);
      setAttribute(node, "data-troubled", needsAttention(judgement));
      setAttribute(link, "href", `/cities/${encodeURIComponent(city.slug)}`);
      setAttribute(link, "title", `${city.name}: ${judgement.text}`);
      setIcon(shape, judgement.shape);
      setText(name, city.name);
      setText(verdict, judgement.text);
      setText(rooms, !city.rooms ? "" : `${city.roomsUsable} of ${plural(city.rooms, "room")} usable`);
    },
  };
}
