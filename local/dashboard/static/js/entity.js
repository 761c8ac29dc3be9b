// The page of a device or a room: how it is now and since when, its last 24 hours, its incidents, and who was notified.

import { color, lineChart } from "./chart.js";
import { peripheralText } from "./details.js";
import { element, keyed, setAttribute, setText } from "./dom.js";
import { stateMark } from "./devices.js";
import { Fetched } from "./fetched.js";
import { emptyNote, hero, notifiedList, panel, severityMark } from "./parts.js";
import { clockTime, durationText, hourMinute, momentText, spanText } from "./time.js";
import { HEALTH, errorCode, measured, place, plural, ruleTitle, signalName, signalValue } from "./words.js";

const DAY = 24 * 3_600_000;
const CHANGES_SHOWN = 60;

export class EntityPage {
  stream = "/events?view=frame";

  /** `kind` is "devices" or "rooms". */
  constructor(kind, id, redraw) {
    this.name = kind;
    this.id = id;
    this.back = element("a", { href: "/devices" }, "← All devices");
    this.sentence = element("h1", { class: "sentence" });
    this.summary = element("p", { class: "summary" });
    this.facts = element("dl", { class: "facts" });
    this.devices = element("ul", { class: "found" });
    this.members = panel("members", "Devices", this.devices);
    this.days = element("div", { class: "days" });
    this.charts = element("div", { class: "charts" });
    this.noCharts = emptyNote("", "Nothing was measured in the last 24 hours");
    this.incidents = element("ol", { class: "inbox" });
    this.noIncidents = emptyNote("No incident is known");
    this.context = { timeZone: "UTC", now: 0 };
    this.nodes = [
      element("p", { class: "back" }, this.back),
      hero(this.sentence, this.summary),
      this.facts,
      this.members,
      panel("day", "The last 24 hours", this.days),
      panel("signals", "Signals", this.charts, this.noCharts.node),
      panel("incidents-of", "Incidents", this.incidents, this.noIncidents.node),
    ];
    this.drawn = new Map();
    this.fetched = new Fetched(() => `/api/${kind}/${encodeURIComponent(id)}`, () => this.#fetched(redraw));
  }

  get loaded() {
    return this.fetched.data !== null || this.fetched.fault !== "";
  }

  draw() {
    for (const { redraw } of this.drawn.values()) redraw(); // the theme may have changed
  }

  #fetched(redraw) {
    this.isNew = true;
    redraw();
  }

  tick(_, now, state) {
    const { data, fault } = this.fetched;
    if (!data) {
      setText(this.sentence, "This can't be looked up");
      setText(this.summary, `${fault || "Waiting for the answer"}. Trying again.`);
      return;
    }
    const entity = data.device ?? data.room;
    Object.assign(this.context, { timeZone: data.timeZone, now });
    document.title = `${entity.name} · RoomPulse`;
    setText(this.back, `← ${entity.city}`);
    setAttribute(this.back, "href", `/cities/${encodeURIComponent(entity.cityId)}`);
    const asOf = state === "live" || !data.device ? "" : `As of ${clockTime(Date.parse(entity.observedAt), data.timeZone)}: `;
    setText(this.sentence, `${asOf}${entity.name} ${stateWords(data, entity, now)}`);
    setText(this.summary, fault ? `What you see may be old: ${fault}. Trying again.` : place(entity.product, entity.room, entity.location, entity.city));
    if (!this.isNew) return;
    this.isNew = false;
    drawFacts(this.facts, data.device, this.context);
    this.members.hidden = !data.devices;
    keyed(this.devices, data.devices ?? [], ({ id }) => id, memberRow);
    this.#drawDays(data);
    this.#drawCharts(data);
    keyed(
      this.incidents,
      data.incidents,
      ({ alertId }) => alertId,
      () => incidentEntry(this.context),
    );
    this.noIncidents.update({ empty: data.incidents.length === 0, known: true });
  }

