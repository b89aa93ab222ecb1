/** Whoever has a folder that nnU-Net trained works with it, on a machine without Python. */
import { execFile } from "node:child_process";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";

import { readNifti } from "../fixtures/nifti.ts";
import { correct } from "../fixtures/painting.ts";
import type { Painted } from "../fixtures/painting.ts";
import { binary, trained } from "../fixtures/project.ts";
import { Server } from "../fixtures/server.ts";
import { expect, test } from "../fixtures/test.ts";

test.use({ hasOwnServer: true });

test("a trained nnU-Net becomes a bundle, learns from the corrections and refines", async ({
  caseList,
  workbench,
  page,
  phantomScan,
}, testInfo) => {
  // No Python, no nnU-Net, no tools: the program finds nothing on its path.
  const nothing = testInfo.outputPath("nothing");
  const models = testInfo.outputPath("models");
  await Promise.all([nothing, models].map((folder) => mkdir(folder)));
  const env = { ...process.env, PATH: nothing };

  await test.step("the folder becomes a bundle with one command", async () => {
    const create = ["bundle", "create", "--presegmentation", trained, "--name", "own"];
    const { stdout } = await promisify(execFile)(binary, [...create, "-o", join(models, "own")], { env });
    expect(stdout).toContain("refines by adaptation");
  });

  const server = await Server.start(undefined, { models, env });
  try {
    await page.goto(server.url);
    await caseList.send("own", phantomScan, "mine");
    await caseList.waitForPresegmentation("mine");
    await caseList.openCase("mine");
    await workbench.waitForSlices();
    const chosen = (await workbench.planes()).slice(0, 3);
    const painted: Painted[] = [];
    await test.step("correct three slices", async () => {
      await workbench.takeBrush(3);
      for (const plane of chosen) {
        painted.push(await correct(workbench, plane, chosen));
        await workbench.markDone(plane);
      }
      await workbench.waitUntilSaved();
    });
    await workbench.refineAndWait();
    const file = testInfo.outputPath("refined.nii.gz");
    await workbench.download(file);
    const refined = await readNifti(file);
    expect(painted).toHaveLength(3);
    for (const { voxel, label } of painted) expect(refined.voxel(voxel)).toBe(label);
    await test.step("the result says what was learned, or why nothing was", async () => {
      const ofCase = `${server.url}/api/cases/${new URL(page.url()).pathname.split("/").at(-1)}`;
      const { versions } = (await (await fetch(ofCase)).json()) as { versions: string[] };
      const answer = await fetch(`${ofCase}/segmentations/${versions.at(-1)}/provenance`);
      const provenance = (await answer.json()) as { bundle: string; made_with: { adaptation: string | null } };
      expect(provenance.bundle).toBe("own");
      expect(provenance.made_with.adaptation).toMatch(/^the network was (not )?adapted/);
    });
  } finally {
    await server.stop();
  }
});
