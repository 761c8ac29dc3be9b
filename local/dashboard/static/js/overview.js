// The consolidated page: a sentence, open incidents, a card per city, the last hour, the worst rooms.

import { color, dashOf, lineChart } from "./chart.js";
import { factsText, webexNote } from "./details.js";
import { element, icon, keyed, setAttribute, setIcon, setText } from "./dom.js";
import { decapitalised, elsewhere, headline, judge, worstByName } from "./judgement.js";
import { emptyNote, growAges, healthBar, hero, incidentList, panel, pollText, sparkline } from "./parts.js";
import { clockTime, durationText, momentText } from "./time.js";
import { HEALTH, errorCode, inUse, place, plural } from "./words.js";

const LINES_SHOWN = 6;

export class OverviewPage {
  name = "overview";
  stream = "/events";

  constructor() {
    this.sentence = element("h1", { class: "sentence" });
    this.summary = element("p", { class: "summary" });
    this.webex = webexNote();
    this.incidents = incidentList("incidents", { linked: true });
    this.cards = element("ul", { class: "cards" });
    this.down = lineChart("Devices down", "by city");
    this.usable = lineChart("Rooms usable", "share of each city's rooms");
    this.rooms = worstRooms();
    this.roomsNote = element("p", { class: "note" }, "Rooms of locations with an outage come last.");
    this.nodes = [
      hero(this.sentence, this.summary, this.webex.node),
      element("div", { class: "now" }, this.incidents.node, panel("cities", "Cities", this.cards)),
      panel("trends", "The last hour", element("div", { class: "charts" }, this.down.node, this.usable.node)),
      panel("worst-rooms", "Worst rooms", this.rooms.node, this.roomsNote),
    ];
  }

  draw(data, now, changed) {
    const cities = new Map(data.cities.map((city) => [city.slug, city]));
    const city = (slug) => cities.get(slug) ?? { name: slug, timeZone: "UTC" };
    this.cardOf = keyed(this.cards, data.cities, ({ slug }) => slug, cityCard);
    const known = data.cities.some(({ lastPoll }) => lastPoll);
    this.incidents.update(data.openAlerts, { total: data.counts.incidents, now, city, known });
    if (changed.has("trends") || changed.has("cities")) this.#drawTrends(data, now);
    this.webex.update(data.webexStatus, "UTC", now);
    this.rooms.update(data.worstRooms, { now, city, known });
    this.roomsNote.hidden = !data.openAlerts.some(({ signal }) => signal === "offlineRatio");
  }

  tick(data, now, state) {
    const judged = data.cities.map((city) => ({ city, judgement: judge(city, now, data.run.staleAfterSeconds) }));
    const declared = judged.filter(({ city }) => city.declared); // the sentence is about the cities of the stack
    const live = state === "live";
    const counted = headline(live ? declared.map(({ judgement }) => judgement) : lastKnown(data));
    const named = worstByName(data, now);
    setText(this.sentence, live ? (named ?? counted) : `As of ${asOf(data)}: ${named ?? decapitalised(counted)}`);
    setText(this.summary, place(named && counted, live ? elsewhere(judged) : null, summary(data, judged)));
    for (const { city, judgement } of judged) this.cardOf.get(city.slug).judge(judgement, now, data.trends[city.slug]);
    growAges(now);
  }

  #drawTrends(data, now) {
    const lines = worstLines(data);
    const xAxis = { type: "value", min: -60, max: 0, interval: 15, label: minutesAgo };
    this.down.draw({
      xAxis,
      yAxis: { label: whole },
      lines: lines.map((line) => chartLine(line, line.city.devices.down, line.trend.down, whole, now)),
    });
    this.usable.draw({
      xAxis,
      yAxis: { max: 100, interval: 25, label: percent },
      lines: lines.map((line) => chartLine(line, presentShare(line.city), usableShare(line.trend), percent, now)),
    });
  }
}

/** The sentence as it would have been when the data was new: it mustn't call cities silent because the page itself is behind. */
function lastKnown(data) {
  const declared = data.cities.filter((city) => city.declared);
  return declared.map((city) => judge(city, city.lastPoll ? Date.parse(city.lastPoll) : 0, data.run.staleAfterSeconds));
}

function asOf(data) {
  return data.pipeline.newest ? clockTime(Date.parse(data.pipeline.newest), "UTC") : "the start";
}

