/** From the PACS to the workbench and back: search, open one series, correct, refine, send, found there. */
import { FRAME, STUDY, seriesOf } from "../fixtures/dicom.ts";
import { Orthanc } from "../fixtures/orthanc.ts";
import { correct } from "../fixtures/painting.ts";
import { models } from "../fixtures/project.ts";
import { Server } from "../fixtures/server.ts";
import { expect, test } from "../fixtures/test.ts";
import { CaseListPage } from "../pages/case-list.ts";
import { PacsCard } from "../pages/pacs.ts";
import { WorkbenchPage } from "../pages/workbench.ts";

test.use({ hasOwnServer: true });

test("a series comes from the PACS, and its segmentation goes back", async ({ page, phantomScan, photograph }) => {
  test.skip(!Orthanc.isThere(), "Orthanc with its DICOMweb plugin is not installed");
  const orthanc = await Orthanc.start();
  const server = await Server.start(undefined, { models, env: process.env, more: ["--pacs", await orthanc.sources()] });
  try {
    await orthanc.store(await seriesOf(phantomScan, "Doe^Jane"));
    const [caseList, workbench, pacs] = [new CaseListPage(page), new WorkbenchPage(page), new PacsCard(page)];

    await test.step("search: by patient, accession number, date and modality", async () => {
      await page.goto(server.url);
      await expect(pacs.card).toBeVisible();
      await pacs.search({ modality: "MR" });
      await expect(caseList.trouble).toContainText("say whom to look for");
      await pacs.search({ patient: "Roe" });
      await expect(pacs.nothing).toBeVisible();
      for (const wanted of [
        { patient: "PAT-7" },
        { accession: "ACC-7" },
        { from: "2024-02-29", until: "2024-02-29", modality: "mr" },
        { patient: "doe jane" },
      ]) {
        await pacs.search(wanted);
        await expect(pacs.studies).toHaveCount(1);
        await expect(pacs.studies).toContainText("Doe, Jane · PAT-7");
        await expect(pacs.studies).toContainText("2024-02-29 · MR · Head · ACC-7");
      }
      await photograph("pacs-1-found");
    });

    await test.step("open one series: it comes, and becomes a case that does not name the patient", async () => {
      await pacs.open("phantom");
      await photograph("pacs-2-opened");
      await caseList.waitForPresegmentation("Case 1");
      await expect(caseList.row("Case 1")).not.toContainText("Doe");
      await caseList.openCase("Case 1");
      await workbench.waitForSlices();
    });

    const painted = await test.step("correct a slice, and refine", async () => {
      const planes = await workbench.planes();
      const plane = planes[0];
      if (plane === undefined) throw new Error("no slice is offered");
      await workbench.takeBrush(3);
      const painted = await correct(workbench, plane, planes.slice(0, 3));
      await workbench.markDone(plane);
      await workbench.refineAndWait();
      return painted;
    });

    await test.step("send it back: the page says that it was found there, and it is", async () => {
      await pacs.send.click();
      await expect(workbench.notice).toContainText("The segmentation is in clinic", { timeout: 60_000 });
      await photograph("pacs-3-sent");
      const sent = await orthanc.find(`/studies/${STUDY}/series?Modality=SEG&includefield=00200052`);
      expect(sent).toHaveLength(1);
      const series = String(sent[0]?.["0020000E"]?.Value?.[0]);
      const [object] = await orthanc.find(`/studies/${STUDY}/series/${series}/metadata`);
      expect(object?.["00100010"]?.Value?.[0]).toEqual({ Alphabetic: "Doe^Jane" });
      expect(object?.["00200052"]?.Value?.[0]).toBe(FRAME);
      expect(JSON.stringify(object?.["00204000"])).toContain("Corrected by an expert");
      expect(painted.label).toBeGreaterThanOrEqual(0);
    });
  } finally {
    await server.stop();
    await orthanc.stop();
  }
});

test("a slice can be looked at while the others come over a slow line", async ({ page, phantomScan, photograph }) => {
  test.skip(!Orthanc.isThere(), "Orthanc with its DICOMweb plugin is not installed");
  const orthanc = await Orthanc.start();
  const line = await orthanc.slowly(40_000);
  const more = ["--pacs", await orthanc.sources(line.url)];
  const server = await Server.start(undefined, { models, env: process.env, more });
  try {
    await orthanc.store(await seriesOf(phantomScan, "Doe^Jane"));
    const [workbench, pacs] = [new WorkbenchPage(page), new PacsCard(page)];
    await page.goto(server.url);
    await pacs.search({ patient: "doe jane" });
    await pacs.begin("phantom");

    await test.step("its picture is there, with how far it is, and it is no case yet", async () => {
      await expect(pacs.picture).toBeVisible();
      await expect(pacs.picture).toContainText("to look at");
      await expect(pacs.imports).toHaveAttribute("data-state", "fetching");
      const width = pacs.picture.locator("img").evaluate(async (image: HTMLImageElement) => {
        await image.decode();
        return image.naturalWidth;
      });
      expect(await width).toBeGreaterThan(16);
      await pacs.picture.scrollIntoViewIfNeeded();
      await photograph("pacs-4-on-its-way");
    });

    await test.step("pressed, it goes over to the workbench when all of it is here", async () => {
      await pacs.picture.click();
      await expect(pacs.picture).toHaveAttribute("aria-pressed", "true");
      await page.waitForURL(/\/case\//, { timeout: 60_000 });
      await expect(workbench.view("axial")).toBeVisible();
    });
  } finally {
    await server.stop();
    line.stop();
    await orthanc.stop();
  }
});
