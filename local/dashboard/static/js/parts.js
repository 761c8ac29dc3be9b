// The pieces that several pages show: incidents, the bar of device states, a sparkline, ages.

import { incidentFacts } from "./details.js";
import { element, icon, keyed, setAttribute, setIcon, setText, svg } from "./dom.js";
import { durationText, momentText } from "./time.js";
import { HEALTH, HEALTHS, SEVERITY, measured, place, plural, ruleTitle } from "./words.js";

const PHONE_INCIDENTS = 5; // page.css hides what comes after them on a narrow screen

/** A section with its heading; `id` names both. */
export function panel(id, title, ...content) {
  const heading = element("h2", { id: `${id}-title` }, title);
  return element("section", { class: "panel", id, "aria-labelledby": `${id}-title` }, heading, ...content);
}

/** The sentence of a page, read out when it changes, with quieter lines that aren't. */
export function hero(sentence, ...quieter) {
  return element("div", { class: "hero" }, element("div", { role: "status", "aria-live": "polite" }, sentence), ...quieter);
}

/** A severity as shape and word. */
export function severityMark() {
  const shape = icon("severity-4");
  const word = element("span", {});
  const node = element("span", { class: "severity" }, shape, word);
  return {
    node,
    update(severity) {
      const level = Math.min(severity, 4);
      setAttribute(node, "data-severity", level);
      setIcon(shape, `severity-${level}`);
      setText(word, SEVERITY[level]);
    },
  };
}

/** An open incident: what, where, since when in the city's own time. `context` gives `{ city(slug), now }`. */
export function incidentRow(context, { linked }) {
  const mark = severityMark();
  const title = element(linked ? "a" : "span", { class: "incident-title" });
  const where = element("p", { class: "incident-where" });
  const detail = element("span", {});
  const since = element("time", {});
  const lasting = element("p", { class: "lasting" });
  const facts = element("p", { class: "incident-facts" });
  const node = element(
    "li",
    { class: "incident" },
    mark.node,
    element("h3", {}, title),
    lasting,
    where,
    element("p", { class: "incident-detail" }, element("span", { class: "since" }, "since ", since), detail),
    facts,
  );
  return {
    node,
    update(incident) {
      const city = context.city(incident.cityId);
      const began = Date.parse(incident.startedAt);
      setAttribute(node, "data-severity", Math.min(incident.severity, 4));
      mark.update(incident.severity);
      setText(title, ruleTitle(incident.ruleId));
      if (linked) setAttribute(title, "href", `/cities/${encodeURIComponent(incident.cityId)}`);
      setText(where, whereOf(incident, linked ? city.name : null));
      setText(detail, detailOf(incident));
      setText(facts, incidentFacts(incident, city.timeZone, context.now));
      setAttribute(since, "datetime", incident.startedAt);
      setText(since, momentText(began, city.timeZone, context.now));
      setAge(lasting, began);
    },
  };
}

function whereOf(incident, cityName) {
  return place(
    incident.workspaceName,
    incident.locationName ?? (incident.entity === "location" ? incident.name : null),
    cityName,
  );
}

function detailOf(incident) {
  const device = incident.entity === "device" && incident.name !== incident.workspaceName ? incident.name : "";
  const { devicesFolded: devices, roomsFolded: rooms } = incident;
  const covered = [devices ? plural(devices, "device") : "", rooms ? plural(rooms, "room") : ""].filter(Boolean);
  const folded = covered.length ? `covers ${covered.join(" and ")}` : "";
  const size = incident.devicesDown === null ? folded : `${plural(incident.devicesDown, "device")} down now`;
  const text = place(measured(incident), device, size);
  return text && ` · ${text}`;
}

/** What stands where nothing is to be listed: all is well, or nothing is known yet. */
export function emptyNote(fine, waiting = "Nothing is known yet") {
  const shape = icon("waiting");
  const words = element("span", {});
  const node = element("p", { class: "empty" }, shape, words);
  return {
    node,
    update({ empty, known }) {
      node.hidden = !empty;
      setIcon(shape, known ? "fine" : "waiting");
      setText(words, known ? fine : waiting);
    },
  };
}

/** Open incidents as a list, with words when there are none and for those that don't fit. */
export function incidentList(id, { linked }) {
  const context = { now: 0, city: null };
  const list = element("ol", { class: "incidents" });
  const empty = emptyNote("Nothing is open");
  const more = element("p", { class: "more" }, element("a", { href: "/alerts?state=open" }, "See every open alert"));
  const body = element(
    "div",
    { class: "scroller", tabindex: "0", role: "group", "aria-labelledby": `${id}-title` },
    list,
    empty.node,
    more,
  );
  const node = panel(id, "Open incidents", body);
  const count = element("span", { class: "count" });
  node.firstElementChild.append(" ", count);
  return {
    node,
    update(incidents, { total, now, city, known }) {
      Object.assign(context, { now, city });
      keyed(
        list,
        incidents,
        (incident) => incident.alertId,
        () => incidentRow(context, { linked }),
      );
      setText(count, total ? total.toLocaleString("en") : "");
      empty.update({ empty: total === 0, known });
      setAttribute(more, "data-beyond", total > incidents.length);
      setAttribute(more, "data-many", total > PHONE_INCIDENTS);
    },
  };
}

