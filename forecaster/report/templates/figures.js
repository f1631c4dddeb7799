"use strict";
// Draws each figure from the data beside it, in the colours of a light or a dark page. On a narrow
// page it is drawn higher, for the legend takes more rows, and a finger scrolls instead of zooming.
(() => {
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const colours = () => dark.matches
    ? { ink: "#e3e7eb", box: "#1c2227", edge: "#343b42", band: "rgba(98, 176, 236, " }
    : { ink: "#333a42", box: "#ffffff", edge: "#d9dde2", band: "rgba({{ band_rgb }}, " };
  const paint = (data, layout) => {
    const { ink, box, edge, band } = colours();
    layout.font = { ...layout.font, color: ink };
    layout.hoverlabel = { bgcolor: box, bordercolor: edge, font: { color: ink } };
    for (const trace of data) {
      if (trace.fillcolor) trace.fillcolor = trace.fillcolor.replace(/^rgba\((\d+, ){3}/, band);
      if (trace.meta !== {{ ink|tojson }}) continue;
      trace.line = { ...trace.line, color: ink };
      trace.marker = { ...trace.marker, color: ink };
    }
  };
  const config = { responsive: true, displayModeBar: false };
  const figures = [...document.querySelectorAll(".figure")].map((place) => {
    const source = place.querySelector("script");
    const { data, layout } = JSON.parse(source.textContent);
    source.remove();
    if (place.clientWidth < 520) layout.height = Math.round(1.35 * layout.height);
    if (matchMedia("(pointer: coarse)").matches) layout.dragmode = false;
    return { place, data, layout };
  });
  const draw = () => {
    for (const { place, data, layout } of figures) {
      paint(data, layout);
      Plotly.react(place, data, layout, config);
    }
  };
  dark.addEventListener("change", draw);
  draw();
})();
