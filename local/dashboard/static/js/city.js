// The page of one city: its incidents, the last hour with office hours shaded, its locations room by room, environment, firmware.

import { color, dashOf, lineChart } from "./chart.js";
import { webexNote } from "./details.js";
import { element, icon, keyed, setAttribute, setIcon, setText } from "./dom.js";
import { cityHeadline, judge, keptQuiet } from "./judgement.js";
import { emptyNote, growAges, healthBar, hero, incidentList, panel, pollText } from "./parts.js";
import { clockTime, hourMinute, zoneName } from "./time.js";
import { HEALTH, inUse, place, plural, signalName, signalValue } from "./words.js";

const HOUR = 3_600_000;
const OUTAGE_RATIO = 0.5;

export class CityPage {
  name = "city";

  constructor(slug) {
    this.stream = `/events?city=${encodeURIComponent(slug)}`;
    this.sentence = element("h1", { class: "sentence" });
    this.summary = element("p", { class: "summary" });
    this.poll = element("p", { class: "summary" });
    this.webex = webexNote();
    this.health = healthBar();
    this.incidents = incidentList("incidents", { linked: false });
    this.chart = lineChart("Devices", "down and with issues");
    this.usable = lineChart("Rooms usable", "");
    this.officeHours = element("p", { class: "note" });
    this.locations = element("div", { class: "locations" });
    this.noLocations = emptyNote("", "No room has been seen yet");
    this.environment = environmentTable();
    this.firmware = firmwareList();
    this.nodes = [
      element("p", { class: "back" }, element("a", { href: "/" }, "← All cities")),
      hero(this.sentence, this.summary, this.webex.node),
      element("div", { class: "city-strip" }, this.health.node, this.poll),
      element(
        "div",
        { class: "now" },
        this.incidents.node,
        panel("trend", "The last hour", element("div", { class: "charts" }, this.chart.node, this.usable.node), this.officeHours),
      ),
      panel("locations", "Locations", this.locations, this.noLocations.node),
      element(
        "div",
        { class: "pair" },
        panel("environment", "Environment", this.environment.node),
        panel("firmware", "Firmware", this.firmware.node),
      ),
    ];
  }

  draw(data, now, changed) {
    const { city } = data;
    document.title = `${city.name} · RoomPulse`;
    this.health.update(city.devices);
    this.webex.update(data.webexStatus, city.timeZone, now);
    this.incidents.update(data.openAlerts, { total: city.incidents, now, city: () => city, known: city.lastPoll !== null });
    if (changed.has("trend") || changed.has("city") || changed.has("officeHours")) this.#drawTrend(data, now);
    if (changed.has("locations")) keyed(this.locations, data.locations, ({ locationId }) => locationId, locationSection);
    this.noLocations.update({ empty: data.locations.length === 0, known: false });
    if (changed.has("environment")) this.environment.update(data.environment);
    if (changed.has("firmware")) this.firmware.update(data.firmware);
  }

  tick(data, now, state) {
    const { city } = data;
    const lastHeard = city.lastPoll ? Date.parse(city.lastPoll) : now;
    const current = state === "live";
    const judgement = judge(city, current ? now : lastHeard, data.run.staleAfterSeconds);
    setText(this.sentence, `${current ? "" : `As of ${clockTime(lastHeard, city.timeZone)}: `}${cityHeadline(city, judgement)}`);
    setAttribute(this.sentence, "data-state", judgement.state);
    setText(this.summary, summary(city));
    setText(this.poll, `${clockTime(now, city.timeZone)} here · ${pollText(city, now)}`);
    growAges(now);
  }

  #drawTrend({ city, trend, officeHours }, now) {
    const bands = officeHours.spans.map((span) => span.map(Date.parse));
    const xAxis = { type: "time", min: now - HOUR, max: now, label: (moment) => hourMinute(moment, city.timeZone) };
    const frame = { xAxis, yAxis: { label: String }, bands };
    const line = (name, present, values, colorName, dash) => ({
      name,
      latest: present === null ? "–" : String(present), // as beside it on the page, not the average of the last minute
      points: values.map((value, at) => [Date.parse(trend.at[at]), value]),
      color: color(colorName),
      dash: dashOf(dash),
    });
    const { down, issues, roomsUsable, rooms } = trend ?? { down: [], issues: [], roomsUsable: [], rooms: [] };
    this.chart.draw({
      ...frame,
      lines: [
        { ...line("down", city.devices.down, down, "down", 0), filled: true },
        line("issues", city.devices.issues, issues, "issues", 1),
      ],
    });
    this.usable.draw({
      ...frame,
      lines: [
        line("usable", city.roomsUsable, roomsUsable, "series-1", 0),
        line("in all", city.rooms, rooms, "asleep", 2),
      ],
    });
    const shaded = bands.length ? "Shaded: office hours" : "Outside office hours";
    setText(this.officeHours, `${shaded} (${officeHours.text}, ${zoneName(now, city.timeZone)})`);
  }
}

