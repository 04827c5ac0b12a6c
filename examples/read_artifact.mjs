// Reads the files beside an exported network, and prepares a pixel for it. For Node and browsers.
//
//     node examples/read_artifact.mjs canet.onnx.json 255 128 0
//
// prints the labels, the description of the input, and the network input for this pixel.

import { readFile } from "node:fs/promises";
import { dirname, join } from "node:path";

// In a browser: JSON.parse(await (await fetch("canet.onnx.json")).text())
export async function readDescription(path) {
  const model = JSON.parse(await readFile(path, "utf8"));
  if (model.schema !== 1) {
    throw new Error(`${path} has schema ${model.schema}; this program reads schema 1`);
  }
  const text = await readFile(join(dirname(path), model.labels), "utf8");
  return { ...model, names: text.split("\n").slice(0, -1) };
}

// Returns the tensor data for RGB pixels from 0 to 255, channels last.
export function toInput(pixels, model) {
  const { inside, mean, std, channel_order } = model.preprocessing;
  if (inside) {
    return Uint8Array.from(pixels);
  }
  const channels = mean.length;
  return Float32Array.from(pixels, (_, i) => {
    const c = i % channels;
    const source = channel_order === "BGR" ? i - c + (channels - 1 - c) : i;
    return (pixels[source] / 255 - mean[c]) / std[c];
  });
}

if (process.argv[1]?.endsWith("read_artifact.mjs")) {
  const [path, ...pixel] = process.argv.slice(2);
  const model = await readDescription(path);
  const { names, input, output } = model;
  console.log(JSON.stringify({ names, input, output, data: [...toInput(pixel.map(Number), model)] }));
}
