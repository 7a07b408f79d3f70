"""What the tests ask of the page, as JavaScript expressions."""

from __future__ import annotations

FINISHED = "document.body.dataset.state === 'error' || 'check' in document.body.dataset"
DONE = "document.body.dataset.state !== 'loading'"
# The package as a page without an import map has it: what it would import by name is handed to it.
LOADED = """
  const [{ openBundle, openManifest }, ort] = await Promise.all(
    ["mirrorkit/src/browser.mjs", "ort.wasm.bundle.min.mjs"]
      .map((name) => import(new URL(`vendor/${name}`, document.baseURI))),
  );
"""
# With a variant's name and texts as JSON: their vectors, computed by the page's own modules.
VECTORS = (
    """(async (name, texts) => {"""
    + LOADED
    + """
  const encoder = await (await openManifest("bundle", { ort })).encoder(name, { exact: true });
  const vectors = await encoder.encode(texts);
  await encoder.close();
  return vectors.map((vector) => Array.from(vector));
})(%s, %s)"""
)
# The lowest contrast (WCAG 2) of any number in the heat map, as painted: a canvas turns each colour into sRGB.
CONTRAST = """(() => {
  const context = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
  const light = (colour) => {
    context.fillStyle = colour;
    context.fillRect(0, 0, 1, 1);
    const [r, g, b] = [...context.getImageData(0, 0, 1, 1).data].map((value) => value / 255)
      .map((value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ratios = [...document.querySelectorAll(".heat")].map((cell) => {
    const { color, backgroundColor } = getComputedStyle(cell);
    const [low, high] = [light(color), light(backgroundColor)].sort((a, b) => a - b);
    return (high + 0.05) / (low + 0.05);
  });
  return Math.min(...ratios);
})()"""
