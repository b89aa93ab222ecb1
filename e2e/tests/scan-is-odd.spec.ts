/** What is odd about a scan is said in the list and beside the views, and can be folded in once it is read. */
import { readFile } from "node:fs/promises";
import { gunzipSync, gzipSync } from "node:zlib";

import { expect, test } from "../fixtures/test.ts";

/** Offsets as in nifti1.h. */
const DATATYPE = 70;
const BITPIX = 72;
const SROW_X = 280;
const VOXELS = 352;

/** The scan as floats, stored from right to left, with one voxel far from all others. */
function odd(phantom: Buffer): Buffer {
  const plain = gunzipSync(phantom);
  const header = Buffer.from(plain.subarray(0, VOXELS));
  header.writeInt16LE(16, DATATYPE);
  header.writeInt16LE(32, BITPIX);
  header.writeFloatLE(-header.readFloatLE(SROW_X), SROW_X);
  const voxels = new Float32Array((plain.length - VOXELS) / 2);
  for (let at = 0; at < voxels.length; at += 1) voxels[at] = plain.readInt16LE(VOXELS + 2 * at);
  voxels[99] = 1e6;
  return gzipSync(Buffer.concat([header, Buffer.from(voxels.buffer)]));
}

test("what is odd about a scan is said where it is worked on", async ({
  page,
  caseList,
  workbench,
  phantomScan,
  photograph,
}) => {
  const phantom = await readFile(phantomScan);
  await caseList.open();
  await caseList.send("phantom", phantomScan, "plain scan");
  const file = { name: "odd.nii.gz", mimeType: "application/gzip", buffer: odd(phantom) };
  await caseList.send("phantom", file, "odd scan");

  await test.step("the list says how much, and what on request; of a plain scan it says nothing", async () => {
    const warnings = caseList.warnings("odd scan");
    await expect(warnings.locator("summary")).toHaveText("2 warnings about the scan");
    await expect(warnings.getByText("stored LAS")).toBeHidden();
    await warnings.locator("summary").click();
    await expect(warnings.getByRole("listitem")).toHaveText([
      /The scan is stored LAS.*trained on scans stored RAS/,
      /voxel \[43, 1, 0\] is 1000000/,
    ]);
    await expect(caseList.row("plain scan")).toBeVisible();
    await expect(caseList.warnings("plain scan")).toHaveCount(0);
    await caseList.waitForPresegmentation("odd scan");
    await expect(warnings.getByText("stored LAS"), "what is folded out stays so while the job goes on").toBeVisible();
    await photograph("odd-scan-in-the-list");
  });

  await test.step("the workbench says it at once", async () => {
    await caseList.openCase("odd scan");
    await workbench.waitForSlices();
    await expect(workbench.warnings.getByRole("listitem")).toHaveCount(2);
    await expect(workbench.warnings.getByText("stored LAS")).toBeVisible();
    await photograph("odd-scan-in-the-workbench");
  });

  await test.step("folded in, by the keyboard, it uncovers the views, which stay where they are", async () => {
    const [views, warnings] = [page.locator("main.views"), workbench.warnings];
    const height = async () => (await warnings.boundingBox())?.height ?? 0;
    const [before, covered] = [await views.boundingBox(), await height()];
    await workbench.warnings.locator("summary").focus();
    await page.keyboard.press("Enter");
    await expect(workbench.warnings.getByText("stored LAS")).toBeHidden();
    await expect.poll(height).toBeLessThan(covered - 20);
    expect(await views.boundingBox()).toEqual(before);
  });
});
