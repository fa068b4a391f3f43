/* What is found in a picture, at the cut-offs of the sliders. */

import { locate, whyNot } from "./boxes.js";
import { levelOf, mapsToCut } from "./maps.js";

const MOST_PIXELS = 4e7; // of maps at the size of the image that are kept; a float32 each
const kept = new Map(); // from a class of an answer to its maps, the oldest first

/** Cut-offs of an answer, with those of the sliders where they were moved (else null). */
export function cutoffsOf(answer, { cutoff, minScore }) {
  const own = answer.maps.cutoffs;
  const level = cutoff === null ? {} : { cutoff, class_cutoffs: [] };
  return { ...own, ...level, score_threshold: minScore ?? answer.maps.min_score };
}

/** Why the cut-off cannot be moved for an answer, or null. */
export function whyFixed(answer) {
  if (!answer.maps) return "the endpoint sent no maps";
  const { threshold } = answer.maps.cutoffs;
  if (threshold === "mean") return "this model cuts each map at its own mean";
  return whyNot(answer.maps.cutoffs);
}

/** The lowest score for which boxes are known. */
export function leastScore({ maps: { cutoffs, min_score: own } }) {
  return whyNot(cutoffs) ? own : 0;
}

/** Detections and classes to show, as an answer of the endpoint holds them.

At the model's own values they are the endpoint's; elsewhere they are found here. */
export function shownOf(answer, moved) {
  const { detections, classes } = answer;
  if (!answer.maps || (moved.cutoff === null && moved.minScore === null)) return { detections, classes };
  const cutoffs = cutoffsOf(answer, moved);
  const least = Math.fround(cutoffs.score_threshold);
  const all = answer.maps.classes;
  const present = all.filter(({ score }) => score >= least);
  const outward = present.map(({ label, class: name, score, point }) => ({ label, class: name, score, point }));
  if (whyNot(cutoffs)) {
    return { detections: detections.filter((one) => one.class_score >= least), classes: outward };
  }
  const cut = present.map((one) => ({ ...one, cut: cutMapsOf(one, answer, cutoffs) }));
  const found = locate(cut, answer.width, answer.height, cutoffs);
  const byLabel = new Map(all.map((one) => [one.label, one]));
  return { detections: found.map((one) => outwardBox(one, byLabel.get(one.label))), classes: outward };
}

function outwardBox({ label, score, classScore, box }, { class: name, point }) {
  return { label, class: name, score, class_score: classScore, box, point };
}

function cutMapsOf(one, { width, height }, cutoffs) {
  const maps = kept.get(one) ?? mapsToCut(one.raws, width, height, cutoffs);
  kept.delete(one);
  kept.set(one, maps);
  let pixels = 0;
  for (const [old, its] of [...kept].toReversed()) {
    pixels += its.reduce((sum, { raw }) => sum + 2 * raw.values.length, 0);
    if (pixels > MOST_PIXELS && old !== one) kept.delete(old);
  }
  return maps;
}

/** The map of a class at a size for the screen, {map01, level}. */
export function heatOf(answer, one, width, height, moved) {
  const cutoffs = cutoffsOf(answer, moved);
  const raws = cutoffs.scales === "mean" ? one.raws : one.raws.slice(0, 1);
  const [{ map01 }] = mapsToCut(raws, width, height, { ...cutoffs, upsample: "first" });
  return { map01, level: levelOf(map01, cutoffs, one.label) };
}
