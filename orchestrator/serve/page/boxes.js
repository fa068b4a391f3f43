/* From maps to boxes by a model's cut-offs, as workloads/localization/{class_boxes,detect}.py do it.

A box is {box: [x0, y0, x1, y1], heat, area}, half-open, in pixels. */

import { ends, levelOf } from "./maps.js";

const f32 = Math.fround;

/** Why boxes cannot be found here, or null: other rules need what the answer does not hold. */
export function whyNot(cutoffs) {
  if (cutoffs.box_rule !== "regions") return null;
  return "boxes of this model are chosen among object proposals, which stay at the endpoint";
}

/** All boxes of the classes whose score is at least `cutoffs.score_threshold`, best first.

@param classes [{label, score, cut}], `cut` from mapsToCut
@returns [{label, score, classScore, box}] */
export function locate(classes, width, height, cutoffs) {
  const least = f32(cutoffs.score_threshold);
  const present = classes.filter(({ score }) => f32(score) >= least);
  const found = present
    .sort((a, b) => a.label - b.label)
    .flatMap((one) => scored(one, width, height, cutoffs));
  return found.sort((a, b) => b.score - a.score); // stable: equals stay by class, then as found
}

function scored({ label, score, cut }, width, height, cutoffs) {
  let boxes = boxesOfClass(cut, width, height, cutoffs, label);
  if (cutoffs.box_rule === "largest") boxes = largest(boxes);
  const isHeat = ["raw_mean", "raw_component"].includes(cutoffs.box_score);
  const weighs = cutoffs.box_rule === "all" || cutoffs.box_score !== "peak";
  return boxes.map(({ box, heat }) => {
    const factor = isHeat ? 1 : f32(score);
    return { label, classScore: score, score: weighs ? f32(factor * heat) : factor, box };
  });
}

function largest(boxes) {
  return boxes.length ? [boxes.reduce((best, one) => (one.area > best.area ? one : best))] : [];
}

function boxesOfClass(cut, width, height, cutoffs, label) {
  const found = cut.flatMap((map) => {
    const level = levelOf(map.map01, cutoffs, label);
    return boxesAtLevel(map, level, cutoffs).map((one) => ({
      ...one,
      box: inImage(one.box, map.map01, width, height),
    }));
  });
  const kept = cutoffs.nms_iou === null ? found : suppressed(found, cutoffs.nms_iou);
  return kept.filter((one) => isWorthKeeping(one, cutoffs));
}

function inImage(box, map, width, height) {
  if (map.width === width && map.height === height) return box;
  const sides = [width, height, width, height];
  const own = [map.width, map.height, map.width, map.height];
  return box.map((side, i) => f32((side * sides[i]) / own[i]));
}

function isWorthKeeping({ box, heat }, cutoffs) {
  const least = Math.min(f32(box[2] - box[0]), f32(box[3] - box[1]));
  if (!(least >= f32(cutoffs.min_box_px))) return false;
  return cutoffs.heat_above === null || heat > f32(cutoffs.heat_above);
}

function boxesAtLevel(cutMap, level, cutoffs) {
  const { map01, raw } = cutMap;
  const tight = cutoffs.box_rule === "tight";
  const found = tight ? tightBox(map01, raw, level) : components(map01, raw, level, cutoffs.connectivity);
  return withHeat(found, cutMap, level, cutoffs);
}

function withHeat(found, { map01, raw }, level, cutoffs) {
  const kind = cutoffs.box_score;
  if (kind === "peak" || !found.length) return found;
  if (kind === "raw_component" && needsPixels(cutoffs)) {
    return found.map((one) => ({ ...one, heat: f32(one.rawSum / one.area) }));
  }
  if (kind === "raw_component") return foregroundMeans(found, map01, raw, level);
  const sumIn = sums(kind === "mean" ? map01 : raw);
  return found.map((one) => ({ ...one, heat: f32(sumIn(one.box) / pixelsIn(one.box)) }));
}

function needsPixels({ box_rule: rule }) {
  return rule === "largest" || rule === "all";
}

function foregroundMeans(found, map01, raw, level) {
  const inside = map01.values.map((value) => (value > level ? 1 : 0));
  const hot = { ...raw, values: raw.values.map((value, i) => (inside[i] ? value : 0)) };
  const [sumIn, countIn] = [sums(hot), sums({ ...map01, values: inside })];
  return found.map((one) => ({ ...one, heat: f32(sumIn(one.box) / countIn(one.box)) }));
}