  #drawDays(data) {
    const named = data.devices ?? [data.device];
    const days = named.map(({ id, name }) => ({ id, name, spans: data.spans[id] ?? [] }));
    keyed(
      this.days,
      days,
      ({ id }) => id,
      () => dayOfDevice(this.context, named.length === 1),
    );
  }

  #drawCharts(data) {
    const names = new Map((data.devices ?? [data.device]).map(({ id, name }) => [id, name]));
    const lines = Object.entries(data.lines).flatMap(([id, own]) => own.map((line) => ({ ...line, of: names.size > 1 ? names.get(id) : null, key: `${id} ${line.signal}` })));
    this.drawn = keyed(
      this.charts,
      lines,
      ({ key }) => key,
      ({ signal, of }) => signalChart(this.context, signal, of),
    );
    this.noCharts.update({ empty: lines.length === 0, known: false });
  }
}

function stateWords({ device, devices }, entity, now) {
  const issues = device?.health === "issues" && device.issues.length ? device.issues.join(", ") : null;
  const quiet = entity.maintenance ? ", in planned maintenance" : "";
  if (device?.status === "removed") return "is no longer listed by Webex";
  const since = device?.since && device.health !== "unknown" ? ` for ${durationText(now - Date.parse(device.since))}` : "";
  const [is, has] = since ? ["has been", "has had"] : ["is", "has"];
  const words = {
    up: `${is} up`,
    down: `${is} down`,
    asleep: `${is} asleep`,
    unknown: "was not heard of lately",
    issues: `${has} issues`,
  };
  const ill = devices?.filter(({ health }) => health === entity.health).length;
  const of = devices && entity.health !== "up" ? `: ${plural(ill, "device")} ${HEALTH[entity.health]}` : "";
  return `${issues ? `${has} issues (${issues})` : words[entity.health]}${since}${of}${quiet}`;
}

/** What else is known of a device: as far as Webex says. */
function drawFacts(list, device, { timeZone, now }) {
  list.hidden = !device;
  if (!device) return;
  const { details } = device;
  const facts = {
    Room: device.roomId && element("a", { href: `/rooms/${encodeURIComponent(device.roomId)}` }, device.room ?? device.roomId),
    Since: device.since && momentText(Date.parse(device.since), timeZone, now),
    "Last heard of": momentText(Date.parse(device.observedAt), timeZone, now),
    "Webex says": device.status,
    Product: device.product,
    Serial: details.serial,
    Floor: details.floor,
    Firmware: place(device.software, details.upgradeChannel && `channel ${details.upgradeChannel}`),
    Address: place(details.ip, details.mac),
    Switch: place(details.network?.switch, details.network?.port),
    ...recommended(details, (since) => momentText(Date.parse(since), timeZone, now)),
  };
  list.replaceChildren(
    ...Object.entries(facts)
      .filter(([, value]) => value)
      .map(([name, value]) => element("div", {}, element("dt", {}, name), element("dd", {}, value))),
  );
}

function recommended({ room, messages, peripherals }, moment) {
  const issues = (room?.issues ?? []).map(({ title, since }) => place(title, since && `since ${moment(since)}`));
  const actions = (room?.issues ?? []).map(({ recommendedAction }) => recommendedAction).filter(Boolean);
  const lost = (peripherals ?? []).filter(({ status }) => status && status !== "Connected").map(peripheralText);
  const said = (messages ?? []).map(({ type, level, description }) => [level, description ?? type].filter(Boolean).join(": "));
  return {
    "Webex on the room": issues.join("; "),
    "Cisco recommends": [...new Set(actions)].join("; "),
    "It says itself": said.join("; "),
    "Lost peripherals": lost.join("; "),
  };
}

function memberRow() {
  const link = element("a", {});
  const where = element("span", { class: "aside" });
  const state = stateMark();
  return {
    node: element("li", {}, element("div", {}, link, where), state.node),
    update(device) {
      setText(link, device.name);
      setAttribute(link, "href", `/devices/${encodeURIComponent(device.id)}`);
      setText(where, device.product);
      state.update(device);
    },
  };
}

