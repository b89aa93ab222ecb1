/**
 * How soon a series of real size (512 × 512 × 300, 157 MB) that lies in Orthanc is here, on loopback, beside Orthanc's
 * own time for the whole series by WADO, one after the other so that both see the same machine: its first slice as a
 * picture that can be looked at, and all of it as a case that can be worked on.
 * `cargo xtask bench pacs` runs it and prints the figures; nothing is claimed here, so nothing fails but what does not
 * work.
 */
import { loadavg } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import { inflateSync } from "node:zlib";

import { SERIES, STUDY, seriesOf } from "../fixtures/dicom.ts";
import { Orthanc } from "../fixtures/orthanc.ts";
import { models } from "../fixtures/project.ts";
import { Server } from "../fixtures/server.ts";
import { generate, test } from "../fixtures/test.ts";

const SIZE = (process.env["I3DEEP_BENCH_SIZE"] ?? "512,512,300").split(",").map(Number) as [number, number, number];
/** As large as the phantoms that the networks know, in many more voxels: they are done soon. */
const SPACING_MM = "0.125,0.125,0.25";
const ROUNDS = 5;
/** Meanwhile what the round before left to do in the background is done. */
const REST_MS = 15_000;

test.use({ hasOwnServer: true });

test("a series of real size comes from Orthanc", async ({}, testInfo) => {
  test.setTimeout(1_800_000);
  test.skip(!Orthanc.isThere(), "Orthanc with its DICOMweb plugin is not installed");
  const scan = await generate(testInfo.outputPath("scan"), ["--size", SIZE.join(","), "--spacing", SPACING_MM]);
  const orthanc = await Orthanc.start();
  const more = ["--pacs", await orthanc.sources()];
  const server = await Server.start(undefined, { models, env: process.env, more });
  try {
    await orthanc.store(await seriesOf(scan, "Doe^Jane"));
    const times: (Times & { wado: number })[] = [];
    for (let round = 1; round <= ROUNDS; round += 1) {
      if (round > 1) await sleep(REST_MS);
      const wado = await orthanc.wholeSeries(STUDY, SERIES);
      const { case: id, ...own } = await opened(server.url);
      await fetch(`${server.url}/api/cases/${id}`, { method: "DELETE" });
      times.push({ wado, ...own });
      const here = `first slice ${seconds(own.picture)}, a case ${seconds(own.whole)}, its slice ${seconds(own.slice)}`;
      console.log(`round ${round}: Orthanc's own ${seconds(wado)}, ${here}; ratio ${(own.whole / wado).toFixed(2)}`);
    }
    const median = (all: number[]): number => all.sort((a, b) => a - b)[Math.floor(ROUNDS / 2)] ?? NaN;
    const of = (which: "wado" | "picture" | "whole" | "slice"): string => seconds(median(times.map((it) => it[which])));
    const parts = [`Orthanc's own ${of("wado")}`, `first slice ${of("picture")}`, `case ${of("whole")}`];
    console.log(`medians: ${parts.join(", ")}, its slice ${of("slice")}`);
    console.log(`whole ÷ Orthanc's own: median ${median(times.map(({ whole, wado }) => whole / wado)).toFixed(2)}`);
    console.log(`load of the machine (1 minute): ${loadavg()[0]?.toFixed(1)}`);
  } finally {
    await server.stop();
    await orthanc.stop();
  }
});

/** Milliseconds from the asking to a picture that is decoded, to the case, and to a slice of it that is here. */
interface Times {
  picture: number;
  whole: number;
  slice: number;
}

/** Opens the series. */
async function opened(server: string): Promise<Times & { case: string }> {
  const begun = performance.now();
  let picture = NaN;
  const headers = { "content-type": "application/json" };
  const body = JSON.stringify({ study: STUDY, series: [SERIES], bundle: "phantom" });
  const answer = await fetch(`${server}/api/pacs/clinic/imports`, { method: "POST", headers, body });
  const { id } = (await answer.json()) as { id: string };
  for (;;) {
    const imports = (await (await fetch(`${server}/api/imports`)).json()) as
      { id: string; state: string; message: string; case?: string; has_picture: boolean }[];
    const own = imports.find((it) => it.id === id);
    if (own?.state === "failed") throw new Error(own.message);
    if (own?.has_picture && Number.isNaN(picture)) {
      const answer = await fetch(`${server}/api/imports/${id}/picture`);
      if (answer.ok && pixels(Buffer.from(await answer.arrayBuffer())) > 0) picture = performance.now() - begun;
    }
    if (own?.state === "done" && own.case !== undefined) {
      const whole = performance.now() - begun;
      const slice = `/api/cases/${own.case}/image/0/planes/axial/${Math.floor(SIZE[2] / 2)}`;
      const bytes = await (await fetch(server + slice)).arrayBuffer();
      if (bytes.byteLength === 0) throw new Error("an empty slice");
      return { case: own.case, picture, whole, slice: performance.now() - begun };
    }
    await sleep(10);
  }
}

/** Decodes a PNG of greys; how many pixels it has. */
function pixels(png: Buffer): number {
  const parts: Buffer[] = [];
  for (let at = 8; at < png.length; at += 12 + png.readUInt32BE(at)) {
    const content = png.subarray(at + 8, at + 8 + png.readUInt32BE(at));
    if (png.toString("latin1", at + 4, at + 8) === "IDAT") parts.push(content);
  }
  const [columns, rows] = [png.readUInt32BE(16), png.readUInt32BE(20)];
  // Each row begins with a byte that says how it is filtered.
  if (inflateSync(Buffer.concat(parts)).length !== (columns + 1) * rows) throw new Error("a picture that is not whole");
  return columns * rows;
}

function seconds(ms: number): string {
  return `${(ms / 1e3).toFixed(2)} s`;
}
