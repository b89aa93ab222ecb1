/**
 * How soon a series of real size (512 × 512 × 300, 157 MB) that lies in Orthanc is here, on loopback, beside Orthanc's
 * own time for the whole series by WADO, one after the other so that both see the same machine.
 * `cargo xtask bench pacs` runs it and prints the figures; nothing is claimed here, so nothing fails but what does not
 * work.
 */
import { loadavg } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";

import { SERIES, STUDY, seriesOf } from "../fixtures/dicom.ts";
import { Orthanc } from "../fixtures/orthanc.ts";
import { models } from "../fixtures/project.ts";
import { Server } from "../fixtures/server.ts";
import { generate, test } from "../fixtures/test.ts";

const SIZE = (process.env["I3DEEP_BENCH_SIZE"] ?? "512,512,300").split(",").map(Number) as [number, number, number];
/** As large as the phantoms that the networks know, in many more voxels: they are done soon. */
const SPACING_MM = "0.125,0.125,0.25";
const ROUNDS = 5;

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
    const times = [];
    for (let round = 1; round <= ROUNDS; round += 1) {
      const wado = await orthanc.wholeSeries(STUDY, SERIES);
      const { case: id, ...own } = await opened(server.url);
      await fetch(`${server.url}/api/cases/${id}`, { method: "DELETE" });
      times.push({ wado, ...own });
      const here = `a case ${seconds(own.whole)}, its first slice ${seconds(own.slice)}`;
      console.log(`round ${round}: Orthanc's own ${seconds(wado)}, ${here}; ratio ${(own.whole / wado).toFixed(2)}`);
    }
    const ratios = times.map(({ whole, wado }) => whole / wado).sort((a, b) => a - b);
    console.log(`whole ÷ Orthanc's own: median ${ratios[Math.floor(ROUNDS / 2)]?.toFixed(2)}`);
    console.log(`load of the machine (1 minute): ${loadavg()[0]?.toFixed(1)}`);
  } finally {
    await server.stop();
    await orthanc.stop();
  }
});

/** Opens the series; milliseconds from the asking to the case, and to a slice of it that is here. */
async function opened(server: string): Promise<{ case: string; whole: number; slice: number }> {
  const begun = performance.now();
  const headers = { "content-type": "application/json" };
  const body = JSON.stringify({ study: STUDY, series: [SERIES], bundle: "phantom" });
  const answer = await fetch(`${server}/api/pacs/clinic/imports`, { method: "POST", headers, body });
  const { id } = (await answer.json()) as { id: string };
  for (;;) {
    const imports = (await (await fetch(`${server}/api/imports`)).json()) as
      { id: string; state: string; message: string; case?: string }[];
    const own = imports.find((it) => it.id === id);
    if (own?.state === "failed") throw new Error(own.message);
    if (own?.state === "done" && own.case !== undefined) {
      const whole = performance.now() - begun;
      const slice = `/api/cases/${own.case}/image/0/planes/axial/${Math.floor(SIZE[2] / 2)}`;
      const bytes = await (await fetch(server + slice)).arrayBuffer();
      if (bytes.byteLength === 0) throw new Error("an empty slice");
      return { case: own.case, whole, slice: performance.now() - begun };
    }
    await sleep(10);
  }
}

function seconds(ms: number): string {
  return `${(ms / 1e3).toFixed(2)} s`;
}
