/** A folder of scans becomes a worklist: each a case, what is not taken named, the list searched and sorted. */
import { copyFile, mkdir, writeFile } from "node:fs/promises";

import { expect, test } from "../fixtures/test.ts";

test("a folder of scans is sent, and what is not taken can be sent again", async ({
  caseList,
  phantomScan,
  page,
  photograph,
}, testInfo) => {
  const folder = testInfo.outputPath("study");
  await mkdir(folder, { recursive: true });
  await copyFile(phantomScan, `${folder}/a.nii.gz`);
  await copyFile(phantomScan, `${folder}/c.nii.gz`);
  await writeFile(`${folder}/b.nii.gz`, "this is no scan");
  await writeFile(`${folder}/readme.txt`, "neither is this");
  await caseList.open();
  await expect(page.getByTestId("no-cases")).toBeVisible();

  await test.step("three volumes of four files, one after the other; the broken one is named", async () => {
    await caseList.chooseBundle("phantom");
    await page.getByTestId("upload-folder").setInputFiles(folder);
    await expect(caseList.box).toContainText("3 scans, a case for each");
    await expect(caseList.surplus).toContainText("readme.txt is no scan");
    await page.getByTestId("upload-name").fill("study");
    await caseList.start.click();
    const untaken = page.getByTestId("untaken");
    await expect(untaken).toContainText("1 scan was not taken");
    await expect(untaken).toContainText("b.nii.gz");
    await expect(caseList.rows).toHaveCount(2);
    for (const name of ["study 1", "study 3"]) await expect(caseList.row(name)).toBeVisible();
    await photograph("worklist-1-not-taken");
    await page.getByTestId("upload-again").click();
    await expect(untaken).toContainText("b.nii.gz");
  });

  await test.step("the list says how far all are, and is searched and sorted", async () => {
    await expect(page.getByTestId("list-progress")).toContainText("0 of 2 cases refined");
    for (const name of ["study 1", "study 3"]) await caseList.waitForPresegmentation(name);
    await expect(caseList.row("study 1").getByTestId("uncertain")).toContainText("%");
    await page.getByTestId("sort-cases").selectOption("most-uncertain");
    await page.getByTestId("search-cases").fill("STUDY 3");
    await expect(caseList.rows).toHaveCount(1);
    await page.getByTestId("search-cases").fill("liver");
    await expect(page.getByTestId("no-match")).toBeVisible();
    await page.getByRole("button", { name: "Show all" }).click();
    await page.getByTestId("filter-cases").selectOption("under-way");
    await expect(page.getByTestId("no-match")).toBeVisible();
    await page.getByTestId("filter-cases").selectOption("to-correct");
    await expect(caseList.rows).toHaveCount(2);
    await photograph("worklist-2-sorted");
  });
});