function summary(data, judged) {
  const polled = judged.map(({ city }) => city).filter((city) => city.lastPoll);
  if (polled.length === 0) return `The first results come within ${durationText(data.run.pollSeconds * 1000 + 5000)}.`;
  const sum = (value) => polled.reduce((total, city) => total + (value(city) ?? 0), 0);
  const maintenance = sum((city) => city.maintenance);
  const silent = judged.filter(({ city, judgement }) => city.declared && judgement.state === "silent").length;
  return place(
    `${sum((city) => city.roomsUsable).toLocaleString("en")} of ${sum((city) => city.rooms).toLocaleString("en")} rooms usable`,
    inUse(
      sum((city) => city.roomsInUse),
      sum((city) => city.roomsReporting),
    ),
    `${sum((city) => city.devices.down).toLocaleString("en")} of ${sum((city) => city.devices.total).toLocaleString("en")} devices down`,
    silent ? `${plural(silent, "city", "cities")} not heard from` : null,
    maintenance ? `${plural(maintenance, "device")} in maintenance` : null,
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
      setText(rooms, city.rooms === null ? "rooms usable" : `of ${plural(city.rooms, "room")} usable`);
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

/** The cities with most devices down now; more lines than these nobody can distinguish. */
function worstLines(data) {
  const lines = data.cities
    .map((city, index) => ({ city, index, trend: data.trends[city.slug] }))
    .filter(({ city, trend }) => city.declared && trend);
  const down = ({ city }) => city.devices.down ?? 0;
  const kept = [...lines].sort((one, other) => down(other) - down(one)).slice(0, LINES_SHOWN);
  return lines.filter((line) => kept.includes(line)).map((line) => ({ ...line, strong: line === kept[0] && down(line) > 0 }));
}

/** A line of a city; `present` is what the page says beside it, not the average of the last minute. */
function chartLine({ city, index, trend, strong }, present, values, text, now) {
  const points = trend.at.map((at, position) => [(Date.parse(at) - now) / 60_000, values[position]]);
  const look = { color: color(`series-${(index % LINES_SHOWN) + 1}`), dash: dashOf(index), strong };
  return { name: city.name, latest: present === null ? "–" : text(present), points, ...look };
}

function presentShare({ rooms, roomsUsable }) {
  return rooms && roomsUsable !== null ? (100 * roomsUsable) / rooms : null;
}

function usableShare(trend) {
  return trend.rooms.map((rooms, at) => (rooms && trend.roomsUsable[at] !== null ? (100 * trend.roomsUsable[at]) / rooms : null));
}

function percent(value) {
  return `${Math.round(value)} %`;
}

function whole(value) {
  return Math.round(value).toLocaleString("en");
}

function minutesAgo(offset) {
  const minutes = Math.round(-offset);
  return minutes <= 0 ? "now" : `${minutes} min`;
}

/** Rooms that aren't well, the worst and longest first. */
function worstRooms() {
  const context = { now: 0, city: null };
  const body = element("tbody", {});
  const head = ["State", "Room", "Where", "Since", "Devices"].map((title) => element("th", { scope: "col" }, title));
  const table = element("table", { class: "rooms-table" }, element("thead", {}, element("tr", {}, ...head)), body);
  const empty = emptyNote("Every room is well");
  return {
    node: element("div", { class: "table-frame" }, table, empty.node),
    update(rooms, { now, city, known }) {
      Object.assign(context, { now, city });
      keyed(
        body,
        rooms,
        ({ key }) => key,
        () => worstRoomRow(context),
      );
      table.hidden = rooms.length === 0;
      empty.update({ empty: rooms.length === 0, known });
    },
  };
}

function worstRoomRow(context) {
  const shape = icon("down");
  const health = element("span", {});
  const state = element("span", { class: "state" }, shape, health);
  const name = element("a", {});
  const where = element("span", { class: "clamp" });
  const since = element("span", { class: "figure" });
  const devices = element("span", { class: "clamp" });
  const facts = element("span", { class: "aside" });
  const cell = (column, content) => element("td", { "data-column": column }, content);
  const heading = element("th", { scope: "row" }, name);
  const node = element(
    "tr",
    {},
    cell("state", state),
    heading,
    cell("where", where),
    cell("since", since),
    element("td", { "data-column": "devices" }, devices, facts),
  );
  return {
    node,
    update(room) {
      const city = context.city(room.cityId);
      setAttribute(state, "data-health", room.health);
      setIcon(shape, room.health);
      setText(health, HEALTH[room.health]);
      setText(name, room.room ?? room.devices[0].name ?? room.key);
      setAttribute(name, "href", `/${room.room === null ? "devices" : "rooms"}/${encodeURIComponent(room.key)}`);
      setText(where, place(room.locationName, city.name));
      setText(since, room.since ? momentText(Date.parse(room.since), city.timeZone, context.now) : "not known");
      const reasons = room.devices.map(deviceText).join("; ");
      setText(devices, room.maintenance ? `In planned maintenance. ${reasons}` : reasons);
      setText(facts, room.devices.map(({ details }) => factsText(details, city.timeZone, context.now)).filter(Boolean).join("; "));
    },
  };
}

function deviceText({ name, product, health, errorCodes }) {
  const reasons = health === "down" ? ["offline"] : (errorCodes ?? []).map(errorCode);
  return `${product || name}: ${reasons.join(", ") || HEALTH[health]}`;
}
