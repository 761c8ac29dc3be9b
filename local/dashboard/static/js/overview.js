// The consolidated page: a sentence, open incidents, a card per city, the last hour, the worst rooms.

import { color, dashOf, lineChart } from "./chart.js";
import { element, icon, keyed, setAttribute, setIcon, setText } from "./dom.js";
import { headline, judge } from "./judgement.js";
import { growAges, healthBar, incidentList, panel, pollText, sparkline } from "./parts.js";
import { clockTime, durationText, momentText } from "./time.js";
import { HEALTH, errorCode, place, plural } from "./words.js";

const LINES_SHOWN = 6;
const HOUR = 3_600_000;

export class OverviewPage {
  name = "overview";
  stream = "/events";

  constructor() {
    this.sentence = element("h1", { class: "sentence" });
    this.summary = element("p", { class: "summary" });
    this.incidents = incidentList("incidents", { linked: true, none: "Nothing is open" });
    this.cards = element("ul", { class: "cards" });
    this.down = lineChart("Devices down", "by city, minutes ago");
    this.usable = lineChart("Rooms usable", "share of each city's rooms, minutes ago");
    this.rooms = worstRooms();
    this.nodes = [
      element("div", { class: "hero", role: "status", "aria-live": "polite" }, this.sentence, this.summary),
      element("div", { class: "now" }, this.incidents.node, panel("cities", "Cities", this.cards)),
      panel("trends", "The last hour", element("div", { class: "charts" }, this.down.node, this.usable.node)),
      panel("worst-rooms", "Worst rooms", this.rooms.node),
    ];
  }

  draw(data, now, changed) {
    const cities = new Map(data.cities.map((city) => [city.slug, city]));
    const city = (slug) => cities.get(slug) ?? { name: slug, timeZone: "UTC" };
    this.cardOf = keyed(this.cards, data.cities, ({ slug }) => slug, cityCard);
    this.incidents.update(data.openAlerts, { total: data.counts.incidents, now, city });
    if (changed.has("trends") || changed.has("cities")) this.#drawTrends(data, now);
    this.rooms.update(data.worstRooms, { now, city });
  }

  tick(data, now, state) {
    const judgements = data.cities.map((city) => judge(city, now, data.run.staleAfterSeconds));
    const current = state === "live";
    setText(this.sentence, current ? headline(judgements) : `As of ${asOf(data)}: ${decapitalised(headline(lastKnown(data)))}`);
    setText(this.summary, summary(data, judgements));
    data.cities.forEach(({ slug }, at) => this.cardOf.get(slug).judge(judgements[at], now, data.trends[slug]));
    growAges(now);
  }

  #drawTrends(data, now) {
    const lines = worstLines(data);
    const frame = { from: now - HOUR, to: now, xLabel: (moment) => minutesAgo(now - moment), bands: [] };
    const largest = Math.max(4, ...lines.flatMap(({ trend }) => trend.down.map((down) => down ?? 0)));
    this.down.draw({ ...frame, yLabel: (value) => String(Math.round(value)), yMax: niceMaximum(largest), lines: lines.map((line) => chartLine(line, line.trend.down, (value) => String(Math.round(value)))) });
    this.usable.draw({ ...frame, yLabel: percent, yMax: 100, lines: lines.map((line) => chartLine(line, usableShare(line.trend), percent)) });
  }
}

/** The sentence as it would have been when the data was new: it mustn't call cities silent because the page itself is behind. */
function lastKnown(data) {
  return data.cities.map((city) => judge(city, city.lastPoll ? Date.parse(city.lastPoll) : 0, data.run.staleAfterSeconds));
}

function asOf(data) {
  return data.pipeline.newest ? clockTime(Date.parse(data.pipeline.newest), "UTC") : "the start";
}

function decapitalised(text) {
  return text.charAt(0).toLowerCase() + text.slice(1);
}

function summary(data, judgements) {
  const polled = data.cities.filter((city) => city.lastPoll);
  if (polled.length === 0) return `The first results come within ${durationText(data.run.pollSeconds * 1000 + 5000)}.`;
  const sum = (value) => polled.reduce((total, city) => total + (value(city) ?? 0), 0);
  const silent = judgements.filter(({ state }) => state === "silent").length;
  return place(
    `${sum((city) => city.roomsUsable).toLocaleString("en")} of ${sum((city) => city.rooms).toLocaleString("en")} rooms usable`,
    `${sum((city) => city.devices.down).toLocaleString("en")} of ${sum((city) => city.devices.total).toLocaleString("en")} devices down`,
    plural(data.counts.incidents, "open incident"),
    silent ? `${plural(silent, "city", "cities")} not heard from` : null,
  );
}

