"use strict";

/* The chart of one service: demand above, replicas below, with a common time axis (UTC). */
const Figure = (() => {
  const config = { responsive: true, displayModeBar: false, doubleClick: "reset" };
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const coarse = matchMedia("(pointer: coarse)");
  const MOST_BANDS = 3;
  const CHARACTER_PX = 7.5, MARGIN_PX = 80; // at most, of a name; of both sides of a chart
  const EARLIER_S = 600, KEPT_S = 14400;

  const moment = (seconds) => new Date(1000 * seconds).toISOString().slice(0, 19);
  /* Escape texts, for Plotly interprets some markup. */
  const escaped = (text) => text
    .replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
  const percent = (level) => `${+(100 * level).toFixed(1)}`;

  function colours() {
    const style = getComputedStyle(document.documentElement);
    const names = ["ink", "quiet", "page", "line", "band", "blue", "orange", "green", "purple", "grid"];
    const found = { blueRgb: style.getPropertyValue("--blue-rgb").trim() };
    for (const name of names) found[name] = style.getPropertyValue(`--${name}`).trim();
    return found;
  }

  function line(x, y, name, color, more = {}) {
    const { width = 1.8, dash = "solid", shape = "linear", ...rest } = more;
    return { type: "scatter", mode: "lines", x, y, name, line: { color, width, dash, shape },
      hovertemplate: "%{y:,.4~g}", ...rest };
  }

  /* Pair each level above the median with its mirror below (or the lowest); the widest pair first.
   * 0.999 is left out, or the figure would be as high as what comes once in a thousand minutes. */
  function pairs(levels) {
    const found = [];
    for (let high = levels.length - 1; levels[high] > 0.5; high--) {
      if (levels[high] > 0.99) continue;
      const low = levels.findIndex((level) => Math.abs(level - (1 - levels[high])) < 1e-9);
      found.push([Math.max(low, 0), high]);
    }
    if (found.length <= MOST_BANDS) return found;
    const last = found.length - 1;
    return [0, Math.round(last / 2), last].map((at) => found[at]);
  }

  /* The forecast: bands from the widest to the narrowest, then the median. */
  function fan({ origin, step_s, levels, values }, c, narrow) {
    const x = values.map((_, h) => moment(origin + (h + 1) * step_s));
    const at = (level) => values.map((row) => row[level]);
    const traces = [];
    pairs(levels).forEach(([low, high], i) => {
      const name = `forecast ${percent(levels[low])}–${percent(levels[high])} %`;
      const quiet = { width: 0, hoverinfo: "skip", hovertemplate: null };
      traces.push(line(x, at(low), name, c.blue, { ...quiet, showlegend: false }));
      traces.push(line(x, at(high), name, c.blue, { ...quiet, fill: "tonexty",
        showlegend: i === 0 || !narrow, fillcolor: `rgba(${c.blueRgb}, ${0.14 + 0.08 * i})` }));
    });
    const middle = levels.indexOf(0.5);
    if (middle >= 0) traces.push(line(x, at(middle), "forecast, median", c.blue, { width: 2 }));
    return traces;
  }

  /* Store the forecast of the next EARLIER_S seconds in `pastForecasts`, by time, for a comparison with
   * the actual demand. The first forecast of a time is kept, so it is up to EARLIER_S old. */
  function remember(pastForecasts, view) {
    if (!view.fan) return;
    const { origin, step_s, levels, values } = view.fan;
    const [[low, high] = [0, 0]] = pairs(levels), middle = Math.max(levels.indexOf(0.5), 0);
    for (let h = 0; h < values.length && (h + 1) * step_s <= Math.max(EARLIER_S, step_s); h++) {
      const stamp = origin + (h + 1) * step_s, row = values[h];
      if (!pastForecasts.has(stamp)) pastForecasts.set(stamp, [row[low], row[middle], row[high]]);
    }
    for (const stamp of pastForecasts.keys()) if (stamp < view.at - KEPT_S) pastForecasts.delete(stamp);
  }

  function earlier(pastForecasts, view, c) {
    const past = [...pastForecasts].filter(([stamp]) => stamp <= view.at).sort(([a], [b]) => a - b);
    if (past.length < 2) return [];
    const x = past.map(([stamp]) => moment(stamp)), at = (i) => past.map(([, row]) => row[i]);
    const quiet = { width: 0, hoverinfo: "skip", hovertemplate: null, showlegend: false };
    return [line(x, at(0), "", c.blue, quiet),
      line(x, at(2), "", c.blue, { ...quiet, fill: "tonexty", fillcolor: `rgba(${c.blueRgb}, 0.14)` }),
      line(x, at(1), `forecast ${EARLIER_S / 60} min before`, c.blue, { width: 1.5, dash: "dash" })];
  }

  function ahead(view, end, c) {
    const limit = view.limit;
    if (!limit) return [];
    const ready = limit.ready_replicas * limit.replica_qps;
    const x = [view.at], y = [limit.qps];
    for (const step of limit.schedule) { x.push(view.at + step.in_s); y.push(step.qps); }
    const named = `capacity of ${limit.ready_replicas} ready`;
    return [
      line(x.map(moment), y, "limit, as scheduled", c.orange,
        { dash: "dot", shape: "hv", showlegend: false }),
      line([moment(view.at), moment(Math.max(end, x[x.length - 1]))], [ready, ready], named, c.green,
        { dash: "dash" }),
    ];
  }

  function demand(view, pastForecasts, end, c, narrow) {
    const { recent } = view, x = recent ? recent.stamps.map(moment) : [];
    const past = recent ? [
      line(x, recent.limit, "limit", c.orange, { shape: "hv", width: 1.5 }),
      line(x, recent.qps, "observed", c.ink, { width: 1.6 }),
    ] : [];
    const old = earlier(pastForecasts, view, c), bands = old.slice(0, -1), median = old.slice(-1);
    return [...bands, ...(view.fan ? fan(view.fan, c, narrow) : []), ...ahead(view, end, c), ...past,
      ...median];
  }

  function replicas(view, c) {
    const { recent } = view;
    if (!recent) return [];
    const x = recent.stamps.map(moment), below = { yaxis: "y2", shape: "hv" };
    return [
      line(x, recent.hpa, "plain HPA would have", c.quiet, { ...below, dash: "dot" }),
      line(x, recent.replicas, "replicas", c.green, { ...below, width: 1.5 }),
      line(x, recent.plan, "plan", c.purple, { ...below, dash: "dot", width: 1.5 }),
      line(x, recent.floor, "floor", c.purple, { ...below, width: 2.2 }),
    ];
  }

  function marks(view, { from, end, width }, c, narrow) {
    const shapes = [{ type: "line", xref: "x", yref: "paper", x0: moment(view.at),
      x1: moment(view.at), y0: 0, y1: 1, line: { color: c.quiet, width: 1, dash: "dot" } }];
    const annotations = [{ x: moment(view.at), y: 1, yref: "paper", yanchor: "bottom",
      text: "now", showarrow: false, font: { color: c.quiet, size: 12 } }];
    const near = view.events.filter((event) => event.ends >= from && event.starts <= end);
    near.forEach((event, i) => {
      const x0 = moment(Math.max(event.starts, from)), x1 = moment(Math.min(event.ends, end));
      shapes.push({ type: "rect", xref: "x", yref: "y domain", x0, x1, y0: 0, y1: 1, layer: "below",
        line: { width: 0 }, fillcolor: c.purple, opacity: 0.12 });
      // One above the other, for the names are often wider than the events; no line is as near to 0, and
      // none goes beyond the right edge.
      const name = event.name.slice(0, narrow ? 20 : 40), left = (end - event.starts) / (end - from);
      const fits = left * width > CHARACTER_PX * name.length;
      annotations.push({ x: x0, y: 0.01 + 0.09 * (i % 6), yref: "y domain", yanchor: "bottom",
        xanchor: fits ? "left" : "right", text: escaped(name), showarrow: false,
        font: { color: c.ink, size: 12 } });
    });
    return { shapes, annotations };
  }

  function layout(view, { from, end, shown_s, width }, c, narrow) {
    const axis = { gridcolor: c.grid, zerolinecolor: c.grid, linecolor: c.grid, automargin: true };
    const upright = { ...axis, rangemode: "tozero", fixedrange: true };
    return {
      ...marks(view, { from, end, width }, c, narrow),
      height: narrow ? 600 : 540,
      font: { family: "system-ui, sans-serif", size: 13, color: c.ink },
      margin: { l: narrow ? 44 : 64, r: 14, t: 24, b: 40 },
      paper_bgcolor: "rgba(0, 0, 0, 0)", plot_bgcolor: "rgba(0, 0, 0, 0)",
      hovermode: "x unified",
      hoverlabel: { bgcolor: c.page, bordercolor: c.line, font: { color: c.ink } },
      dragmode: coarse.matches ? false : "zoom",
      // A zoom stays until another service or time range is chosen.
      uirevision: `${view.service} ${shown_s}`,
      xaxis: { ...axis, type: "date", nticks: narrow ? 4 : 12, tickangle: 0, ticklabeloverflow: "hide past div", range: [moment(from), moment(end)], anchor: "y2" },
      yaxis: { ...upright, domain: [0.4, 1], title: { text: "demand (req/s)", font: { size: 13 } } },
      yaxis2: { ...upright, domain: [0, 0.3], title: { text: "replicas", font: { size: 13 } } },
      legend: { orientation: "h", x: 0, xref: "container", y: 0, yref: "container",
        yanchor: "bottom", traceorder: "normal", font: { size: 12 } },
    };
  }

  /* Draw a view with `shown_s` seconds of the past; does nothing before Plotly has loaded. */
  function draw(place, view, pastForecasts, shown_s) {
    if (typeof Plotly === "undefined") return;
    const c = colours(), { fan: ahead } = view;
    const forecast = ahead ? ahead.origin + ahead.values.length * ahead.step_s : 0;
    const end = Math.max(forecast, view.at + 300), from = view.at - shown_s;
    const narrow = place.clientWidth < 520;
    const data = [...demand(view, pastForecasts, end, c, narrow), ...replicas(view, c)];
    Plotly.react(place, data, layout(view, { from, end, shown_s, width: place.clientWidth - MARGIN_PX }, c, narrow), config);
  }

  return { draw, remember, dark };
})();