/* A summed-area table: box to the sum of a map inside it. */
function sums({ values, width, height }) {
  const wide = width + 1;
  const table = new Float64Array(wide * (height + 1));
  for (let y = 0; y < height; y++) {
    let ofRow = 0;
    for (let x = 0; x < width; x++) {
      ofRow += values[y * width + x];
      table[(y + 1) * wide + x + 1] = table[y * wide + x + 1] + ofRow;
    }
  }
  return ([x0, y0, x1, y1]) =>
    table[y1 * wide + x1] - table[y0 * wide + x1] - table[y1 * wide + x0] + table[y0 * wide + x0];
}

function pixelsIn([x0, y0, x1, y1]) {
  return (x1 - x0) * (y1 - y0);
}

/** The one box around all foreground, or none. */
function tightBox(map01, raw, level) {
  const parts = components(map01, raw, level, 8);
  if (!parts.length) return [];
  const all = parts.reduce((a, b) => ({ box: around(a.box, b.box), area: a.area + b.area }));
  return [{ ...all, heat: ends(map01)[1] }];
}

function around(a, b) {
  const low = [Math.min(a[0], b[0]), Math.min(a[1], b[1])];
  return [...low, Math.max(a[2], b[2]), Math.max(a[3], b[3])];
}

/* Components strictly above a level, in raster order of their first pixels.

Runs of foreground in a row are joined with those that they touch in the row above; the first run
of a component stands for it. */
export function components({ values, width, height }, raw, level, connectivity) {
  const reach = connectivity === 8 ? 1 : 0;
  const runs = [];
  let above = [0, 0]; // the runs of the row before: from, to
  for (let y = 0; y < height; y++) {
    const from = runs.length;
    addRuns(runs, values, raw.values, y, width, level);
    joinRows(runs, above, from, reach);
    above = [from, runs.length];
  }
  return runs.filter((run, i) => run.root === i).map(asBox);
}

function addRuns(runs, values, raws, y, width, level) {
  const [begin, end] = [y * width, (y + 1) * width];
  for (let i = begin; i < end; i++) {
    if (!(values[i] > level)) continue;
    const run = { root: runs.length, x0: i - begin, y0: y, x1: 0, y1: y + 1, left: i - begin, right: 0, heat: 0, area: 0, rawSum: 0 };
    for (; i < end && values[i] > level; i++) {
      if (values[i] > run.heat) run.heat = values[i];
      run.rawSum += raws[i];
      run.area += 1;
    }
    run.x1 = run.right = i - begin;
    runs.push(run);
  }
}

function joinRows(runs, [from, to], next, reach) {
  let j = from;
  for (let i = next; i < runs.length; i++) {
    while (j < to && runs[j].right + reach <= runs[i].left) j++;
    for (let k = j; k < to && runs[k].left < runs[i].right + reach; k++) join(runs, i, k);
  }
}

function join(runs, i, k) {
  const [a, b] = [rootOf(runs, i), rootOf(runs, k)];
  if (a === b) return;
  const [kept, lost] = a < b ? [runs[a], runs[b]] : [runs[b], runs[a]];
  lost.root = kept.root;
  kept.x0 = Math.min(kept.x0, lost.x0);
  kept.y0 = Math.min(kept.y0, lost.y0);
  kept.x1 = Math.max(kept.x1, lost.x1);
  kept.y1 = Math.max(kept.y1, lost.y1);
  kept.heat = Math.max(kept.heat, lost.heat);
  kept.area += lost.area;
  kept.rawSum += lost.rawSum;
}

function rootOf(runs, i) {
  while (runs[i].root !== i) {
    runs[i].root = runs[runs[i].root].root;
    i = runs[i].root;
  }
  return i;
}

function asBox({ x0, y0, x1, y1, heat, area, rawSum }) {
  return { box: [x0, y0, x1, y1], heat, area, rawSum };
}

/** Of boxes that overlap by at least that IoU the hottest stays; of equals the larger, the first. */
function suppressed(boxes, iou) {
  const order = boxes.map((_, i) => i).sort((a, b) => boxes[b].heat - boxes[a].heat || boxes[b].area - boxes[a].area);
  const kept = boxes.map(() => true);
  order.forEach((i, position) => {
    if (!kept[i]) return;
    for (const j of order.slice(position + 1)) {
      if (overlap(boxes[i].box, boxes[j].box) >= iou) kept[j] = false;
    }
  });
  return boxes.filter((_, i) => kept[i]);
}

function overlap(a, b) {
  const width = Math.min(a[2], b[2]) - Math.max(a[0], b[0]);
  const height = Math.min(a[3], b[3]) - Math.max(a[1], b[1]);
  if (!(width > 0 && height > 0)) return 0;
  const inter = width * height;
  return inter / (pixelsIn(a) + pixelsIn(b) - inter);
}
