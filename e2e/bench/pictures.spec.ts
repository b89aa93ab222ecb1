/**
 * The pictures of the guide and the README, from a session on a real scan: a hippocampus that nothing was trained on,
 * whose offered slices are corrected as its own labels say, voxel by voxel. The page is as it is; only then is it
 * photographed. `npx playwright test --config bench/playwright.config.ts pictures` makes them anew, and says what the
 * session was worth.
 */
import { copyFile, readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Page } from "@playwright/test";

import { readNifti } from "../fixtures/nifti.ts";
import type { Nifti, Triple } from "../fixtures/nifti.ts";
import { root } from "../fixtures/project.ts";
import { expect, test } from "../fixtures/test.ts";
import type { Axis, Plane, WorkbenchPage } from "../pages/workbench.ts";

const CASE = process.env["I3DEEP_PICTURES_CASE"] ?? "hippocampus_025";
const DATA = join(root, "..", "shared", "data", "hippocampus");
const PICTURES = join(root, "docs", "pictures");
/** Both kinds of scan are stored along the patient's axes. */
const STORED_AXIS: Record<Axis, 0 | 1 | 2> = { sagittal: 0, coronal: 1, axial: 2 };

/** Five networks, each in every mirror, on a machine that may be busy. */
const PATIENTLY = { timeout: 1_500_000 };

test.use({ viewport: { width: 1360, height: 800 } });

test("a session on a real scan", async ({ caseList, workbench, page }, testInfo) => {
  test.setTimeout(3_000_000);
  const truth = await readNifti(join(DATA, "labelsTr", `${CASE}.nii.gz`));
  const scan = testInfo.outputPath("scan.nii.gz");
  await copyFile(join(DATA, "imagesTr", `${CASE}_0000.nii.gz`), scan);
  await caseList.open();
  await caseList.send("hippocampus", scan, "Left temporal lobe");
  const row = caseList.row("Left temporal lobe");
  await expect(row).toHaveAttribute("data-stage", "correcting", PATIENTLY);
  await page.getByTestId("case-note").fill("before the meeting on Thursday");
  await page.getByTestId("case-note").blur();
  await picture(page, "list");
  await caseList.openCase("Left temporal lobe");
  await workbench.waitForSlices();
  const before = await labels(workbench, testInfo.outputPath("before.nii.gz"));
  const plane = await workbench.firstPlane();
  await workbench.goTo(plane);
  await rest(page);
  await picture(page, "workbench");
  await page.keyboard.press("u");
  await rest(page);
  await picture(page, "uncertainty");
  await page.keyboard.press("u");

  for (const [number, offered] of (await workbench.offered()).entries()) {
    await workbench.goTo(offered);
    const wrong = await correct(workbench, offered, truth, await labels(workbench, testInfo.outputPath("now.nii.gz")));
    console.log(`${offered.axis} ${offered.index}: ${wrong} voxels corrected`);
    if (number === 0) {
      await rest(page);
      await picture(page, "corrected");
    }
    await workbench.markDone(offered);
    await workbench.waitUntilSaved();
  }
  await workbench.refine.click();
  await expect(workbench.compare).toBeVisible(PATIENTLY);
  await expect(workbench.suggestion).toBeVisible(PATIENTLY);
  const after = await labels(workbench, testInfo.outputPath("after.nii.gz"));
  for (const label of [1, 2])
    console.log(`label ${label}: Dice ${dice(before, truth, label)}, refined ${dice(after, truth, label)}`);
  await page.getByTestId("notice").getByRole("button").click();
  await beforeAndAfter(page, workbench, testInfo.outputPath.bind(testInfo));
  await page.getByTestId("show-changes").click();
  await page.keyboard.press("d");
  await page.getByTestId("change-jump").first().click();
  await rest(page);
  await picture(page, "changes");
  await page.keyboard.press("d");
  await page.getByTestId("show-slices").click();
  await page.keyboard.press("Shift+x");
  await expect(page.getByTestId("surface")).toHaveAttribute("data-ready", "true");
  await rest(page);
  await picture(page, "four-views");
});

