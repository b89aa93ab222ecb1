/**
 * However a scan is stored, right is where readers expect it, and what is painted is in the file where it was painted.
 * A sample of the 48 orders of axes and five scans askew; all of them with I3DEEP_E2E_LONG=1.
 */
import { readNifti } from "../fixtures/nifti.ts";
import type { Triple } from "../fixtures/nifti.ts";
import { expect, test } from "../fixtures/test.ts";
import { turns, writeTurned } from "../fixtures/turned.ts";
import type { Axis } from "../pages/workbench.ts";

const all = turns();
const chosen = process.env["I3DEEP_E2E_LONG"] ? all : [7, 13, 18, 30, 35, 44, 51].map((at) => all[at] ?? all[0]);
const LETTERS: Record<Axis, string> = { axial: "RLAP", coronal: "RLSI", sagittal: "APSI" };

test("letters, crosshair, painted voxel and downloaded label", async ({
  caseList,
  workbench,
  phantomScan,
  page,
}, testInfo) => {
  for (const [number, turn] of chosen.entries()) {
    if (!turn) continue;
    const signs = turn.flips.map((flip) => (flip ? "-" : "+")).join("");
    const name = `${turn.order.join("")} ${signs} ${turn.degrees.join(" ")}`;
    await test.step(name, async () => {
      const scan = testInfo.outputPath(`turned-${number}.nii.gz`);
      await writeTurned(phantomScan, scan, turn);
      await caseList.open();
      await caseList.send("phantom", scan, `turned ${number}`);
      await caseList.waitForPresegmentation(`turned ${number}`);
      await caseList.openCase(`turned ${number}`);
      await workbench.waitForSlices();
      for (const axis of ["axial", "coronal", "sagittal"] as const) {
        const letters = await page.locator(`[data-view="${axis}"] .letter`).allInnerTexts();
        expect(letters.join(""), `${name}: ${axis}`).toBe(LETTERS[axis]);
        const [here, right, down] = [
          await placeOf(axis, [0.45, 0.45]),
          await placeOf(axis, [0.6, 0.45]),
          await placeOf(axis, [0.45, 0.6]),
        ];
        // To the right and down, the patient's coordinates fall: towards the left, the back, the feet.
        const across = axis === "sagittal" ? 1 : 0;
        const along = axis === "axial" ? 1 : 2;
        expect(right.mm[across], `${name}: ${axis} to the right`).toBeLessThan(here.mm[across] ?? Number.NaN);
        expect(down.mm[along], `${name}: ${axis} down`).toBeLessThan(here.mm[along] ?? Number.NaN);
      }

      const plane = await workbench.firstPlane();
      await workbench.goTo(plane);
      await workbench.takeBrush(0.5);
      await workbench.chooseLabel(1);
      const { voxel } = await placeOf(plane.axis, [0.3, 0.5]);
      await workbench.press(plane.axis, [voxel]);
      await workbench.press(plane.axis, [voxel], ["Shift"]);
      // The crosshair's planes cross in the voxel.
      const indices = await page
        .locator("figure.view canvas")
        .evaluateAll((views) => views.map((view) => Number(view.dataset["index"])));
      expect([...indices].sort()).toEqual([...voxel].sort());
      await workbench.waitUntilSaved();
      const file = testInfo.outputPath(`labels-${number}.nii.gz`);
      await workbench.download(file);
      const labels = await readNifti(file);
      expect(labels.voxel(voxel), `${name}: painted`).toBe(1);
      expect(labels.dims).toEqual((await readNifti(scan)).dims);
    });
  }

  async function placeOf(axis: Axis, share: [number, number]): Promise<{ voxel: Triple; mm: Triple }> {
    const found = await workbench.probe(axis, share);
    const mm = /(-?[\d.]+), (-?[\d.]+), (-?[\d.]+) mm/.exec(found?.text ?? "");
    if (!found || !mm) throw new Error(`nothing is under the pointer in the ${axis} view`);
    return { voxel: found.voxel, mm: mm.slice(1).map(Number) as Triple };
  }
});
