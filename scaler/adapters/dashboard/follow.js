"use strict";

/* The stream of ticks, read by `fetch`, for EventSource cannot send a token.
 * Source of the format: WHATWG HTML, 9.2 "Server-sent events". */
const Follow = (() => {
  const SILENCE_MS = 40000; // the server sends at least a comment every 15 s
  const FIRST_MS = 1000;
  const LAST_MS = 15000;

  const pause = (ms, signal) => new Promise((done) => {
    const timer = setTimeout(done, ms);
    signal.addEventListener("abort", () => { clearTimeout(timer); done(); });
  });

  /* Return the options of a request: headers and credentials. */
  function requestOptions(token) {
    return token
      ? { headers: { authorization: `Bearer ${token}` }, credentials: "omit", cache: "no-store" }
      : { credentials: "same-origin", cache: "no-store" };
  }

  function dispatch(block, on) {
    let name = "message";
    const data = [];
    for (const line of block.split("\n")) {
      if (line.startsWith("event:")) name = line.slice(6).trim();
      if (line.startsWith("data:")) data.push(line.slice(5).replace(/^ /, ""));
    }
    if (data.length) on.event(name, JSON.parse(data.join("\n")));
  }

  /* Read events until the stream ends. */
  async function read(body, on, onData) {
    const reader = body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      onData();
      rest += value;
      const blocks = rest.split("\n\n");
      rest = blocks.pop();
      for (const block of blocks) dispatch(block, on);
    }
  }

  async function readStream(url, token, on, signal) {
    const silent = new AbortController();
    const stop = () => silent.abort();
    signal.addEventListener("abort", stop);
    let timer = setTimeout(stop, SILENCE_MS);
    const onData = () => { clearTimeout(timer); timer = setTimeout(stop, SILENCE_MS); };
    try {
      const answer = await fetch(url, { ...requestOptions(token), signal: silent.signal });
      if (answer.status === 401) return "refused";
      if (answer.status === 403) return "forbidden";
      if (!answer.ok) return "lost";
      onData();
      on.open();
      await read(answer.body, on, onData);
      return "ended";
    } finally {
      clearTimeout(timer);
      signal.removeEventListener("abort", stop);
    }
  }

  /* Follow `url` until the returned function is called.
   * on.open(), on.event(name, data), on.lost(ms until the next try), on.refused(how): needs a token. */
  function follow(url, token, on) {
    const all = new AbortController();
    (async () => {
      let wait = FIRST_MS;
      while (!all.signal.aborted) {
        let how = "lost";
        const open = () => { wait = FIRST_MS; on.open(); };
        try {
          how = await readStream(url, token, { ...on, open }, all.signal);
        } catch (error) {
          if (!all.signal.aborted) console.warn(String(error));
        }
        if (all.signal.aborted) return;
        if (how === "refused" || how === "forbidden") { on.refused(how); return; }
        on.lost(wait);
        await pause(wait, all.signal);
        wait = Math.min(2 * wait, LAST_MS);
      }
    })();
    return () => all.abort();
  }

  return { follow, requestOptions };
})();
