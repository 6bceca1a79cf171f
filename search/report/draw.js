"use strict";
(() => {
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const narrow = window.matchMedia("(max-width: 560px)");
  // What pictures are made with, and what takes its place on a dark page.
  const darkened = [
    ["#3b424c", "#c9d0d9"], ["#fefefe", "#161a20"], ["#1f7a8c", "#45a5b8"], ["#7353ba", "#9f86de"],
    ["#d1495b", "#e57584"], ["#1b6f8a", "#3b95b5"], ["#b8324a", "#d95a70"],
  ];

  function read(text, isDark) {
    for (const [light, instead] of isDark ? darkened : []) text = text.replaceAll(light, instead);
    return JSON.parse(text);
  }

  function fit(layout) {
    if (!narrow.matches) return;
    layout.font.size = 12;
    layout.legend.font = {size: 11};
    layout.margin.r = 8;
    layout.margin.l = Math.min(layout.margin.l, 52);
    const bar = layout.coloraxis && layout.coloraxis.colorbar;
    if (bar) Object.assign(bar, {
      orientation: "h", x: 0, xanchor: "left", y: -0.18, yanchor: "top", len: 1,
      title: {text: "drop, pp", side: "top"},
    });
  }

  function draw(isDark) {
    for (const source of document.querySelectorAll("script[data-picture]")) {
      const {data, layout} = read(source.textContent, isDark);
      fit(layout);
      const place = document.getElementById(source.dataset.picture);
      Plotly.newPlot(place, data, layout, {responsive: true, displayModeBar: false});
    }
  }

  const redraw = () => draw(dark.matches);
  redraw();
  dark.addEventListener("change", redraw);
  narrow.addEventListener("change", redraw);
  window.addEventListener("beforeprint", () => draw(false));
  window.addEventListener("afterprint", redraw);
})();
