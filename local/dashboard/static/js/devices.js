// The table of all devices: found by any word, filtered, sorted by any column, and as CSV. What is chosen lives in the address.

import { element, icon, keyed, setAttribute, setIcon, setText } from "./dom.js";
import { Fetched } from "./fetched.js";
import { emptyNote, hero, select } from "./parts.js";
import { momentText } from "./time.js";
import { HEALTH, place, plural } from "./words.js";

const COLUMNS = {
  health: "State",
  name: "Device",
  product: "Product",
  room: "Room",
  location: "Location",
  city: "City",
  since: "Since",
  software: "Firmware",
};
const STATES = { ...HEALTH, maintenance: "in maintenance" };

export class DevicesPage {
  name = "devices";
  stream = "/events?view=frame";

  constructor(redraw) {
    document.title = "Devices · RoomPulse";
    this.chosen = new URLSearchParams(location.search);
    this.sentence = element("h1", { class: "sentence" });
    this.summary = element("p", { class: "summary" });
    this.field = element("input", { type: "search", id: "filter-q", name: "q", autocomplete: "off", spellcheck: "false" });
    this.field.value = this.chosen.get("q") ?? "";
    this.city = select("city", "City");
    this.health = select("health", "State", STATES);
    this.download = element("a", { class: "button", download: true }, "Download as CSV");
    this.shown = element("p", { class: "note", role: "status", "aria-live": "polite" });
    this.table = deviceTable((column) => this.#sortBy(column));
    this.empty = emptyNote("No device matches", "No device has been seen yet");
    this.more = element("button", { class: "button", type: "button" }, "Show the next ones");
    this.nodes = [hero(this.sentence, this.summary), this.#form(), this.table.node, this.empty.node, this.more];
    this.more.addEventListener("click", () => this.#from(this.#offset() + this.fetched.data.devices.length));
    this.fetched = new Fetched(() => `/api/devices?${this.chosen}`, redraw);
  }

  get loaded() {
    return this.fetched.data !== null || this.fetched.fault !== "";
  }

  draw() {} // what it shows does not come by the stream

  tick(_, now) {
    const { data, fault } = this.fetched;
    setText(this.sentence, data?.total ? plural(data.total, "device") : "Devices");
    setText(this.summary, fault ? `These can't be looked up: ${fault}. Trying again.` : data ? counted(data.counts) : "");
    if (!data) return;
    this.#fillCities(data.cities);
    setAttribute(this.download, "href", `/devices.csv?${this.chosen}`);
    setText(this.shown, shownText(data));
    this.table.update(data, now, this.chosen.get("sort") ?? "health");
    this.empty.update({ empty: data.matched === 0, known: data.total > 0 });
    this.more.hidden = data.offset + data.devices.length >= data.matched;
  }

  #form() {
    const label = element("label", { for: "filter-q" }, "Name, room, serial, issue …");
    const filter = element("div", { class: "filter" }, label, this.field);
    const form = element(
      "form",
      { class: "filters", role: "search", "aria-label": "Filter devices" },
      filter,
      this.city,
      this.health,
      this.download,
      this.shown,
    );
    form.addEventListener("submit", (event) => event.preventDefault());
    form.addEventListener("input", () => this.#choose());
    return form;
  }

  #fillCities(cities) {
    const field = this.city.lastElementChild;
    if (field.options.length === 1) field.append(...cities.map(({ slug, name }) => element("option", { value: slug }, name)));
    if (document.activeElement === field) return;
    field.value = this.chosen.get("city") ?? "";
    this.health.lastElementChild.value = this.chosen.get("health") ?? "";
  }

  #choose() {
    const fields = { q: this.field, city: this.city.lastElementChild, health: this.health.lastElementChild };
    for (const [name, { value }] of Object.entries(fields)) value ? this.chosen.set(name, value) : this.chosen.delete(name);
    this.#from(0);
  }

  #sortBy(column) {
    this.chosen.set("sort", this.chosen.get("sort") === column ? `-${column}` : column);
    this.#from(0);
  }

  #offset() {
    return Number(this.chosen.get("offset") ?? 0);
  }

  #from(offset) {
    offset ? this.chosen.set("offset", offset) : this.chosen.delete("offset");
    history.replaceState(null, "", `?${this.chosen}`);
    this.fetched.ask();
  }
}

function counted(counts) {
  return place(...Object.entries(STATES).map(([health, word]) => (counts[health] ? `${counts[health].toLocaleString("en")} ${word}` : null)));
}

function shownText({ matched, total, offset, devices }) {
  const rows = devices.length ? `${(offset + 1).toLocaleString("en")} to ${(offset + devices.length).toLocaleString("en")} of ` : "";
  return `${rows}${matched === total ? plural(total, "device") : `${matched.toLocaleString("en")} of ${plural(total, "device")}`}`;
}

/** Rows of devices under headings that sort. */
export function deviceTable(sortBy) {
  const context = { now: 0, zones: new Map() };
  const body = element("tbody", {});
  const heads = Object.entries(COLUMNS).map(([column, title]) => {
    const button = element("button", { type: "button", class: "sort" }, title);
    button.addEventListener("click", () => sortBy(column));
    return element("th", { scope: "col", "data-column": column }, button);
  });
  const table = element("table", { class: "devices-table" }, element("thead", {}, element("tr", {}, ...heads)), body);
  return {
    node: element("div", { class: "table-frame", tabindex: "0", role: "region", "aria-label": "Devices" }, table),
    update({ devices, cities }, now, order) {
      Object.assign(context, { now, zones: new Map(cities.map(({ slug, timeZone }) => [slug, timeZone])) });
      for (const head of heads) {
        const sorted = order.replace("-", "") === head.dataset.column;
        setAttribute(head, "aria-sort", sorted && (order.startsWith("-") ? "descending" : "ascending"));
      }
      keyed(
        body,
        devices,
        ({ id }) => id,
        () => deviceRow(context),
      );
      table.hidden = devices.length === 0;
    },
  };
}

function deviceRow(context) {
  const state = stateMark();
  const name = element("a", {});
  const room = element("a", {});
  const cells = Object.fromEntries(["product", "location", "city", "since", "software"].map((column) => [column, element("span", {})]));
  const cell = (column, node) => element("td", { "data-column": column }, node);
  const { product, location, city, since, software } = cells;
  const node = element(
    "tr",
    {},
    cell("health", state.node),
    element("th", { scope: "row" }, name),
    cell("product", product),
    cell("room", room),
    cell("location", location),
    cell("city", city),
    cell("since", since),
    cell("software", software),
  );
  return {
    node,
    update(device) {
      state.update(device);
      setText(name, device.name);
      setAttribute(name, "href", `/devices/${encodeURIComponent(device.id)}`);
      setText(room, device.room ?? "–");
      setAttribute(room, "href", device.roomId && `/rooms/${encodeURIComponent(device.roomId)}`);
      for (const column of ["product", "location", "city", "software"]) setText(cells[column], device[column] || "–");
      setText(since, device.since ? momentText(Date.parse(device.since), context.zones.get(device.cityId) ?? "UTC", context.now) : "–");
    },
  };
}

/** The state of a device or room as shape and words; maintenance is said beside it. */
export function stateMark() {
  const shape = icon("up");
  const words = element("span", {});
  const node = element("span", { class: "state" }, shape, words);
  return {
    node,
    update({ health, maintenance, issues }) {
      setAttribute(node, "data-health", health);
      setIcon(shape, health);
      const named = health === "issues" && issues?.length ? issues.join(", ") : HEALTH[health];
      setText(words, place(named, maintenance ? "in maintenance" : null));
    },
  };
}
