/**
 * Round after round: the expert is told what more slices would change, asks for them, and nothing said before is lost.
 */
import { readNifti } from "../fixtures/nifti.ts";
import { correct } from "../fixtures/painting.ts";
import type { Painted } from "../fixtures/painting.ts";
import { expect, test } from "../fixtures/test.ts";
import type { Plane } from "../pages/workbench.ts";

test.use({ startsWithCase: true });

const name = ({ axis, index }: Plane): string => `${axis} ${index}`;

test("the expert goes another round", async ({ phantomCase, workbench, photograph, page }, testInfo) => {
  expect(phantomCase).not.toBe("");
  const painted: Painted[] = [];
  await workbench.takeBrush(3);

  const first = await test.step("correct every slice of the first round and refine", async () => {
    const offered = await workbench.offered();
    for (const plane of offered) {
      painted.push(await correct(workbench, plane, offered));
      await workbench.markDone(plane);
    }
    await workbench.waitUntilSaved();
    await expect(workbench.suggestion).toBeHidden();
    await workbench.refineAndWait();
    return offered;
  });

  await test.step("see what the next slices would change", async () => {
    const change = /(about [\d.]+ % of the segmentation|next to nothing)/;
    const advice = /(you can stop here|another round is worth it)/;
    const suggestion = `The next \\d+ slices would change ${change.source}: ${advice.source}\\.`;
    await expect(workbench.suggestion).toContainText(new RegExp(suggestion));
    // Until a slice says something new.
    await expect(workbench.refine).toBeDisabled();
    await photograph("rounds-1-suggestion");
  });

  const second =
    await test.step("ask for another round: other slices are offered, the corrected ones stay in view", async () => {
      await workbench.goAnotherRound(2);
      const offered = await workbench.offered();
      expect(offered.length).toBeGreaterThan(0);
      expect(offered.map(name).filter((plane) => first.map(name).includes(plane))).toEqual([]);
      for (const plane of first) await expect(workbench.slice(plane)).toHaveAttribute("data-state", "done");
      await expect(page.getByTestId("slices-done")).toHaveText(`0 of ${offered.length} done`);
      const [next] = offered;
      if (!next) throw new Error("the second round offers nothing");
      await expect(workbench.slice(next)).toHaveAttribute("aria-current", "true");
      await photograph("rounds-2-next-slices");
      return next;
    });

  await test.step("reload the page: the round goes on", async () => {
    await page.reload();
    await workbench.waitForSlices();
    await expect(workbench.round).toHaveAttribute("data-round", "2");
    await expect(workbench.slice(first[0] ?? second)).toHaveAttribute("data-state", "done");
  });

  await test.step("correct one of them and refine again", async () => {
    await workbench.takeBrush(3);
    painted.push(await correct(workbench, second, [...first, second]));
    await workbench.markDone(second);
    await workbench.waitUntilSaved();
    await expect(workbench.refine).toHaveText(`Refine with ${first.length + 1} slices`);
    await workbench.refineAndWait();
    await expect(page.getByTestId("version").locator("option")).toHaveText([
      "Refinement 2",
      "Refinement 1",
      "Presegmentation",
    ]);
    await photograph("rounds-3-refined-again");
  });

  await test.step("download: the corrections of both rounds stand", async () => {
    const file = testInfo.outputPath("refined.nii.gz");
    await workbench.download(file);
    const refined = await readNifti(file);
    expect(painted).toHaveLength(first.length + 1);
    for (const { voxel, label } of painted) expect(refined.voxel(voxel), `at ${voxel.join(", ")}`).toBe(label);
  });
});
