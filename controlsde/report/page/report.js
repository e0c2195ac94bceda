// The film. Without it the page shows the first and the last moment, and all else.
"use strict";
(() => {
  const stored = document.getElementById("film-data");
  if (!stored) return; // particles have no film
  const film = JSON.parse(stored.textContent);
  const controls = document.querySelector(".controls");
  const slider = document.getElementById("slider");
  const button = document.querySelector("[data-play]");
  const output = document.querySelector("output");
  const screen = document.querySelector('[data-still="end"]');
  const last = film.times.length - 1;
  const find = (name, key) => screen.querySelector(`[data-${name}="${key}"]`);

  for (const track of Object.values(film.tracks)) {
    if (track.codes !== undefined) drawing.decode(track, film.top);
  }
  stored.frame = (key, k) => Array.from(drawing.frame(film.tracks[key], k, film.points)); // for whoever wants the numbers
  const { nearest } = drawing;
  const ground = film.kind === "lines" ? drawing.ground(film.low, film.high, film.field) : "";

  let shown = last;
  const draw = (index) => {
    const t = film.times[index];
    const at = index === 0 ? ` (${film.ends[0]})` : index === last ? ` (${film.ends[1]})` : "";
    const words = `${drawing.clock(t, film.digits)}${at}`;
    const told = [words];
    for (const [key, track] of Object.entries(film.tracks)) {
      if (film.kind === "lines") {
        const drawn = drawing.path(drawing.between(track, t, film.points), film.low, film.high, film.field);
        find("key", key).setAttribute("d", drawn);
        const area = find("area", key);
        if (area) area.setAttribute("d", drawn && `${drawn}V${ground}H0Z`);
      } else {
        const k = nearest(track.times, t);
        find("panel", key).querySelector("img").src = track.images[k];
        for (const arrows of find("panel", key).querySelectorAll("path")) arrows.setAttribute("d", track.arrows ? track.arrows[k] : "");
      }
      if (track.errors) {
        const error = `L² error ${track.errors.words[nearest(track.errors.times, t)]}`;
        document.querySelector(`[data-error="${key}"]`).textContent = error;
        told.push(error);
      }
    }
    const name = film.kind === "lines" ? screen.querySelector('[role="img"]') : null;
    if (name) name.setAttribute("aria-label", `Density against x at ${words}`);
    output.textContent = words;
    slider.setAttribute("aria-valuetext", told.join(", "));
  };
  const show = (index) => { shown = index; slider.value = index; draw(index); };

  let playing = 0;
  const stop = () => { cancelAnimationFrame(playing); playing = 0; button.textContent = "Play"; };
  const play = () => {
    const first = shown >= last ? 0 : shown;
    let began = null;
    const step = (now) => {
      began ??= now;
      const index = Math.min(last, first + Math.floor((now - began) / 6000 * (last + 1)));
      if (index !== shown) show(index);
      if (index >= last) stop(); else playing = requestAnimationFrame(step);
    };
    button.textContent = "Pause";
    show(first);
    playing = requestAnimationFrame(step);
  };
  const toggle = () => (playing ? stop() : play());

  button.addEventListener("click", toggle);
  slider.addEventListener("input", () => { stop(); show(Number(slider.value)); });
  slider.addEventListener("keydown", (event) => { if (event.key === " ") { event.preventDefault(); toggle(); } });
  controls.addEventListener("submit", (event) => event.preventDefault());
  for (const box of document.querySelectorAll("[data-switch]")) {
    box.addEventListener("change", () => {
      const key = box.dataset.switch;
      for (const part of screen.querySelectorAll(`[data-key="${key}"], [data-area="${key}"], [data-panel="${key}"]`)) {
        part.toggleAttribute("hidden", !box.checked);
      }
    });
  }
  const onPaper = (paper) => { if (paper) stop(); draw(paper ? last : shown); };
  addEventListener("beforeprint", () => onPaper(true));
  addEventListener("afterprint", () => onPaper(false));
  matchMedia("print").addEventListener("change", (media) => onPaper(media.matches));
  document.documentElement.classList.add("js");
  controls.hidden = false;
  show(last);
})();
