"use strict";

/* The numbers and texts of one service. A value that is not known is a dash, never 0. */
const Service = (() => {
  const UNKNOWN = "–";
  const BINDING = {
    capacity: "what the ready replicas sustain",
    overload: "the SLO is broken, so part of the capacity is held back",
    ceiling: "the policy's ceiling",
    nothing_ready: "no replica is ready",
    planned: "fewer replicas are planned than run",
    floor: "what the remaining replicas sustain",
  };
  const STANDING = {
    trusted: "it is acted on",
    widened: "it was too low too often, so a higher quantile is used",
    benched: "it is far worse than the last value, so it is not acted on",
  };
  const PLAN = {
    wanted: "what the demand asks for",
    needed_again: "fewer would do now, but they would soon be needed again",
    stabilized: "more were wanted within the stabilization window",
    step_up: "the policy allows no larger step up",
    step_down: "the policy allows no larger step down",
    min_replicas: "the policy's minimum",
    max_replicas: "the policy's maximum",
    held: "the demand is not known, so the last plan holds",
    decayed: "the demand has not been known for long",
  };

  const known = (value) => value !== null && value !== undefined;
  /* Format a rate with three significant digits, or all digits before the decimal point. */
  function qps(value) {
    if (!known(value)) return UNKNOWN;
    const digits = Math.abs(value) >= 100 || Number.isInteger(value) ? 0 : Math.abs(value) >= 10 ? 1 : 2;
    return value.toLocaleString("en", { maximumFractionDigits: digits });
  }
  const count = (value) => (known(value) ? value.toLocaleString("en") : UNKNOWN);
  const percent = (ratio) => (known(ratio) ? `${(100 * ratio).toFixed(1)} %` : UNKNOWN);
  const moment = (seconds) => `${new Date(1000 * seconds).toISOString().slice(0, 19).replace("T", " ")} UTC`;
  function duration(seconds) {
    if (!known(seconds)) return UNKNOWN;
    const whole = Math.round(seconds);
    if (whole < 120) return `${whole} s`;
    if (whole < 7200) return `${Math.round(whole / 60)} min`;
    if (whole < 172800) return `${(whole / 3600).toFixed(1)} h`;
    return `${(whole / 86400).toFixed(1)} days`;
  }

  /* Return an element with these children; a string becomes text, never markup. */
  function node(tag, attributes, ...children) {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    made.append(...children.filter((child) => child !== null));
    return made;
  }
  const part = (name, ...content) => node("section", { "data-part": name }, ...content);
  const tile = (name, field, figure, ...below) => node("div", { class: "tile" },
    node("dt", {}, name), node("dd", { class: "figure", "data-field": field }, figure),
    ...below.map((words) => node("dd", {}, words)));

  function table(columns, rows) {
    const kind = (i) => (columns[i].startsWith("*") ? { class: "text" } : {});
    const title = columns.map((c, i) => node("th", { scope: "col", ...kind(i) }, c.replace("*", "")));
    const body = rows.map((row) => node("tr", {}, ...row.map((cell, i) => node("td", kind(i), cell))));
    return node("div", { class: "scroll" },
      node("table", {}, node("thead", {}, node("tr", {}, ...title)), node("tbody", {}, ...body)));
  }

  /* What it means that a condition is false; for FloorContested, that it is true. */
  const UNWELL = {
    Ready: "The plan is not carried out", ForecastTrusted: "The forecast is not trusted",
    FloorContested: "The floor is contested", DataFresh: "The data are not fresh",
    LeadTimeCovered: "A new replica comes too late", PlanFits: "The plan does not fit",
    SpecComplete: "The policy has keys that nothing obeys", LimitKnown: "The limit is not certain",
    DemandUsual: "The demand is unusually low",
  };

  /* The conditions that need attention: those that are false, except FloorContested, which is bad if true. */
  const unwell = (view) => view.conditions.filter(
    ({ kind, status }) => (kind === "FloorContested" ? status : !status));

  function notices(view) {
    const made = [];
    if (view.error) made.push(node("p", { "data-field": "error" }, `No decision: ${view.error}`));
    for (const { kind, reason, message } of unwell(view)) {
      const words = UNWELL[kind] ?? kind;
      made.push(node("p", { "data-field": "condition" },
        `${words} (${reason})${message ? `: ${message}` : ""}`));
    }
    return made.length ? [node("div", { class: "notice bad" }, ...made)] : [];
  }

  function floorTile(view) {
    const bound = view.why ? PLAN[view.why.plan] ?? view.why.plan : null;
    const plan = view.mode === "Enforce" ? "plan" : "recommended";
    return tile("floor, replicas", "floor", count(view.floor),
      bound === null ? "not decided" : `${plan} ${count(view.plan)}: ${bound}`,
      `${count(view.replicas)} there, ${count(view.ready)} ready; a plain HPA would have `
      + `${count(view.hpa_replicas)}`);
  }

  /* Losses are said as plainly; an interval where there is one. */
  const money = (saved) => `${saved.amount < 0 ? "lost" : "saved"} ${Math.abs(saved.amount).toFixed(2)} ${saved.currency}`
    + (known(saved.low) ? ` (95 %: ${saved.low.toFixed(2)} to ${saved.high.toFixed(2)})` : "");

  function tiles(view) {
    const { limit, trust, ledger, saved } = view, rated = trust && view.fan;
    const expected = known(view.demand_qps) ? `be ready for ${qps(view.demand_qps)} when new replicas could serve` : "the demand to be ready for is not known";
    return node("dl", { class: "tiles" },
      tile("demand, req/s", "observed", qps(view.observed_qps), expected),
      floorTile(view),
      tile("limit, req/s", "limit", qps(limit?.qps),
        node("span", { "data-field": "binding" }, limit ? BINDING[limit.reason] ?? limit.reason : "no limit")),
      tile("forecast", "trust", rated ? trust.standing : "none",
        rated ? `${percent(trust.coverage)} of peaks within the forecast` : view.fan ? "not rated yet" : "",
        rated ? `planned for its ${percent(trust.level)} quantile` : ""),
      tile("replica-hours saved", "saved", qps(ledger.saved_replica_hours),
        `against a plain HPA in ${duration(ledger.seconds)}`,
        `too few replicas for ${duration(ledger.short_s)}; a plain HPA ${duration(ledger.hpa_short_s)}`,
        saved && saved.currency ? `${money(saved)} by floors in ${duration(saved.seconds)}` : ""));
  }

  function top(view) {
    const mode = view.mode === "Enforce"
      ? `Enforce: the floor is written to ${view.target}.`
      : `Recommend: the floor is only shown; nothing is written to ${view.target}.`;
    return [...notices(view), node("p", { "data-field": "next" }, node("strong", {}, "Next: "), nextStep(view)),
      node("p", { class: "quiet" },
        `${mode} The policy allows ${count(view.min_replicas)} to ${count(view.max_replicas)} replicas. The floor is the `
        + "fewest that the autoscaler may run, the limit what all gateways together may admit; a plain HPA is the same "
        + "autoscaler without a floor, worked out beside."), tiles(view)];
  }

  /* What to do about what is shown. */
  function nextStep(view) {
    if (view.error || unwell(view).length) return "put right what is told above.";
    if (!view.fan) return "train a model (forecaster train) and name it in spec.demand.model; "
      + "until then the floor follows the observed demand.";
    if (view.mode !== "Enforce") return "compare the plan with the replicas below. When it has been right for a week, "
      + "set spec.mode to Enforce.";
    return "nothing; the floor and the limit are in force.";
  }

  /* A bar chart from 0 to `most`, a bar for each of [words, number, kind, value, value of a paler bar, note]. */
  function bars(most, rows) {
    const length = (kind, value) => {
      const made = node("span", { class: kind });
      made.style.width = `${most > 0 ? Math.min(100, 100 * value / most) : 0}%`;
      return made;
    };
    return node("ul", { class: "bars" }, ...rows.map(([words, number, kind, value, pale, note]) => node("li", {},
      node("span", {}, words), node("span", { class: "number" }, number),
      node("span", { class: "track" }, length(`${kind} pale`, pale ?? 0), length(kind, value ?? 0)),
      note ? node("span", { class: "quiet" }, note) : null)));
  }

  function limits({ limit }) {
    if (!limit) return null;
    const steps = [{ in_s: 0, qps: limit.qps, reason: limit.reason }, ...limit.schedule];
    const changes = steps.filter((step, i) => i === 0 || step.qps !== steps[i - 1].qps);
    const last = steps[steps.length - 1].in_s;
    const when = ({ in_s }) => (in_s > 0 ? `in ${duration(in_s)}`
      : changes.length === 1 && last > 0 ? `now and for ${duration(last)}` : "now");
    const row = (words, rate, reason) => [words, qps(rate), "orange", rate, 0, BINDING[reason] ?? reason];
    const most = Math.max(limit.safe_qps, ...changes.map((step) => step.qps));
    const all = bars(most, [...changes.map((step) => row(when(step), step.qps, step.reason)),
      row("after the lease has expired", limit.safe_qps, limit.safe_reason)]);
    const classes = limit.classes.length ? [
      node("h4", {}, "Of it, by class, the most important first (req/s)"),
      bars(most, [...limit.classes].sort((a, b) => a.priority - b.priority).map((c) => [c.name,
        `${qps(c.guaranteed_qps)} guaranteed, ${known(c.ceiling_qps) ? `at most ${qps(c.ceiling_qps)}` : "up to all"}`,
        "orange", c.guaranteed_qps, c.ceiling_qps ?? limit.qps, null])),
    ] : [];
    return part("limit", node("h3", {}, "What gateways may admit (req/s)"), all, ...classes);
  }

  function events({ events: all, at }) {
    const coming = all.filter((event) => event.ends > at).sort((a, b) => a.starts - b.starts);
    const short = (seconds) => moment(seconds).slice(5, 16);
    const told = (event) => {
      const when = event.starts <= at ? `now, ends in ${duration(event.ends - at)}` : `in ${duration(event.starts - at)}`;
      const demand = known(event.qps) ? `${qps(event.qps)} req/s` : `${count(event.multiplier)} times the usual`;
      return node("li", {}, node("strong", {}, event.name),
        `: ${when}; ${demand} (${short(event.starts)} to ${short(event.ends)} UTC)`);
    };
    return part("events", node("h3", {}, "Announced events"), coming.length
      ? node("ul", {}, ...coming.map(told))
      : node("p", { class: "quiet" }, "No event is active or announced."));
  }

  function trust({ trust: t, fan }) {
    const told = (words) => part("trust", node("h3", {}, "Trust in the forecast"), node("p", {}, words));
    const margin = t ? `A margin of ${qps(t.margin_qps)} req/s is added to the observed demand.` : "";
    if (!fan) return told(`There is no forecast. ${margin}`);
    const source = `Forecast by ${fan.source || "an unnamed model"}, from ${moment(fan.origin)}. `;
    if (!t) return told(source);
    const skill = known(t.skill)
      ? `Its loss is ${t.skill.toFixed(2)} times that of the last value (below 1 is better). ` : "";
    return told(`${source}It is ${t.standing}: ${STANDING[t.standing] ?? "see the documentation"}. ${skill}`
      + `Without it a margin of ${qps(t.margin_qps)} req/s would be added to the observed demand.`);
  }

  function ledger({ ledger: l }) {
    const pair = (name, ours, hpa) => [node("h4", {}, name), bars(Math.max(ours, hpa),
      [["tidegate", qps(ours), "green", ours], ["plain HPA", qps(hpa), "quiet", hpa]])];
    return part("ledger", node("h3", {}, `What it came to in ${duration(l.seconds)}`),
      ...pair("replica-hours", l.replica_hours, l.hpa_replica_hours),
      ...pair("seconds in which the ready replicas could not serve the demand", l.short_s, l.hpa_short_s));
  }

  function numbers({ fan }, open) {
    if (!fan) return null;
    const titles = ["*until (UTC)", ...fan.levels.map((level) => `${+(100 * level).toFixed(1)} %`)];
    const rows = !open ? [] : fan.values.map((row, h) => [
      moment(fan.origin + (h + 1) * fan.step_s).slice(5, 16), ...row.map(qps)]);
    const made = node("details", { id: "numbers" }, node("summary", {}, "The forecast in numbers (req/s)"),
      table(titles, rows));
    made.open = open;
    return made;
  }

  const why = ({ words }) => (words.length ? part("why", node("h3", {}, "Why"),
    node("ul", {}, ...words.map((sentence) => node("li", {}, sentence)))) : null);

  const bottom = (view, open) => [why(view), limits(view), ledger(view), trust(view), events(view),
    numbers(view, open)].filter((made) => made !== null);

  /* A text alternative to the chart. */
  const described = (view) => `Demand ${qps(view.observed_qps)} requests per second, `
    + `be ready for ${qps(view.demand_qps)}; floor ${count(view.floor)}, plan ${count(view.plan)}, replicas ${count(view.replicas)}, `
    + `plain HPA ${count(view.hpa_replicas)}. The forecast is in numbers below.`;

  return { top, bottom, described, node, qps, count, money, moment, duration, BINDING };
})();
