/** OHIF beside i3Deep, as it is: it finds in the PACS what was sent there, and its panel has series segmented. */
import type { Browser, Page } from "@playwright/test";

import config from "../playwright.config.ts";
import { SERIES, STUDY, seriesOf } from "../fixtures/dicom.ts";
import type { Along } from "../fixtures/dicom.ts";
import { OhifServer, differing, held, ohifAlone, ohifOfMonai, truthOf } from "../fixtures/ohif.ts";
import { Orthanc } from "../fixtures/orthanc.ts";
import { correct } from "../fixtures/painting.ts";
import { models } from "../fixtures/project.ts";
import { Server } from "../fixtures/server.ts";
import { expect, test } from "../fixtures/test.ts";
import { CaseListPage } from "../pages/case-list.ts";
import { PacsCard } from "../pages/pacs.ts";
import { WorkbenchPage } from "../pages/workbench.ts";

// OHIF draws volumes without a graphics card here: what else pages show is drawn apart from that.
const { args = [], ...options } = config.use?.launchOptions ?? {};
test.use({
  hasOwnServer: true,
  launchOptions: { ...options, args: [...args, "--disable-gpu", "--enable-unsafe-swiftshader"] },
});

const PATIENT = "Doe^Jane";
const SLOW_MS = 180_000;
/** A network's worker gives way to everything else on a busy machine. */
const SEGMENTED_MS = 600_000;
test.describe.configure({ timeout: 2 * SEGMENTED_MS });
/** Slices that are turned by 20° and tilted by 15°, as those of heads are. */
const OBLIQUE: Along = oblique((20 * Math.PI) / 180, (15 * Math.PI) / 180);

test("a segmentation that was corrected, refined and sent is found in OHIF", async ({
  browser,
  page,
  phantomScan,
  photograph,
}) => {
  const ohif = ohifOfMonai();
  test.skip(!Orthanc.isThere(), "Orthanc with its DICOMweb plugin is not installed");
  test.skip(ohif === undefined, "I3DEEP_PEERS names no Python with monailabel, in which OHIF is");
  const orthanc = await Orthanc.start();
  const more = ["--pacs", await orthanc.sources(), "--ohif", ohif ?? ""];
  const server = await Server.start(undefined, { models, env: process.env, more });
  try {
    await orthanc.store(await seriesOf(phantomScan, PATIENT));
    const [caseList, workbench, pacs] = [new CaseListPage(page), new WorkbenchPage(page), new PacsCard(page)];

    await test.step("search the PACS, open the series", async () => {
      await page.goto(server.url);
      await pacs.search({ patient: "doe" });
      await pacs.open("phantom");
      await caseList.waitForPresegmentation("Case 1");
      await caseList.openCase("Case 1");
      await workbench.waitForSlices();
    });

    await test.step("correct a slice, and refine", async () => {
      const planes = await workbench.planes();
      const plane = planes[0];
      if (plane === undefined) throw new Error("no slice is offered");
      await workbench.takeBrush(3);
      await correct(workbench, plane, planes.slice(0, 3));
      await workbench.markDone(plane);
      await workbench.refineAndWait();
    });

    // OHIF 3.10 does not know LABELMAP.
    await test.step("send it back, for readers of bits", async () => {
      await page.getByTestId("download-format").selectOption({ label: "DICOM SEG (bits)" });
      await pacs.send.click();
      await expect(workbench.notice).toContainText("The segmentation is in clinic", { timeout: 60_000 });
    });

    await test.step("OHIF lists the study, and shows the same voxels", async () => {
      const id = new URL(page.url()).pathname.split("/").pop() ?? "";
      const viewer = await opened(browser, `${server.url}/ohif/`);
      await expect(viewer.getByText("Doe, Jane").or(viewer.getByText(PATIENT)).first()).toBeVisible();
      await viewer.goto(`${server.url}/ohif/segmentation?StudyInstanceUIDs=${STUDY}`);
      const truth = await truthOf(server.url, "phantom", id);
      await loaded(viewer, 0);
      await expect(async () => expect((await held(viewer)).size).toBe(1)).toPass({ timeout: SLOW_MS });
      const [map] = [...(await held(viewer)).values()];
      if (map === undefined) throw new Error("OHIF holds no label map");
      expect(Object.values(map.names).sort()).toEqual(["lesion", "organ"]);
      expect(new Set(map.voxels).size).toBeGreaterThan(1);
      expect(differing(map, truth)).toBe(0);
      await viewer.screenshot({ path: test.info().outputPath("ohif.png") });
      await viewer.context().close();
      await photograph("ohif-1-sent");
    });
  } finally {
    await server.stop();
    await orthanc.stop();
  }
});

