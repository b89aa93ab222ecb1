/**
 * After a refinement the expert goes through what it changed, leaves what is wrong, and sees that the corrected slices
 * were kept; what all that took is written down.
 */
import { readFile } from "node:fs/promises";

import { readNifti } from "../fixtures/nifti.ts";
import type { Triple } from "../fixtures/nifti.ts";
import { expect, test } from "../fixtures/test.ts";

test.use({ startsWithCase: true });

const STORED = { sagittal: 0, coronal: 1, axial: 2 } as const;

test("changes are taken or left, and what was decided survives", async ({
  workbench,
  phantomCase,
  page,
  photograph,
}, testInfo) => {
  await expect(workbench.title).toHaveText(phantomCase);
  const painted = await workbench.firstPlane();
  const confirmed = { ...painted };
  const labelAt = async (file: string, voxel: Triple) => {
    await workbench.download(testInfo.outputPath(file));
    return (await readNifti(testInfo.outputPath(file))).voxel(voxel);
  };

  await test.step("one slice is painted on, one is right as it is: the rail tells them apart", async () => {
    await workbench.goTo(painted);
    await workbench.takeBrush(12);
    await workbench.chooseLabel(1);
    await workbench.paint(painted.axis, [0.35, 0.4], [0.6, 0.6]);
    await workbench.markDone(painted);
    // One that no stroke crosses.
    await workbench.goTo(painted);
    for (let step = 0; step < 3; step += 1) await page.keyboard.press("ArrowDown");
    await page.keyboard.press("a");
    await expect(workbench.view(painted.axis)).not.toHaveAttribute("data-index", String(painted.index));
    await expect(workbench.view(painted.axis)).toHaveAttribute("data-target", "true");
    confirmed.index = Number(await workbench.view(painted.axis).getAttribute("data-index"));
    await workbench.markDone(confirmed);
    await expect(workbench.slice(confirmed)).toHaveAttribute("data-unchanged", "true");
    await expect(workbench.slice(confirmed)).toContainText("unchanged");
    await expect(workbench.slice(painted)).toHaveAttribute("data-unchanged", "false");
    await workbench.waitUntilSaved();
  });

  await test.step("refined, the corrected slices are proved to be kept", async () => {
    await workbench.refineAndWait();
    await page.getByTestId("show-changes").click();
    const proof = page.getByTestId("proof");
    await expect(proof).toContainText("2 of 2 corrected slices unchanged");
    await expect(proof).toHaveAttribute("data-kept", "2");
    await photograph("changes-1-list");
  });

  const changes = page.getByTestId("change");
  const sizes = await changes.evaluateAll((rows) => rows.map((row) => Number(row.dataset["voxels"])));
  expect(sizes.length).toBeGreaterThan(0);
  expect(sizes).toEqual([...sizes].sort((a, b) => b - a));
  const largest = changes.first();
  const number = async (name: string) => Number(await largest.getAttribute(`data-${name}`));
  const middle = ((await largest.getAttribute("data-middle")) ?? "").split(",").map(Number) as Triple;
  const [before, after] = [await number("before"), await number("after")];
  expect(before).not.toBe(after);

  await test.step("a key goes to the largest: it is in the views, and in the file", async () => {
    await page.keyboard.press("j");
    await expect(largest.getByTestId("change-jump")).toHaveAttribute("aria-current", "true");
    for (const axis of ["axial", "coronal", "sagittal"] as const)
      await expect(workbench.view(axis)).toHaveAttribute("data-index", String(middle[STORED[axis]]));
    expect(await labelAt("taken.nii.gz", middle)).toBe(after);
  });

  await test.step("left, its voxels are what they were; also after a reload", async () => {
    await page.keyboard.press("y");
    await expect(largest).toHaveAttribute("data-taken", "false");
    await expect(page.getByTestId("change-sum")).toContainText("1 left as before");
    expect(await labelAt("left.nii.gz", middle)).toBe(before);
    await photograph("changes-2-left");
    await page.reload();
    await workbench.waitForSlices();
    await page.getByTestId("show-changes").click();
    await expect(largest).toHaveAttribute("data-taken", "false");
    await expect(page.getByTestId("proof")).toContainText("2 of 2 corrected slices unchanged");
    expect(await labelAt("left-again.nii.gz", middle)).toBe(before);
  });

  await test.step("taken again", async () => {
    await largest.getByTestId("decide-change").click();
    await expect(largest).toHaveAttribute("data-taken", "true");
    expect(await labelAt("taken-again.nii.gz", middle)).toBe(after);
  });

  await test.step("the presegmentation is brought back, and given up again", async () => {
    await page.getByTestId("older-versions").click();
    await page.getByTestId("bring-version-back").click();
    await expect(largest).toHaveAttribute("data-taken", "false");
    expect(await labelAt("older.nii.gz", middle)).toBe(before);
    await page.getByTestId("take-all").click();
    await expect(largest).toHaveAttribute("data-taken", "true");
    expect(await labelAt("newest.nii.gz", middle)).toBe(after);
  });

  await test.step("what each slice took is in the log", async () => {
    await page.getByTestId("show-slices").click();
    await expect(page.getByTestId("time-taken")).toContainText("stroke");
    const [download] = await Promise.all([page.waitForEvent("download"), page.getByTestId("effort-log").click()]);
    const path = testInfo.outputPath("effort.csv");
    await download.saveAs(path);
    const lines = (await readFile(path, "utf8")).trim().split("\n");
    expect(lines[0]).toBe("axis,index,state,seconds,strokes,contour_mm,changed_voxels");
    const cells = lines.map((line) => line.split(","));
    const line = (plane: { axis: string; index: number }) =>
      cells.find(([axis, index]) => axis === plane.axis && Number(index) === plane.index);
    const [, , state, seconds, strokes, contour, voxels] = line(painted) ?? [];
    expect(state).toBe("done");
    expect(Number(seconds)).toBeGreaterThan(0);
    expect(Number(strokes)).toBe(1);
    expect(Number(contour)).toBeGreaterThan(0);
    expect(Number(voxels)).toBeGreaterThan(0);
    expect(line(confirmed)?.[2]).toBe("confirmed unchanged");
  });
});