function summary(city) {
  const { rooms, roomsUsable, devices } = city;
  if (rooms === null) return "Nothing is known of its rooms yet.";
  return place(
    `${roomsUsable} of ${plural(rooms, "room")} usable`,
    inUse(city.roomsInUse, city.roomsReporting),
    `${devices.down} of ${plural(devices.total, "device")} down`,
    keptQuiet(city),
  );
}

function locationSection() {
  const name = element("h3", {});
  const figures = element("p", { class: "location-figures" });
  const tiles = element("ul", { class: "tiles" });
  const node = element("section", { class: "location" }, element("div", { class: "location-head" }, name, figures), tiles);
  return {
    node,
    update(location) {
      const unwell = location.rooms.filter(({ health }) => health === "down" || health === "issues").length;
      const ratio =
        location.offlineRatio === null
          ? null
          : `${Math.round(location.offlineRatio * 100)} % of ${plural(location.devices ?? 0, "device")} down`;
      setAttribute(node, "data-outage", location.offlineRatio >= OUTAGE_RATIO);
      setText(name, location.name);
      setText(figures, place(plural(location.rooms.length, "room"), unwell ? `${unwell} not well` : "all well", ratio));
      keyed(tiles, location.rooms, ({ workspaceId }) => workspaceId, roomTile);
    },
  };
}

function roomTile() {
  const shape = icon("up");
  const name = element("a", { class: "tile-name" });
  const health = element("span", { class: "tile-health" });
  const node = element("li", { class: "tile" }, shape, name, health);
  return {
    node,
    update(room) {
      setAttribute(node, "data-health", room.health);
      setAttribute(node, "title", `${room.name}: ${plural(room.devices, "device")}`);
      setIcon(shape, room.health);
      setText(name, room.name);
      setAttribute(name, "href", `/rooms/${encodeURIComponent(room.workspaceId)}`);
      setAttribute(node, "data-maintenance", room.maintenance > 0);
      setText(health, place(HEALTH[room.health], room.maintenance ? "in maintenance" : null));
      health.classList.toggle("visually-hidden", room.health === "up" && !room.maintenance);
    },
  };
}

function environmentTable() {
  const body = element("tbody", {});
  const head = ["", "Typical", "Lowest", "Highest"].map((title) =>
    element("th", { scope: "col" }, title || element("span", { class: "visually-hidden" }, "Signal")),
  );
  const table = element("table", { class: "environment-table" }, element("thead", {}, element("tr", {}, ...head)), body);
  const empty = emptyNote("", "No sensor has reported within two hours");
  return {
    node: element("div", { class: "table-frame" }, table, empty.node),
    update(readings) {
      keyed(body, readings, ({ signal }) => signal, readingRow);
      table.hidden = readings.length === 0;
      empty.update({ empty: readings.length === 0, known: false });
    },
  };
}

function readingRow() {
  const rooms = element("span", { class: "aside" });
  const name = element("span", {});
  const middle = element("td", { class: "figure" });
  const [low, high] = [extreme(), extreme()];
  return {
    node: element("tr", {}, element("th", { scope: "row" }, name, rooms), middle, low.node, high.node),
    update(reading) {
      setText(name, signalName(reading.signal));
      setText(rooms, plural(reading.rooms, "room"));
      setText(middle, signalValue(reading.signal, reading.median));
      low.update(signalValue(reading.signal, reading.low), reading.lowRoom);
      high.update(signalValue(reading.signal, reading.high), reading.highRoom);
    },
  };
}

function extreme() {
  const value = element("span", { class: "figure" });
  const room = element("span", { class: "aside" });
  return {
    node: element("td", {}, value, room),
    update(text, where) {
      setText(value, text);
      setText(room, where);
    },
  };
}

function firmwareList() {
  const list = element("ul", { class: "firmware" });
  const empty = emptyNote("", "No device has reported its version yet");
  return {
    node: element("div", {}, list, empty.node),
    update(versions) {
      const total = versions.reduce((sum, { devices }) => sum + devices, 0);
      keyed(
        list,
        versions,
        ({ software }) => software ?? "",
        () => versionRow(),
      );
      versions.forEach(({ devices }, at) => (list.children[at].querySelector("i").style.width = `${(100 * devices) / total}%`));
      empty.update({ empty: versions.length === 0, known: false });
    },
  };
}

function versionRow() {
  const name = element("span", { class: "version" });
  const count = element("b", {});
  const share = element("i", { "aria-hidden": "true" });
  return {
    node: element("li", {}, name, count, element("span", { class: "share" }, share)),
    update({ software, devices }) {
      setText(name, software ?? "all other versions");
      setText(count, plural(devices, "device"));
    },
  };
}
