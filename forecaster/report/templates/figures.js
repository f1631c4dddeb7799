"use strict";
// Draws each figure from the data beside it, in the colours of a light or a dark page. On a narrow
// page it is drawn higher, for the legend takes more rows, and a finger scrolls instead of zooming.
(() => {
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const palette = Object.entries({{ dark|tojson }});
  const painted = (source) => (dark.matches
    ? palette.reduce((text, [light, other]) => text.replaceAll(`"${light}`, `"${other}`), source)
    : source);
  const config = { responsive: true, displayModeBar: false };
  const figures = [...document.querySelectorAll(".figure")].map((place) => {
    const script = place.querySelector("script");
    const source = script.textContent;
    script.remove();
    return { place, source };
  });
  const fit = (place, layout) => {
    if (place.clientWidth < 520) {
      layout.height = Math.round(1.2 * layout.height);
      layout.margin = { ...layout.margin, l: 48, r: 24 };
      for (const [name, axis] of Object.entries(layout)) {
        if (name.startsWith("xaxis") && axis.tickvals === undefined) axis.nticks = 4;
      }
    }
    if (matchMedia("(pointer: coarse)").matches) layout.dragmode = false;
  };
  const draw = () => {
    for (const { place, source } of figures) {
      const { data, layout } = JSON.parse(painted(source));
      fit(place, layout);
      Plotly.react(place, data, layout, config);
    }
  };
  dark.addEventListener("change", draw);
  draw();
})();
