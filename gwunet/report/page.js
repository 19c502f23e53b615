"use strict";
for (const viewer of document.querySelectorAll(".viewer")) {
  const slider = viewer.querySelector("input");
  const stops = [...viewer.querySelectorAll("button")];
  const show = () => {
    const place = Number(slider.value);
    for (const layer of viewer.querySelectorAll(".layer")) {
      const opacity = Math.max(0, 1 - Math.abs(place - Number(layer.dataset.stop)));
      layer.style.opacity = opacity;
      layer.style.visibility = opacity > 0 ? "visible" : "hidden";  // what is not seen is not read out either
    }
    slider.setAttribute("aria-valuetext", stops[Math.round(place)].textContent);
  };
  slider.addEventListener("input", show);
  for (const stop of stops) {
    stop.addEventListener("click", () => { slider.value = stop.value; show(); });
  }
  show();
}
addEventListener("beforeprint", () => {
  for (const each of document.querySelectorAll("details:not(.long)")) each.open = true;
});
