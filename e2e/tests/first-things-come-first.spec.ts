/** A large scan over a slow line: the slice to correct is there first, the rest follows, and nobody waits in vain. */
import { Line } from "../fixtures/shaper.ts";
import { Server } from "../fixtures/server.ts";
import { expect, generate, test } from "../fixtures/test.ts";
import { WorkbenchPage } from "../pages/workbench.ts";

const SIZE = [192, 224, 88] as const;
const MEGABITS = 12;

test.use({ hasOwnServer: true });

test("the slice to correct comes before the scan, and leaving ends what is on its way", async ({ page }, testInfo) => {
  const spacing = [56 / SIZE[0], 64 / SIZE[1], 72 / SIZE[2]].map((mm) => mm.toFixed(4)).join(",");
  const scan = await generate(testInfo.outputPath("scan"), ["--size", SIZE.join(","), "--spacing", spacing]);
  const prepared = await Server.prepare(scan, "phantom", "large");
  const server = await Server.start(prepared);
  const line = await Line.to(server.url, MEGABITS, 10);
  try {
    const workbench = new WorkbenchPage(page);
    await workbench.openAddress(`${line.url}/case/${prepared.caseId}`);
    const target = page.locator('canvas[data-target="true"]');
    await expect(target).toHaveAttribute("data-sharpness", "sharp", { timeout: 60_000 });
    await expect(target).toHaveAttribute("data-ready", "true");
    const arrived = page.getByTestId("arrived");
    const share = Number(await arrived.getAttribute("value"));
    expect(share, "the slice is there before most of the scan").toBeLessThan(0.5);
    const slice = { axis: "axial", index: -1 };
    slice.axis = (await target.getAttribute("data-axis")) ?? "";
    slice.index = Number(await target.getAttribute("data-index"));

    await workbench.backToList();
    await page.waitForTimeout(500);
    const before = line.received;
    await page.waitForTimeout(1000);
    expect(line.received - before, "bytes that come though nobody waits for them").toBeLessThan(64 << 10);

    await page.getByTestId("open-case").click();
    await expect(page.locator('figure.view canvas[data-ready="true"]')).toHaveCount(3, { timeout: 60_000 });
    await expect(arrived).toBeHidden({ timeout: 60_000 });
    // What came early is what is there in the end.
    const text = (await workbench.probe(slice.axis as "axial", [0.5, 0.5]))?.text ?? "";
    await page.reload();
    await expect(target).toHaveAttribute("data-sharpness", "sharp", { timeout: 60_000 });
    await expect.poll(async () => (await workbench.probe(slice.axis as "axial", [0.5, 0.5]))?.text).toBe(text);
  } finally {
    await line.close();
    await server.stop();
  }
});
