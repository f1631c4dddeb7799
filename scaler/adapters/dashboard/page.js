"use strict";

/* The page: the list of services, the chosen service (named in the address after #), the token. */
(() => {
  const { node, qps, count, money } = Service;
  const by = (id) => document.getElementById(id);
  const FEW = 12; // of up to this many services the first is chosen; of more, none
  const SILENCE_MS = 20000;
  const MIN_DRAW_MS = 250;
  const KEY = "tidegate-token";

  let snapshot = null, view = null, chosen = null, stop = () => {};
  let lastEventAt = performance.now(), drawnAt = 0, drawing = 0, arriving = false;
  const rows = new Map();
  const pastForecasts = new Map(); // past forecasts of the chosen service, by time

  // The token, which is stored for this tab only.
  let token = null;
  try { token = sessionStorage.getItem(KEY); } catch { token = null; }
  function storeToken(value) {
    token = value;
    try {
      if (value) sessionStorage.setItem(KEY, value); else sessionStorage.removeItem(KEY);
    } catch { /* without storage the page asks for the token again */ }
  }

  function showLink(name, words) {
    const link = by("link");
    if (link.textContent !== words) link.textContent = words;
    link.dataset.state = name;
  }
  const setText = (place, text) => { if (place.textContent !== text) place.textContent = text; };

  // The list
  const needsAttention = (line) => line.error !== null || !line.trusted;
  function cells(line) {
    const forecast = line.error ? "no decision" : line.trusted ? "trusted" : "none trusted";
    return [qps(line.observed_qps), qps(line.demand_qps), count(line.ready), count(line.floor), count(line.plan),
      count(line.hpa_replicas), qps(line.limit_qps), (line.binding ?? "–").replaceAll("_", " "), forecast];
  }
  function newRow(name) {
    const wide = [1, 2, 4, 5, 7, 8], words = [7, 8];
    const link = node("a", { href: `#${encodeURIComponent(name)}` }, name);
    const mark = node("span", { class: "bad" });
    const tds = cells({}).map((_, i) => node("td",
      { class: `${wide.includes(i) ? "wide" : ""} ${words.includes(i) ? "text" : ""}` }));
    const row = node("tr", { "data-service": name },
      node("th", { scope: "row", class: "text" }, link, mark), ...tds);
    return { row, link, mark, tds };
  }
  function list() {
    const named = new Set(snapshot.services.map((line) => line.service));
    for (const [name, made] of rows) if (!named.has(name)) { made.row.remove(); rows.delete(name); }
    let before = null;
    for (const line of snapshot.services) {
      if (!rows.has(line.service)) rows.set(line.service, newRow(line.service));
      const { row, link, mark, tds } = rows.get(line.service);
      const place = before ? before.nextSibling : by("rows").firstChild;
      if (place !== row) by("rows").insertBefore(row, place);
      before = row;
      cells(line).forEach((text, i) => setText(tds[i], text));
      tds[7].classList.toggle("bad", needsAttention(line));
      setText(mark, needsAttention(line) ? " (needs attention)" : "");
      row.classList.toggle("chosen", line.service === chosen);
      if (line.service === chosen) link.setAttribute("aria-current", "true");
      else link.removeAttribute("aria-current");
    }
    by("services").hidden = false;
    by("finding").hidden = snapshot.services.length <= 8;
    by("back").hidden = snapshot.services.length <= FEW;
    applyFilter();
  }
  function applyFilter() {
    const part = by("filter").value.trim().toLowerCase(), only = by("troubled").checked;
    let shown = 0;
    for (const line of snapshot.services) {
      const fits = line.service.toLowerCase().includes(part) && (!only || needsAttention(line));
      rows.get(line.service).row.hidden = !fits;
      shown += fits;
    }
    const all = snapshot.services.length;
    const saved = (snapshot.saved ?? []).map(money).join(", ");
    setText(by("count"), `${shown} of ${all}${saved && `; floors ${saved}`}`);
    const missing = chosen !== null && !rows.has(chosen);
    const words = all === 0 ? "There is no policy yet, so there is no service to show."
      : missing ? `There is no service ${chosen} (any more).`
      : shown === 0 ? "No service matches." : chosen === null ? "Choose a service to see its forecast, floor and limit." : "";
    setText(by("none"), words);
    by("none").hidden = words === "";
    by("listing").hidden = shown === 0;
  }

  // The chosen service
  /* Replace only the elements that have changed, which keeps selection and scroll positions. */
  function update(place, made) {
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
    setText(by("name"), view.service);
    update(by("summary"), Service.top(view));
    const focused = document.activeElement?.parentElement?.id === "numbers";
    update(by("more"), Service.bottom(view, by("numbers")?.open ?? false));
    if (focused) by("numbers")?.firstChild.focus();
    if (arriving) {
      arriving = false;
      by("name").focus({ preventScroll: true });
      by("name").scrollIntoView();
    }
    by("figure").setAttribute("aria-label", Service.described(view));
    by("drawn").hidden = !(view.recent || view.fan);
    if (!drawing) {
      drawing = setTimeout(draw, Math.max(0, drawnAt + MIN_DRAW_MS - performance.now()));
    }
  }
  function draw() {
    drawing = 0;
    drawnAt = performance.now();
    if (view === null || by("service").hidden || by("drawn").hidden || document.hidden) return;
    Figure.draw(by("figure"), view, pastForecasts, Number(by("span").value));
  }

  // Events of the stream
  const on = {
    open() {
      if (snapshot) showLink("live", "live"); else showLink("waiting", "connected, waiting for the first tick");
    },
    event(name, data) {
      lastEventAt = performance.now();
      if (name === "service") {
        view = data;
        Figure.remember(pastForecasts, view);
        show();
        return;
      }
      if (name !== "board") return;
      snapshot = data;
      showLink("live", "live");
      const role = data.leader ? "" : " · this replica is not the leader";
      setText(by("tick"), `${Service.moment(data.at)} · tick ${count(data.tick)}, took ${data.seconds.toFixed(2)} s${role}`);
      if (chosen === null && data.services.length > 0 && data.services.length <= FEW) {
        choose(data.services[0].service);
      }
      list();
      show();
    },
    lost(ms) { showLink("lost", `connection lost, retrying in ${Math.round(ms / 1000)} s`); },
    refused(how) {
      const why = how === "forbidden"
        ? "This token is for something else: the page needs role=read."
        : "This token is not accepted.";
      showLink("lost", "a token is needed");
      setText(by("refused"), token ? why : "");
      storeToken(null);
      by("asking").hidden = false;
      by("token").focus();
    },
  };
  function follow() {
    stop();
    const query = chosen === null ? "" : `?service=${encodeURIComponent(chosen)}`;
    stop = Follow.follow(`v1/stream${query}`, token, on);
  }
  /* If there is no event for long, ask the server whether its last tick is too old. */
  async function checkReady() {
    if (by("link").dataset.state === "lost" || performance.now() - lastEventAt < SILENCE_MS) return;
    try {
      const answer = await fetch("readyz", Follow.requestOptions(token));
      if (by("link").dataset.state === "lost") return;
      if (answer.status === 503) showLink("stale", (await answer.json()).detail);
    } catch { /* the stream reports that, too */ }
  }

  // Actions of the user
  function choose(name) {
    if (name === chosen) return;
    chosen = name;
    view = null;
    pastForecasts.clear();
    follow();
  }
  function readAddress() {
    const named = location.hash.slice(1);
    if (named === "services") return;
    let name = null;
    try { name = decodeURIComponent(named) || null; } catch { name = named; }
    const few = snapshot !== null && snapshot.services.length > 0 && snapshot.services.length <= FEW;
    choose(name ?? (few ? snapshot.services[0].service : null));
    if (snapshot === null) return;
    list();
    show();
    if (name === null) by("services").focus();
  }
  addEventListener("hashchange", readAddress);
  by("rows").addEventListener("click", (event) => {
    if (event.target.closest("a") === null) return;
    arriving = true; // the view will follow; its heading then gets the focus
  });
  by("filter").addEventListener("input", applyFilter);
  by("troubled").addEventListener("change", applyFilter);
  by("more").addEventListener("toggle", show, true);
  by("span").addEventListener("change", draw);
  by("asking").addEventListener("submit", (event) => {
    event.preventDefault();
    storeToken(by("token").value.trim());
    by("token").value = "";
    by("asking").hidden = true;
    showLink("waiting", "connecting");
    follow();
  });
  by("plotly").addEventListener("load", draw);
  by("plotly").addEventListener("error", () => {
    by("figure").textContent = "The chart could not be loaded; the numbers below are complete.";
  });
  Figure.dark.addEventListener("change", draw);
  document.addEventListener("visibilitychange", draw);
  // A page that is left may be kept by the browser for "back": its stream must not be.
  addEventListener("pagehide", () => stop());
  addEventListener("pageshow", (event) => { if (event.persisted) follow(); });
  setInterval(checkReady, 5000);
  readAddress();
  if (chosen === null) follow();
})();
