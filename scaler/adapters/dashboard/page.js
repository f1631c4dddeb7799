"use strict";

/* The list of services, the one that is chosen (in the address, after #), and the token. */
(() => {
  const { node, qps, count } = Service;
  const by = (id) => document.getElementById(id);
  const FEW = 12; // so many are a glance; of more, none is chosen until somebody does
  const QUIET_MS = 20000;
  const LEAST_DRAW_MS = 250;
  const KEY = "tidegate-token";

  let board = null, view = null, chosen = null, stop = () => {};
  let heardAt = performance.now(), drawnAt = 0, drawing = 0, arriving = false;
  const rows = new Map();
  const memory = new Map(); // what the forecast of the chosen service has said

  // The token: of this tab alone.
  let token = null;
  try { token = sessionStorage.getItem(KEY); } catch { token = null; }
  function keep(value) {
    token = value;
    try {
      if (value) sessionStorage.setItem(KEY, value); else sessionStorage.removeItem(KEY);
    } catch { /* a browser without storage asks again */ }
  }

  function state(name, words) {
    const link = by("link");
    if (link.textContent !== words) link.textContent = words;
    link.dataset.state = name;
  }
  const put = (place, text) => { if (place.textContent !== text) place.textContent = text; };

  // The list
  const troubled = (line) => line.error !== null || !line.trusted;
  function cells(line) {
    const forecast = line.error ? "no decision" : line.trusted ? "trusted" : "none trusted";
    return [qps(line.observed_qps), qps(line.demand_qps), count(line.ready), count(line.floor),
      count(line.hpa_replicas), qps(line.limit_qps), (line.binding ?? "–").replaceAll("_", " "), forecast];
  }
  function added(name) {
    const wide = [1, 2, 4, 6, 7], words = [6, 7];
    const link = node("a", { href: `#${encodeURIComponent(name)}` }, name);
    const mark = node("span", { class: "bad" });
    const tds = cells({}).map((_, i) => node("td",
      { class: `${wide.includes(i) ? "wide" : ""} ${words.includes(i) ? "text" : ""}` }));
    const row = node("tr", { "data-service": name },
      node("th", { scope: "row", class: "text" }, link, mark), ...tds);
    return { row, link, mark, tds };
  }
  function list() {
    const named = new Set(board.services.map((line) => line.service));
    for (const [name, made] of rows) if (!named.has(name)) { made.row.remove(); rows.delete(name); }
    let before = null;
    for (const line of board.services) {
      if (!rows.has(line.service)) rows.set(line.service, added(line.service));
      const { row, link, mark, tds } = rows.get(line.service);
      const place = before ? before.nextSibling : by("rows").firstChild;
      if (place !== row) by("rows").insertBefore(row, place);
      before = row;
      cells(line).forEach((text, i) => put(tds[i], text));
      tds[7].classList.toggle("bad", troubled(line));
      put(mark, troubled(line) ? " (needs attention)" : "");
      row.classList.toggle("chosen", line.service === chosen);
      if (line.service === chosen) link.setAttribute("aria-current", "true");
      else link.removeAttribute("aria-current");
    }
    by("services").hidden = false;
    by("finding").hidden = board.services.length <= 8;
    by("back").hidden = board.services.length <= FEW;
    find();
  }
  function find() {
    const part = by("filter").value.trim().toLowerCase(), only = by("troubled").checked;
    let shown = 0;
    for (const line of board.services) {
      const fits = line.service.toLowerCase().includes(part) && (!only || troubled(line));
      rows.get(line.service).row.hidden = !fits;
      shown += fits;
    }
    const all = board.services.length;
    put(by("count"), `${shown} of ${all}`);
    const missing = chosen !== null && !rows.has(chosen);
    const words = all === 0 ? "There is no policy yet, so there is no service to show."
      : missing ? `There is no service ${chosen} (any more).`
      : shown === 0 ? "No service is like that." : chosen === null ? "Choose one to see its forecast, floor and limit." : "";
    put(by("none"), words);
    by("none").hidden = words === "";
    by("listing").hidden = shown === 0;
  }

  // The chosen service
  /* Replace only what has changed: what is selected or scrolled stays so. */
  function settle(place, made) {
    made.forEach((fresh, i) => {
      const old = place.children[i];
      if (old === undefined) place.append(fresh);
      else if (!old.isEqualNode(fresh)) {
        const scrolled = [...old.querySelectorAll(".scroll")].map((table) => table.scrollLeft);
        old.replaceWith(fresh);
        fresh.querySelectorAll(".scroll").forEach((table, t) => { table.scrollLeft = scrolled[t] ?? 0; });
      }
    });
    while (place.children.length > made.length) place.lastChild.remove();
  }
  function show() {
    const here = view !== null && view.service === chosen && rows.has(chosen);
    by("service").hidden = !here;
    document.title = here ? `${chosen} · tidegate` : "tidegate";
    if (!here) return;
    put(by("name"), view.service);
    settle(by("told"), Service.top(view));
    const focused = document.activeElement?.parentElement?.id === "numbers";
    settle(by("more"), Service.bottom(view, by("numbers")?.open ?? false));
    if (focused) by("numbers")?.firstChild.focus();
    if (arriving) {
      arriving = false;
      by("name").focus({ preventScroll: true });
      by("name").scrollIntoView();
    }
    by("figure").setAttribute("aria-label", Service.described(view));
    by("drawn").hidden = !(view.recent || view.fan);
    if (!drawing) {
      drawing = setTimeout(draw, Math.max(0, drawnAt + LEAST_DRAW_MS - performance.now()));
    }
  }
  function draw() {
    drawing = 0;
    drawnAt = performance.now();
    if (view === null || by("service").hidden || by("drawn").hidden || document.hidden) return;
    Figure.draw(by("figure"), view, memory, Number(by("span").value));
  }

  // What comes
  const on = {
    open() {
      if (board) state("live", "live"); else state("waiting", "connected, waiting for the first tick");
    },
    event(name, data) {
      heardAt = performance.now();
      if (name === "service") {
        view = data;
        Figure.remember(memory, view);
        show();
        return;
      }
      if (name !== "board") return;
      board = data;
      state("live", "live");
      const role = data.leader ? "" : " · this replica follows the leader";
      put(by("tick"), `${Service.moment(data.at)} · tick ${count(data.tick)}, took ${data.seconds.toFixed(2)} s${role}`);
      if (chosen === null && data.services.length > 0 && data.services.length <= FEW) {
        choose(data.services[0].service);
      }
      list();
      show();
    },
    lost(ms) { state("lost", `connection lost, retrying in ${Math.round(ms / 1000)} s`); },
    refused() {
      state("lost", "a token is needed");
      put(by("refused"), token ? "This token is not accepted." : "");
      keep(null);
      by("asking").hidden = false;
      by("token").focus();
    },
  };
  function follow() {
    stop();
    const query = chosen === null ? "" : `?service=${encodeURIComponent(chosen)}`;
    stop = Follow.follow(`v1/stream${query}`, token, on);
  }
  /* A loop that stands still says nothing: the server knows after how long that is a fault. */
  async function look() {
    if (by("link").dataset.state === "lost" || performance.now() - heardAt < QUIET_MS) return;
    try {
      const answer = await fetch("readyz", Follow.asked(token));
      if (by("link").dataset.state === "lost") return;
      if (answer.status === 503) state("stale", (await answer.json()).detail);
    } catch { /* the stream will notice it, too */ }
  }

  // What somebody does
  function choose(name) {
    if (name === chosen) return;
    chosen = name;
    view = null;
    memory.clear();
    follow();
  }
  function addressed() {
    const named = location.hash.slice(1);
    if (named === "services") return;
    let name = null;
    try { name = decodeURIComponent(named) || null; } catch { name = named; }
    const few = board !== null && board.services.length > 0 && board.services.length <= FEW;
    choose(name ?? (few ? board.services[0].service : null));
    if (board === null) return;
    list();
    show();
    if (name === null) by("services").focus();
  }
  addEventListener("hashchange", addressed);
  by("rows").addEventListener("click", (event) => {
    if (event.target.closest("a") === null) return;
    arriving = true; // the view comes in a moment; its heading is where a reader goes on
  });
  by("filter").addEventListener("input", find);
  by("troubled").addEventListener("change", find);
  by("more").addEventListener("toggle", show, true);
  by("span").addEventListener("change", draw);
  by("asking").addEventListener("submit", (event) => {
    event.preventDefault();
    keep(by("token").value.trim());
    by("token").value = "";
    by("asking").hidden = true;
    state("waiting", "connecting");
    follow();
  });
  by("plotly").addEventListener("load", draw);
  by("plotly").addEventListener("error", () => {
    by("figure").textContent = "The drawing could not be loaded; the numbers are complete.";
  });
  Figure.dark.addEventListener("change", draw);
  document.addEventListener("visibilitychange", draw);
  setInterval(look, 5000);
  addressed();
  if (chosen === null) follow();
})();