/** The states of a device over the day: as a bar, and every change in words. */
function dayOfDevice(context, alone) {
  const name = element("h3", {});
  const bar = element("div", { class: "day-bar", "aria-hidden": "true" });
  const changes = element("ol", { class: "changes" });
  const rest = element("p", { class: "note" });
  const more = element("details", { class: "alert-more" }, element("summary", {}, "Every change"), changes, rest);
  const hours = element("p", { class: "day-hours note" });
  return {
    node: element("section", { class: "day" }, name, bar, hours, more),
    update({ name: text, spans }) {
      const { now, timeZone } = context;
      name.hidden = alone;
      setText(name, text);
      setText(hours, `${hourMinute(now - DAY, timeZone)} yesterday to now, ${clockTime(now, timeZone)}`);
      bar.replaceChildren(...spans.map((span) => segment(span, now)));
      const newest = [...spans].reverse().slice(0, CHANGES_SHOWN);
      changes.replaceChildren(...newest.map((span) => element("li", {}, changeText(span, context))));
      setText(rest, spans.length > newest.length ? `The newest ${newest.length} of ${spans.length}.` : "");
    },
  };
}

function segment({ begin, end, health }, now) {
  const node = element("span", { class: "segment", "data-health": health });
  node.style.flexGrow = Math.max(0, Date.parse(end) - Math.max(Date.parse(begin), now - DAY));
  return node;
}

function changeText({ begin, end, health, issues }, { timeZone, now }) {
  const words = health === "unknown" ? "not known" : health === "issues" ? issues.map(errorCode).join(", ") || "issues" : HEALTH[health];
  const [from, until] = [Date.parse(begin), Date.parse(end)];
  return `${spanText(from, until, timeZone, now)} (${durationText(until - from)}): ${words}`;
}

function signalChart(context, signal, of) {
  const chart = lineChart(signalName(signal), of ?? "");
  let drawn = null;
  const redraw = () => {
    if (!drawn) return;
    const { now, timeZone } = context;
    chart.draw({
      xAxis: { type: "time", min: now - DAY, max: now, label: (moment) => hourMinute(moment, timeZone) },
      yAxis: { label: (value) => signalValue(signal, value) },
      lines: [
        {
          name: "now",
          latest: signalValue(signal, drawn.values.at(-1)),
          points: drawn.values.map((value, at) => [Date.parse(drawn.at[at]), value]),
          color: color("series-1"),
          dash: "solid",
          dots: true,
        },
      ],
    });
  };
  return {
    node: chart.node,
    redraw,
    update(line) {
      drawn = line;
      queueMicrotask(redraw); // it is drawn once it has a size
    },
  };
}

function incidentEntry(context) {
  const mark = severityMark();
  const title = element("h3", {});
  const detail = element("p", { class: "alert-text" });
  const notified = notifiedList();
  const state = element("p", { class: "alert-state" });
  const times = element("p", { class: "alert-times" });
  const node = element(
    "li",
    { class: "alert" },
    mark.node,
    element("div", { class: "alert-what" }, title, detail, notified.node),
    element("div", { class: "alert-when" }, state, times),
  );
  return {
    node,
    update(past) {
      const { timeZone, now } = context;
      const [began, ended] = [Date.parse(past.startedAt), past.resolvedAt && Date.parse(past.resolvedAt)];
      mark.update(past.severity);
      setText(title, ruleTitle(past.ruleId));
      setText(detail, place(past.name, measured(past)));
      notified.update(past.notified, { timeZone }, now, !ended, past.alertId);
      setAttribute(node, "data-state", ended ? "resolved" : "open");
      setText(state, ended ? `Resolved after ${durationText(ended - began)}` : `Open for ${durationText(now - began)}`);
      setText(times, ended ? spanText(began, ended, timeZone, now) : `since ${momentText(began, timeZone, now)}`);
    },
  };
}