/** A field to choose one of some options in, or all. */
export function select(name, label, options = {}) {
  const choices = Object.entries(options).map(([value, text]) => element("option", { value }, text));
  const field = element("select", { name, id: `filter-${name}` }, element("option", { value: "" }, "All"), ...choices);
  return element("div", { class: "filter" }, element("label", { for: `filter-${name}` }, label), field);
}

/** Who was notified of an incident, by which channel, when, and whether it failed. */
export function notifiedList() {
  const context = { city: null, now: 0 };
  const list = element("ul", { class: "notified", "aria-label": "Who was notified" });
  const nobody = element("p", { class: "notified" });
  const incident = element("a", { class: "incident-link" }, "Its incident: who has it, what happened, silence");
  return {
    node: element("div", {}, list, nobody, incident),
    /** `notifications` is null where the fan-out has nothing of it any more, or not yet: then it has no page of the incident. */
    update(notifications, city, now, isOpen, alertId) {
      Object.assign(context, { city, now });
      incident.hidden = !notifications;
      setAttribute(incident, "href", `/incidents/${encodeURIComponent(alertId)}`);
      keyed(
        list,
        notifications ?? [],
        ({ channel }) => channel,
        () => notifiedRow(context),
      );
      nobody.hidden = Boolean(notifications?.length);
      const unknown = isOpen ? "No notification of it is known" : "Who was notified is not known any more";
      setText(nobody, notifications ? "No channel but this inbox was to be notified of it" : unknown);
    },
  };
}

function notifiedRow(context) {
  const text = element("span", {});
  const fault = element("span", { class: "fault" });
  return {
    node: element("li", {}, text, fault),
    update({ channel, result, at, fault: why }) {
      const moment = at ? ` ${momentText(Date.parse(at), context.city.timeZone, context.now)}` : "";
      setText(text, `${channel}: ${result}${moment}`);
      setText(fault, why ? ` · ${why}` : "");
    },
  };
}

/** Devices by health: a bar, and the same in shapes and words. */
export function healthBar() {
  const segments = Object.fromEntries(
    HEALTHS.map((health) => [health, element("span", { class: "segment", "data-health": health })]),
  );
  const counts = Object.fromEntries(HEALTHS.map((health) => [health, element("b", {})]));
  const bar = element("div", { class: "bar", "aria-hidden": "true" }, ...Object.values(segments));
  const words = HEALTHS.map((health) =>
    element("li", { "data-health": health }, icon(health), element("span", {}, counts[health], ` ${HEALTH[health]}`)),
  );
  const node = element("div", { class: "health" }, bar, element("ul", { class: "healths", "aria-label": "Devices" }, ...words));
  return {
    node,
    update(devices) {
      HEALTHS.forEach((health, at) => {
        const count = devices[health];
        segments[health].style.flexGrow = count ?? 0;
        segments[health].hidden = !count;
        setText(counts[health], count === null ? "–" : count.toLocaleString("en"));
        words[at].hidden = !count && at > 2; // asleep and unknown only when there are any
      });
    },
  };
}

/** Devices down over the last hour, minute by minute, as a small line without axes. */
export function sparkline() {
  const area = svg("path", { class: "spark-area" });
  const line = svg("path", { class: "spark-line" });
  const picture = svg("svg", { viewBox: "0 0 60 20", preserveAspectRatio: "none", "aria-hidden": "true" }, area, line);
  const words = element("figcaption", {});
  const node = element("figure", { class: "spark" }, picture, words);
  return {
    node,
    update(trend, now) {
      const points = (trend?.at ?? []).map((at, index) => [60 - (now - Date.parse(at)) / 60_000, trend.down[index] ?? 0]);
      const shown = points.filter(([x]) => x >= 0);
      const top = Math.max(4, ...shown.map(([, down]) => down));
      const path = shown.map(([x, down]) => `${x.toFixed(2)} ${(19 - (down / top) * 17).toFixed(2)}`).join("L");
      setAttribute(line, "d", shown.length > 1 ? `M${path}` : "");
      setAttribute(area, "d", shown.length > 1 ? `M${path}L${shown.at(-1)[0].toFixed(2)} 20L${shown[0][0].toFixed(2)} 20z` : "");
      setText(words, shown.length > 1 ? "down, last hour" : "trend in a minute");
    },
  };
}

/** How long ago a city was polled. */
export function pollText(city, now) {
  if (!city.lastPoll) return "not polled yet";
  return `polled ${durationText(now - Date.parse(city.lastPoll))} ago${city.partial ? ", incomplete" : ""}`;
}

/** Make a node show how long ago a moment was; `growAges` keeps it right. */
export function setAge(node, moment) {
  node.dataset.moment = moment;
}

export function growAges(now) {
  for (const node of document.querySelectorAll("[data-moment]")) setText(node, durationText(now - Number(node.dataset.moment)));
}
