// A line chart of the last hour on ECharts, in the colours of the theme. Its legend is HTML beside it.

import { element, keyed, setAttribute, setText } from "./dom.js";

const DASHES = ["solid", [8, 4], [3, 3], [10, 3, 3, 3], "solid", [8, 4]];

/**
 * `draw({ lines, xAxis, yAxis, bands })`. A line is `{ name, latest, points, color, dash, strong?, filled? }`; an axis
 * `{ type?, min?, max?, interval?, label(value) }`; bands are shaded spans of x, `[[begin, end]]`.
 */
export function lineChart(title, note) {
  const canvas = element("div", { class: "chart-canvas", role: "img" });
  const legend = element("ul", { class: "legend" });
  const empty = element("p", { class: "chart-empty" }, "The first minute is being measured");
  const node = element(
    "figure",
    { class: "chart" },
    element("figcaption", {}, element("b", {}, title), element("span", {}, note)),
    element("div", { class: "chart-frame" }, canvas, empty),
    legend,
  );
  let chart = null;
  return {
    node,
    draw(content) {
      chart ??= created(canvas);
      chart.setOption(options(content), { notMerge: true });
      empty.hidden = content.lines.some((line) => line.points.length > (line.dots ? 0 : 1));
      canvas.classList.toggle("nothing-yet", !empty.hidden);
      setAttribute(
        canvas,
        "aria-label",
        `${title}, the last hour. ${content.lines.map(({ name, latest }) => `${name} ${latest}`).join(", ")}.`,
      );
      keyed(legend, content.lines, (line) => line.name, legendItem);
    },
  };
}

export function dashOf(index) {
  return DASHES[index % DASHES.length];
}

export function color(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

function created(canvas) {
  const chart = globalThis.echarts.init(canvas, null, { renderer: "canvas" });
  new ResizeObserver(() => chart.resize()).observe(canvas);
  return chart;
}

function legendItem() {
  const swatch = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const stroke = document.createElementNS("http://www.w3.org/2000/svg", "path");
  swatch.setAttribute("viewBox", "0 0 24 8");
  swatch.setAttribute("class", "swatch");
  swatch.setAttribute("aria-hidden", "true");
  stroke.setAttribute("d", "M1 4h22");
  swatch.append(stroke);
  const name = element("span", {});
  const latest = element("b", {});
  return {
    node: element("li", {}, swatch, name, " ", latest),
    update(line) {
      setAttribute(stroke, "stroke", line.color);
      setAttribute(stroke, "stroke-dasharray", Array.isArray(line.dash) ? line.dash.join(" ") : null);
      setText(name, line.name);
      setText(latest, line.latest);
    },
  };
}

function options({ lines, xAxis, yAxis, bands = [] }) {
  const quiet = color("quiet");
  const text = { color: quiet, fontFamily: "Inter, sans-serif", fontSize: 12 };
  return {
    animation: false,
    grid: { left: 44, right: 16, top: 12, bottom: 28 },
    tooltip: {
      trigger: "axis",
      renderMode: "richText",
      backgroundColor: color("surface"),
      borderColor: color("strong-rule"),
      textStyle: { ...text, color: color("ink") },
      axisPointer: { lineStyle: { color: color("strong-rule") } },
      valueFormatter: (value) => (value === undefined || value === null ? "–" : yAxis.label(value)),
    },
    xAxis: {
      type: xAxis.type,
      min: xAxis.min,
      max: xAxis.max,
      interval: xAxis.interval,
      splitLine: { show: false },
      axisLabel: { ...text, formatter: xAxis.label, hideOverlap: true },
      axisLine: { onZero: false, lineStyle: { color: color("strong-rule") } },
      axisTick: { show: false },
      axisPointer: { label: { formatter: ({ value }) => xAxis.label(value) } },
    },
    yAxis: {
      type: "value",
      min: 0,
      max: yAxis.max,
      axisLine: { show: false },
      axisTick: { show: false },
      interval: yAxis.interval,
      minInterval: 1,
      splitNumber: 3,
      axisLabel: { ...text, formatter: yAxis.label },
      splitLine: { lineStyle: { color: color("rule") } },
    },
    series: lines.map((line, index) => ({
      name: line.name,
      type: "line",
      data: line.points,
      showSymbol: Boolean(line.dots) && line.points.length < 2,
      lineStyle: { width: line.strong ? 3 : 1.9, color: line.color, type: line.dash },
      itemStyle: { color: line.color },
      areaStyle: line.filled ? { color: line.color, opacity: 0.12 } : undefined,
      emphasis: { disabled: true },
      markArea:
        index === 0 && bands.length
          ? {
              silent: true,
              itemStyle: { color: color("office-hours") },
              data: bands.map(([begin, end]) => [{ xAxis: begin }, { xAxis: end }]),
            }
          : undefined,
    })),
  };
}