function cityCard() {
  const name = element("a", {});
  const local = element("span", { class: "local" });
  const shape = icon("fine");
  const verdict = element("span", {});
  const usable = element("b", {});
  const rooms = element("span", {});
  const spark = sparkline();
  const health = healthBar();
  const poll = element("span", {});
  const node = element(
    "li",
    { class: "card" },
    element("div", { class: "card-head" }, element("h3", {}, name), local),
    element("p", { class: "verdict" }, shape, verdict),
    element("div", { class: "card-figures" }, element("p", { class: "usable" }, usable, rooms), spark.node),
    health.node,
    element("p", { class: "poll" }, poll),
  );
  let shown = null;
  return {
    node,
    update(city) {
      shown = city;
      setText(name, city.name);
      setAttribute(name, "href", `/cities/${encodeURIComponent(city.slug)}`);
      setText(usable, city.roomsUsable === null ? "–" : city.roomsUsable.toLocaleString("en"));
      setText(rooms, ` of ${city.rooms === null ? "–" : city.rooms.toLocaleString("en")} rooms usable`);
      health.update(city.devices);
    },
    /** What depends on the moment rather than on new data. */
    judge(judgement, now, trend) {
      setAttribute(node, "data-state", judgement.state);
      setIcon(shape, judgement.shape);
      setText(verdict, judgement.text);
      setText(local, clockTime(now, shown.timeZone));
      setText(poll, pollText(shown, now));
      spark.update(trend, now);
    },
  };
}

/** The cities with most devices down now; more lines than these nobody can tell apart. */
function worstLines(data) {
  const lines = data.cities.map((city, index) => ({ city, index, trend: data.trends[city.slug] })).filter(({ trend }) => trend);
  const latest = ({ trend }) => trend.down.at(-1) ?? 0;
  const kept = [...lines].sort((one, other) => latest(other) - latest(one)).slice(0, LINES_SHOWN);
  return lines.filter((line) => kept.includes(line));
}

function chartLine({ city, index, trend }, values, text) {
  const points = trend.at.map((at, position) => [Date.parse(at), values[position]]);
  const last = values.at(-1);
  return { name: city.name, latest: last === null || last === undefined ? "–" : text(last), points, color: color(`series-${(index % 6) + 1}`), dash: dashOf(index) };
}

function usableShare(trend) {
  return trend.rooms.map((rooms, at) => (rooms && trend.roomsUsable[at] !== null ? (100 * trend.roomsUsable[at]) / rooms : null));
}

function percent(value) {
  return `${Math.round(value)} %`;
}

function niceMaximum(value) {
  const step = 10 ** Math.floor(Math.log10(value));
  return Math.ceil(value / step) * step;
}

function minutesAgo(milliseconds) {
  const minutes = Math.round(milliseconds / 60_000);
  return minutes <= 0 ? "now" : `${minutes}`;
}

/** Rooms that aren't well, the worst and longest first. */
function worstRooms() {
  const context = { now: 0, city: null };
  const body = element("tbody", {});
  const head = ["State", "Room", "Where", "Since", "Devices"].map((title) => element("th", { scope: "col" }, title));
  const table = element("table", { class: "rooms-table" }, element("thead", {}, element("tr", {}, ...head)), body);
  const empty = element("p", { class: "empty" }, icon("fine"), "Every room is well");
  return {
    node: element("div", { class: "table-frame" }, table, empty),
    update(rooms, { now, city }) {
      Object.assign(context, { now, city });
      keyed(body, rooms, ({ key }) => key, () => worstRoomRow(context));
      table.hidden = rooms.length === 0;
      empty.hidden = rooms.length > 0;
    },
  };
}

function worstRoomRow(context) {
  const shape = icon("down");
  const health = element("span", {});
  const state = element("span", { class: "state" }, shape, health);
  const name = element("a", {});
  const [where, since, devices] = ["where", "since", "devices"].map((column) => element("td", { "data-column": column }));
  const node = element("tr", {}, element("td", { "data-column": "state" }, state), element("th", { scope: "row" }, name), where, since, devices);
  return {
    node,
    update(room) {
      const city = context.city(room.cityId);
      setAttribute(state, "data-health", room.health);
      setIcon(shape, room.health);
      setText(health, HEALTH[room.health]);
      setText(name, room.room ?? room.devices[0].name ?? room.key);
      setAttribute(name, "href", `/cities/${encodeURIComponent(room.cityId)}`);
      setText(where, place(room.locationName, city.name));
      setText(since, room.since ? momentText(Date.parse(room.since), city.timeZone, context.now) : "not known");
      setText(devices, room.devices.map(deviceText).join("; "));
    },
  };
}

function deviceText({ name, product, health, errorCodes }) {
  const reasons = health === "down" ? ["offline"] : (errorCodes ?? []).map(errorCode);
  return `${product || name}: ${reasons.join(", ") || HEALTH[health]}`;
}