test("OHIF's panel has a series segmented that nobody has opened here", async ({ browser, phantomScan }) => {
  const ohif = ohifOfMonai();
  test.skip(!Orthanc.isThere(), "Orthanc with its DICOMweb plugin is not installed");
  test.skip(ohif === undefined, "I3DEEP_PEERS names no Python with monailabel, in which OHIF is");
  const orthanc = await Orthanc.start();
  const more = ["--pacs", await orthanc.sources(), "--ohif", ohif ?? ""];
  const server = await Server.start(undefined, { models, env: process.env, more });
  try {
    await orthanc.store(await seriesOf(phantomScan, PATIENT));
    const viewer = await opened(browser, `${server.url}/ohif/monai-label?StudyInstanceUIDs=${STUDY}`);

    await test.step("connect: the panel learns what the server has", async () => {
      // Drawn: the panel asks the viewport.
      await expect(viewer.getByText(/\(\d+\/48\)/).first()).toBeVisible({ timeout: SLOW_MS });
      await viewer.locator("#monailabelServerURL").fill(`${server.url}/monailabel/phantom/`);
      await viewer.locator(".settingsTable .actionButton").click();
      await expect(viewer.getByText("i3Deep phantom")).toBeVisible({ timeout: SLOW_MS });
    });

    await test.step("run: the series comes from the PACS, and its labels into the viewer", async () => {
      const answered = viewer.waitForResponse(/\/infer\/segmentation/, { timeout: SEGMENTED_MS });
      await viewer.getByRole("button", { name: "Run", exact: true }).first().click();
      expect((await answered).status()).toBe(200);
      const cases = (await (await fetch(`${server.url}/api/cases`)).json()) as { id: string; name: string }[];
      expect(cases).toHaveLength(1);
      expect(JSON.stringify(cases)).not.toContain("Doe");
      const truth = await truthOf(server.url, "phantom", cases[0]?.id ?? "");
      await expect(async () => {
        const map = (await held(viewer)).get("1");
        if (map === undefined) throw new Error("OHIF holds no label map");
        expect(new Set(map.voxels).size).toBeGreaterThan(1);
        expect(differing(map, truth)).toBe(0);
      }).toPass({ timeout: SLOW_MS });
      await viewer.screenshot({ path: test.info().outputPath("ohif-panel.png") });
    });

    await test.step("next sample: it says which study waits", async () => {
      await viewer.getByText("Active Learning", { exact: true }).click();
      await viewer.getByRole("button", { name: "Next Sample" }).click();
      await expect(viewer.locator(".nextSampleForm")).toContainText(SERIES, { timeout: SLOW_MS });
    });
    await viewer.context().close();
  } finally {
    await server.stop();
    await orthanc.stop();
  }
});

test("a newer OHIF reads both kinds of DICOM SEG to the same voxels", async ({ browser, phantomScan }) => {
  const ohif = ohifAlone();
  test.skip(!Orthanc.isThere(), "Orthanc with its DICOMweb plugin is not installed");
  test.skip(ohif === undefined, "I3DEEP_OHIF names no folder of OHIF 3.11 or later (`npm pack @ohif/app`)");
  const orthanc = await Orthanc.start();
  const more = ["--pacs", await orthanc.sources()];
  const server = await Server.start(undefined, { models, env: process.env, more });
  const files = await OhifServer.start(ohif ?? "", server.url);
  try {
    await orthanc.store(await seriesOf(phantomScan, PATIENT, OBLIQUE));
    const id = await server.openedFromPacs({ study: STUDY, series: [SERIES], bundle: "phantom" });
    const truth = await truthOf(server.url, "phantom", id);
    for (const format of ["seg", "seg-binary"]) {
      const body = JSON.stringify({ source: "clinic", format });
      const headers = { "content-type": "application/json" };
      const answer = await fetch(`${server.url}/api/cases/${id}/send`, { method: "POST", headers, body });
      expect(answer.status).toBe(200);
    }
    const viewer = await opened(browser, `${files.url}/segmentation?StudyInstanceUIDs=${STUDY}`);
    for (const number of [0, 1]) {
      await loaded(viewer, number);
      await expect(async () => expect((await held(viewer)).size).toBe(number + 1)).toPass({ timeout: SLOW_MS });
    }
    for (const map of (await held(viewer)).values()) {
      expect(new Set(map.voxels).size).toBeGreaterThan(1);
      expect(differing(map, truth)).toBe(0);
    }
    await viewer.screenshot({ path: test.info().outputPath("ohif-newer.png") });
    await viewer.context().close();
  } finally {
    await files.stop();
    await server.stop();
    await orthanc.stop();
  }
});

function oblique(turn: number, tilt: number): Along {
  const [sin, cos] = [Math.sin(turn), Math.cos(turn)];
  return [
    [cos, sin, 0],
    [-sin * Math.cos(tilt), cos * Math.cos(tilt), Math.sin(tilt)],
  ];
}

/** OHIF in a context of its own: what it says on the console is its own affair. */
async function opened(browser: Browser, address: string): Promise<Page> {
  const context = await browser.newContext({ viewport: { width: 1000, height: 640 } });
  const page = await context.newPage();
  // It draws volumes without a graphics card here, and answers nothing meanwhile.
  page.setDefaultTimeout(SLOW_MS);
  const said: string[] = [];
  page.on("console", (message) => said.push(`${message.type()}: ${message.text()}`));
  page.on("pageerror", (error) => said.push(`thrown: ${error.message}\n${error.stack ?? ""}`));
  const kept = () => ({ body: said.join("\n"), contentType: "text/plain" });
  page.on("close", () => void test.info().attach("what OHIF said", kept()));
  await page.goto(address);
  return page;
}

/** Loads one of the study's segmentations into the viewport, and waits until OHIF has it. */
async function loaded(viewer: Page, number: number): Promise<void> {
  const entry = viewer.getByTestId("study-browser-thumbnail-no-image").or(
    viewer.locator("[data-cy=study-browser-thumbnail-no-image]"),
  );
  await expect(entry.nth(number)).toBeVisible({ timeout: SLOW_MS });
  await entry.nth(number).dblclick();
  // "Do you want to open this Segmentation?"
  await viewer.getByRole("button", { name: "Yes", exact: true }).click();
}
