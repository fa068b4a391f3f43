/* Pictures as the page shows them: upright, and shrunk for the screen alone. */

const SIDE = 1600; // pixels of the longer side on the screen, at most
const THUMB = 144;

/** A canvas with the picture and a URL of a thumbnail; both null if the browser cannot show it. */
export async function opened(blob) {
  const url = URL.createObjectURL(blob);
  try {
    const image = new Image();
    image.src = url;
    await image.decode();
    const view = drawn(image, image.naturalWidth, image.naturalHeight, SIDE);
    const thumb = drawn(view, view.width, view.height, THUMB).toDataURL("image/jpeg", 0.8);
    return { view, thumb };
  } catch {
    return { view: null, thumb: null };
  } finally {
    URL.revokeObjectURL(url);
  }
}

function drawn(source, width, height, side) {
  const share = Math.min(1, side / Math.max(width, height));
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(width * share));
  canvas.height = Math.max(1, Math.round(height * share));
  const context = canvas.getContext("2d");
  context.imageSmoothingQuality = "high";
  context.drawImage(source, 0, 0, canvas.width, canvas.height);
  return canvas;
}