/** The pointer out of the way, and everything drawn. */
async function rest(page: Page): Promise<void> {
  await page.mouse.move(2, 2);
  await page.waitForTimeout(500);
}

async function picture(page: Page, name: string): Promise<void> {
  await page.screenshot({ path: join(PICTURES, `${name}.jpg`), type: "jpeg", quality: 82 });
}

/** The labels as they are shown. */
async function labels(workbench: WorkbenchPage, path: string): Promise<Nifti> {
  await workbench.download(path);
  return readNifti(path);
}

/** Gives every voxel of a plane the label it has in truth; how many had another. */
async function correct(workbench: WorkbenchPage, plane: Plane, truth: Nifti, shown: Nifti): Promise<number> {
  const wrong = new Map<number, Triple[]>();
  const across = STORED_AXIS[plane.axis];
  const [u, v] = [0, 1, 2].filter((axis) => axis !== across) as [0 | 1 | 2, 0 | 1 | 2];
  for (let y = 0; y < truth.dims[v]; y += 1)
    for (let x = 0; x < truth.dims[u]; x += 1) {
      const voxel: Triple = [0, 0, 0];
      [voxel[across], voxel[u], voxel[v]] = [plane.index, x, y];
      const label = truth.voxel(voxel);
      if (shown.voxel(voxel) !== label) wrong.set(label, [...(wrong.get(label) ?? []), voxel]);
    }
  await workbench.takeBrush(0.5);
  for (const [label, voxels] of wrong) {
    await (label === 0 ? workbench.takeEraser() : workbench.take("brush"));
    if (label !== 0) await workbench.chooseLabel(label);
    await workbench.press(plane.axis, voxels);
  }
  await workbench.take("brush");
  return [...wrong.values()].flat().length;
}

function dice(found: Nifti, truth: Nifti, label: number): string {
  let [both, sum] = [0, 0];
  const [x, y, z] = truth.dims;
  for (let k = 0; k < z; k += 1)
    for (let j = 0; j < y; j += 1)
      for (let i = 0; i < x; i += 1) {
        const [here, there] = [found.voxel([i, j, k]) === label, truth.voxel([i, j, k]) === label];
        both += here && there ? 1 : 0;
        sum += Number(here) + Number(there);
      }
  return (sum === 0 ? 1 : (2 * both) / sum).toFixed(3);
}

/** Both versions of all three planes, beside each other. */
async function beforeAndAfter(page: Page, workbench: WorkbenchPage, path: (name: string) => string): Promise<void> {
  await rest(page);
  await page.locator(".views").screenshot({ path: path("after.png") });
  await page.keyboard.press("c");
  await expect(workbench.compare).toContainText("Before");
  await rest(page);
  await page.locator(".views").screenshot({ path: path("before.png") });
  await page.keyboard.press("c");
  const sheet = await page.context().newPage();
  const box = { width: 1360, height: 640 };
  await sheet.setViewportSize(box);
  const [before, after] = await Promise.all(
    ["before.png", "after.png"].map(async (name) => (await readFile(path(name))).toString("base64")),
  );
  const figure = (words: string, png: string | undefined) =>
    `<figure><figcaption>${words}</figcaption><img src="data:image/png;base64,${png}"></figure>`;
  await sheet.setContent(
    `<style>
       body { margin: 0; background: #0b0e12; color: #dde3ea; font: 600 15px system-ui }
       body { display: grid; grid-template-columns: 1fr 1fr; gap: 8px }
       figure { margin: 0 }
       figcaption { padding: 8px 10px }
       img { width: 100%; display: block }
     </style>
     ${figure("Before: the presegmentation", before)}${figure("After: refined with the corrected slices", after)}`,
  );
  await sheet.waitForTimeout(500);
  const height = await sheet.evaluate(() => document.querySelector("figure")?.getBoundingClientRect().height ?? 0);
  await sheet.setViewportSize({ width: box.width, height: Math.ceil(height) });
  await picture(sheet, "before-after");
  await sheet.close();
}
