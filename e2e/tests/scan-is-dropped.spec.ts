/** Files are dropped as hands drop them: on the box, beside it, many at once. */
import { readFile } from "node:fs/promises";

import { expect, test } from "../fixtures/test.ts";

test("a scan dropped on its box is sent, and its progress is told in percent", async ({
  caseList,
  largePhantomScan,
}) => {
  const scan = { name: "scan.nii.gz", mimeType: "application/gzip", buffer: await readFile(largePhantomScan) };
  await caseList.open();

  await test.step("beside the box nothing happens, and the page stays", async () => {
    expect(await caseList.drop(caseList.heading, [scan])).toBe(true);
    await expect(caseList.start).toBeDisabled();
  });

  await test.step("two scans are two cases, what is no scan is named, and what is dropped last counts", async () => {
    await caseList.chooseBundle("phantom");
    const notes = { name: "notes.txt", mimeType: "text/plain", buffer: Buffer.from("none") };
    expect(await caseList.drop(caseList.box, [scan, { ...scan, name: "other.nii.gz" }, notes])).toBe(true);
    await expect(caseList.box).toContainText("2 scans, a case for each");
    await expect(caseList.surplus).toContainText("notes.txt is no scan and was left out");
    await expect(caseList.start).toHaveText("Send and segment 2 scans");
    await caseList.drop(caseList.box, [scan]);
    await expect(caseList.box).toContainText("scan.nii.gz");
    await expect(caseList.surplus).toBeHidden();
  });

  await test.step("sent without a name, it gets one that says nothing of the patient; progress grows", async () => {
    const progress = await caseList.watchProgress();
    await caseList.start.click();
    await caseList.waitForPresegmentation("Case 1");
    const running = (await progress()).filter(({ state }) => state === "running").map(({ percent }) => percent);
    expect(
      running.some((percent) => percent > 0 && percent < 100),
      `the bar said ${running.join(", ")}`,
    ).toBe(true);
    expect(running).toEqual([...running].sort((a, b) => a - b));
  });
});
