"use strict";
for (const viewer of document.querySelectorAll(".viewer")) {
  const slider = viewer.querySelector("input");
  const stops = [...viewer.querySelectorAll("button")];
  const show = () => {
    const place = Number(slider.value);
    for (const layer of viewer.querySelectorAll(".layer")) {
      layer.style.opacity = Math.max(0, 1 - Math.abs(place - Number(layer.dataset.stop)));
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
