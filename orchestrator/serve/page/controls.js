/* The lists and messages beside the picture. */

import { COLOURS } from "./draw.js";

const MOST_ROWS = 50;

export const at = (id) => document.getElementById(id);

/** An element with properties and children; text stays text. */
function made(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

/** The colour of a class: its place among those of the answer. */
export function colourOf(answer, label) {
  const all = answer.maps?.classes ?? answer.classes;
  return COLOURS[Math.max(0, all.findIndex((one) => one.label === label)) % COLOURS.length];
}

/** The list of models; what is chosen stays chosen if it is still there. */
export function listModels(all, chosen) {
  at("model").replaceChildren(
    ...all.map(({ name, version, state }) => {
      const text = [name, version && `version ${version}`, state !== "ready" && state];
      return made("option", { value: name, selected: name === chosen }, text.filter(Boolean).join(" · "));
    }),
  );
}

/** What stands below the list of models. */
export function describeModel(one) {
  const { method, backbone, classes, state, refused } = one;
  const words = [`${method} on ${backbone}`, counted(classes.length, "class", "classes")];
  if (state === "idle") words.push("loads with the next picture");
  if (state === "failed") words.push("does not answer now");
  if (refused) words.push(`refused: ${refused}`);
  at("about-model").textContent = words.join(" · ");
}

/** All classes that the model considered, best first; one can be shown alone. */
export function listClasses(answer, shown, alone, choose) {
  const all = answer.maps?.classes ?? answer.classes;
  const present = new Set(shown.classes.map(({ label }) => label));
  const noted = all.length ? "Choose one to see it alone." : "The model considered none.";
  at("classes-note").textContent = noted;
  refilled(at("classes"), all.map((one) => {
    const key = made("i", { className: "key" });
    key.style.setProperty("--c", colourOf(answer, one.label));
    const bar = made("i", { className: "bar" });
    bar.style.setProperty("--v", Math.min(1, one.score));
    const label = made("span", { className: "label", title: one.class }, one.class);
    const score = made("span", { className: "score" }, one.score.toFixed(2));
    const button = made("button", { className: present.has(one.label) ? "" : "absent" }, key, label, bar, score);
    button.setAttribute("aria-pressed", String(alone === one.label));
    button.addEventListener("click", () => choose(alone === one.label ? null : one.label));
    return made("li", {}, button);
  }));
}

/* The focus stays in its place of the list. */
function refilled(list, items) {
  const focused = [...list.children].findIndex((item) => item.contains(document.activeElement));
  list.replaceChildren(...items);
  if (focused >= 0) (items[focused]?.querySelector("button") ?? items[focused])?.focus();
}

/** The table of boxes. */
export function listBoxes(detections) {
  at("boxes").replaceChildren(
    ...detections.slice(0, MOST_ROWS).map(({ class: name, score, box }) => {
      const head = made("th", { scope: "row", title: name }, name);
      const cells = [score.toFixed(2), ...box.map((side) => Math.round(side))];
      return made("tr", {}, head, ...cells.map((cell) => made("td", {}, String(cell))));
    }),
  );
  at("boxes-table").hidden = !detections.length;
  const left = detections.length - MOST_ROWS;
  at("boxes-note").textContent = left > 0 ? `And ${left} more, which Copy JSON holds.` : "";
  if (!detections.length) at("boxes-note").textContent = "None.";
}

/** Thumbnails of the session. */
export function listHistory(entries, current, choose) {
  at("history").hidden = entries.length < 1;
  refilled(
    at("history"),
    entries.map((entry, i) => {
      const said = { waiting: "…", working: "…", failed: "!" }[entry.state] ?? String(entry.boxes);
      const button = made("button", { className: entry.state, title: entry.name }, made("b", {}, said));
      if (entry.thumb) button.prepend(made("img", { src: entry.thumb, alt: "" }));
      const words = { waiting: "waiting", working: "asked", failed: "failed" }[entry.state];
      const boxes = words ?? counted(entry.boxes, "box", "boxes");
      button.setAttribute("aria-label", `picture ${i + 1}: ${entry.name}, ${boxes}`);
      if (entry === current) button.setAttribute("aria-current", "true");
      button.addEventListener("click", () => choose(entry));
      return button;
    }),
  );
}

/** An error as the endpoint gives it, or none. */
export function showError(error) {
  at("error").hidden = !error;
  if (!error) return;
  at("error-message").textContent = ended(capital(error.message));
  at("error-hint").textContent = error.hint ? ended(capital(error.hint)) : "";
  at("error-id").textContent = error.requestId ? `request ${error.requestId}` : "";
}

function ended(text) {
  return /[.!?]$/.test(text) ? text : `${text}.`;
}

function capital(text) {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** A message for the eye and for screen readers. */
export function say(text) {
  if (at("said").textContent !== text) at("said").textContent = text;
}

export function counted(count, one, several) {
  return `${count} ${count === 1 ? one : several}`;
}
