// Time as the run has it (it may pass faster than real time), and how moments and durations are written.

/** The clock of the run, set by every message of the server and counted on from there. */
export class RunClock {
  #base = null;
  speed = 1;
  aheadMinutes = 0;

  set({ now, speed, aheadMinutes }) {
    this.speed = speed;
    this.aheadMinutes = aheadMinutes;
    this.#base = { simulated: Date.parse(now), real: performance.now() };
  }

  /** Milliseconds since the Unix epoch, or null before the first message. */
  now() {
    return this.#base && this.#base.simulated + (performance.now() - this.#base.real) * this.speed;
  }
}

const formats = new Map();

function format(locale, options) {
  const key = `${locale} ${JSON.stringify(options)}`;
  if (!formats.has(key)) formats.set(key, new Intl.DateTimeFormat(locale, options));
  return formats.get(key);
}

// No one locale knows the names of all zones: each names those of its own part of the world.
const NAMING_LOCALES = ["en-GB", "en-US", "en-AU", "en-IN", "en-ZA", "en-NZ"];

/** What people call the time zone at that moment ("CET", "EST"); its distance from UTC where it has no such name. */
export function zoneName(moment, timeZone) {
  let name = "";
  for (const locale of NAMING_LOCALES) {
    const parts = format(locale, { timeZone, timeZoneName: "short" }).formatToParts(moment);
    name = parts.find((part) => part.type === "timeZoneName").value;
    if (!/^GMT[+-]/.test(name)) return name;
  }
  return name.replace("GMT", "UTC").replace("-", "−");
}

/** "14:05" */
export function hourMinute(moment, timeZone) {
  return format("en-GB", { timeZone, hour: "2-digit", minute: "2-digit", hourCycle: "h23" }).format(moment);
}

/** "14:05 CET" */
export function clockTime(moment, timeZone) {
  return `${hourMinute(moment, timeZone)} ${zoneName(moment, timeZone)}`;
}

/** "14:05 CET", with the day in front when it isn't today's: "Mon 23 Nov, 14:05 CET" */
export function momentText(moment, timeZone, now) {
  return dayBefore(moment, timeZone, now) + clockTime(moment, timeZone);
}

/** "14:05 to 14:20 CET", with days where they are needed. */
export function spanText(begin, end, timeZone, now) {
  const sameZone = zoneName(begin, timeZone) === zoneName(end, timeZone);
  const start = dayBefore(begin, timeZone, now) + (sameZone ? hourMinute : clockTime)(begin, timeZone);
  return `${start} to ${momentText(end, timeZone, dayOf(begin, timeZone) === dayOf(end, timeZone) ? end : now)}`;
}

function dayOf(moment, timeZone) {
  return format("en-GB", { timeZone, weekday: "short", day: "numeric", month: "short" }).format(moment).replace(",", "");
}

function dayBefore(moment, timeZone, now) {
  const day = dayOf(moment, timeZone);
  return day === dayOf(now, timeZone) ? "" : `${day}, `;
}

/** "4 s", "12 min", "3 h 20 min", "2 d 4 h": never more than two units. */
export function durationText(milliseconds) {
  const seconds = Math.max(0, Math.round(milliseconds / 1000));
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 24) return minutes % 60 ? `${hours} h ${minutes % 60} min` : `${hours} h`;
  const days = Math.floor(hours / 24);
  return hours % 24 ? `${days} d ${hours % 24} h` : `${days} d`;
}
