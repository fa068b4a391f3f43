/* A picture with boxes, points and heat on a canvas. */

/** Colours of classes on pictures, in the order of the list. */
export const COLOURS = ["#33ddff", "#ffb340", "#4ee28a", "#d8a2ff", "#ff8fa8", "#fff06a"];

const RAMP = [[0, 0, 4], [66, 10, 104], [147, 38, 103], [221, 81, 58], [252, 165, 10], [252, 255, 164]];
const WHITE = 0xffffffff;
const FONT = "system-ui, sans-serif";

/** Paint a scene over all of a canvas.

@param scene {view, heat, opacity, width, height, boxes, points}: width and height are those of the
  image, in whose pixels boxes {box, colour, text} and points {point, colour} are given
@param unit canvas pixels of one pixel of the screen */
export function paint(canvas, scene, unit) {
  const context = canvas.getContext("2d");
  const [across, down] = [canvas.width / scene.width, canvas.height / scene.height];
  context.imageSmoothingQuality = "high";
  context.clearRect(0, 0, canvas.width, canvas.height);
  if (scene.view) context.drawImage(scene.view, 0, 0, canvas.width, canvas.height);
  if (scene.heat) paintHeat(context, scene, canvas);
  const boxes = scene.boxes.map((one) => ({
    ...one,
    box: one.box.map((side, i) => side * (i % 2 ? down : across)),
  }));
  for (const one of boxes.toReversed()) paintBox(context, one, unit);
  for (const one of scene.points) {
    paintPoint(context, one.point[0] * across, one.point[1] * down, one.colour, unit);
  }
  for (const one of boxes.toReversed()) paintText(context, one, unit, canvas);
}

function paintHeat(context, { heat, opacity }, canvas) {
  context.save();
  context.globalAlpha = opacity;
  context.drawImage(heat, 0, 0, canvas.width, canvas.height);
  context.restore();
}

function paintBox(context, { box: [x0, y0, x1, y1], colour }, unit) {
  for (const [style, width] of [["#000a", 4.5], [colour, 2.5]]) {
    context.strokeStyle = style;
    context.lineWidth = width * unit;
    context.strokeRect(x0, y0, x1 - x0, y1 - y0);
  }
}

function paintPoint(context, x, y, colour, unit) {
  for (const [style, radius] of [["#000c", 7.5], ["#fff", 6], [colour, 4.5]]) {
    context.fillStyle = style;
    context.beginPath();
    context.arc(x, y, radius * unit, 0, 2 * Math.PI);
    context.fill();
  }
}

/* Above the box; inside where there is no room. */
function paintText(context, { box: [x0, y0], colour, text }, unit, canvas) {
  const [size, pad] = [13 * unit, 5 * unit];
  context.font = `600 ${size}px ${FONT}`;
  const wide = context.measureText(text).width + 2 * pad;
  const high = size + pad;
  const x = Math.max(0, Math.min(x0 - unit, canvas.width - wide));
  const y = y0 >= high ? y0 - high : y0;
  context.fillStyle = "#000c";
  context.fillRect(x, y, wide, high);
  context.fillStyle = colour;
  context.textBaseline = "middle";
  context.fillText(text, x + pad, y + high / 2);
}

/** A map in [0, 1] as a canvas of its size, with a line around what is above a level. */
export function heatCanvas({ values, width, height }, level) {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [width, height];
  const context = canvas.getContext("2d");
  const image = context.createImageData(width, height);
  const pixels = new Uint32Array(image.data.buffer);
  const colours = palette();
  for (let i = 0; i < values.length; i++) {
    pixels[i] = isEdge(values, i, width, level) ? WHITE : colours[Math.round(values[i] * 255)];
  }
  context.putImageData(image, 0, 0);
  return canvas;
}

function isEdge(values, i, width, level) {
  if (!(values[i] > level)) return false;
  const [x, right, below] = [i % width, values[i + 1], values[i + width]];
  return (x + 1 < width && !(right > level)) || (x > 0 && !(values[i - 1] > level)) ||
    (i + width < values.length && !(below > level)) || (i >= width && !(values[i - width] > level));
}

/* The hotter, the brighter and the less transparent. */
function palette() {
  return Uint32Array.from({ length: 256 }, (_, i) => {
    const place = (i / 255) * (RAMP.length - 1);
    const cell = Math.min(Math.floor(place), RAMP.length - 2);
    const mix = (k) => RAMP[cell][k] + (RAMP[cell + 1][k] - RAMP[cell][k]) * (place - cell);
    const bytes = [mix(0), mix(1), mix(2), 255 * (0.45 + 0.55 * (i / 255))].map(Math.round);
    return new Uint32Array(Uint8Array.from(bytes).buffer)[0];
  });
}
