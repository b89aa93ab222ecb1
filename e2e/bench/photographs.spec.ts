/**
 * Pictures of every state at three sizes of screen, under e2e/screenshots, for whoever looks at them; nothing is
 * compared. `npx playwright test --config bench/playwright.config.ts photographs` takes them.
 */
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Browser, Page } from "@playwright/test";

import { seriesOf } from "../fixtures/dicom.ts";
import { Orthanc } from "../fixtures/orthanc.ts";
import { models, screenshots } from "../fixtures/project.ts";
import { Server } from "../fixtures/server.ts";
import { expect, test } from "../fixtures/test.ts";
import { PacsCard } from "../pages/pacs.ts";
import { WorkbenchPage } from "../pages/workbench.ts";

const PASSWORD = "several words together";

const SIZES = [
  [1280, 720],
  [1920, 1080],
  [3840, 2160],
  [420, 900],
] as const;

async function photograph(page: Page, name: string): Promise<void> {
  for (const [width, height] of SIZES) {
    await page.setViewportSize({ width, height });
    await page.waitForTimeout(400);
    const folder = join(screenshots, String(width));
    await mkdir(folder, { recursive: true });
    await page.screenshot({ path: join(folder, `${name}.png`) });
  }
  await page.setViewportSize({ width: 1440, height: 900 });
  await page.waitForTimeout(200);
}

test.describe("a case and what is made of it", () => {
  test.use({ startsWithCase: true });

  test("list and workbench", async ({ caseList, workbench, phantomCase, page, server }) => {
    test.setTimeout(1_200_000);
    await expect(workbench.title).toHaveText(phantomCase);
    const plane = await workbench.firstPlane();
    await workbench.goTo(plane);
    await workbench.waitUntilSaved();
    await photograph(page, "workbench");
    await page.keyboard.press("u");
    await photograph(page, "uncertainty");
    await page.keyboard.press("u");
    await page.keyboard.press("Shift+x");
    await expect(page.getByTestId("surface")).toHaveAttribute("data-ready", "true");
    await photograph(page, "four-views");
    await page.keyboard.press("Shift+x");
    await page.keyboard.press("?");
    await photograph(page, "keys");
    await page.keyboard.press("Escape");
    await workbench.edit("copy-next");
    await photograph(page, "offer");
    await page.getByTestId("leave-offer").click();
    await workbench.paintSomething(plane);
    await workbench.markDone(plane);
    await workbench.waitUntilSaved();
    await workbench.refine.click();
    await photograph(page, "refining");
    await expect(workbench.compare).toBeVisible({ timeout: 300_000 });
    await expect(workbench.suggestion).toBeVisible({ timeout: 300_000 });
    await photograph(page, "refined");
    await page.getByTestId("show-changes").click();
    await photograph(page, "changes");
    await workbench.backToList();
    await expect(caseList.heading).toBeVisible();
    await photograph(page, "list");
    await page.getByTestId("delete-case").first().click();
    await photograph(page, "delete-asked");
    await page.getByRole("button", { name: "Keep" }).click();
    await page.getByTestId("open-case").first().click();
    await workbench.waitForSlices();
    await server.die();
    await workbench.goTo(plane);
    await page.keyboard.press("b");
    await workbench.paint(plane.axis, [0.45, 0.5], [0.55, 0.5]);
    await page.waitForTimeout(3000);
    await photograph(page, "offline");
    await workbench.backToList();
    await photograph(page, "list-offline");
    await server.comeBack();
  });
});

test.describe("nothing yet", () => {
  test("empty, on its way, refused", async ({ caseList, page, largePhantomScan }, testInfo) => {
    await caseList.open();
    await photograph(page, "list-empty");
    const broken = testInfo.outputPath("broken.nii.gz");
    await writeFile(broken, "no scan");
    await caseList.send("phantom", broken, "broken");
    await expect(page.getByTestId("trouble")).toBeVisible();
    await photograph(page, "list-refused");
    await caseList.send("phantom", largePhantomScan, "on its way");
    await expect(caseList.row("on its way")).toBeVisible({ timeout: 120_000 });
    await caseList.openCase("on its way");
    await expect(page.getByTestId("job-progress").first()).toBeVisible();
    await photograph(page, "being-segmented");
    await page.goto("/case/none");
    await expect(page.getByTestId("no-case")).toBeVisible();
    await photograph(page, "no-case");
  });
});

test.describe("a group", () => {
  test.use({ asksEverybody: true });

  test("the first account, people, signing in", async ({ page, server }) => {
    await page.goto(server.printed("invitation"));
    await expect(page.getByTestId("sign-in")).toBeVisible();
    await photograph(page, "invitation");
    await page.getByTestId("sign-in-name").fill("olga");
    await page.getByTestId("sign-in-password").fill("several words together");
    await page.getByTestId("sign-in-send").click();
    await page.getByTestId("open-people").click();
    await expect(page.getByTestId("new-account")).toBeVisible();
    await photograph(page, "people");
    await page.getByTestId("sign-out").click();
    await expect(page.getByTestId("sign-in")).toBeVisible();
    await photograph(page, "sign-in");
  });
});

test.describe("a review", () => {
  test.use({ asksEverybody: true, startsWithCase: true });

  test("handed in, sent back, read twice", async ({ page, browser, server, prepare }) => {
    test.setTimeout(600_000);
    const invitation = new URL(server.printed("invitation")).searchParams.get("invitation");
    const headers = { Origin: server.url };
    await page.request.post("/api/session", { data: { name: "olga", password: PASSWORD, invitation }, headers });
    for (const name of ["anna", "bert"])
      await page.request.post(`/api/people/${name}`, { data: { role: "annotator", password: PASSWORD }, headers });
    const address = `/case/${(await prepare()).caseId}`;
    await page.request.put(`/api/cases/${(await prepare()).caseId}/people`, { data: ["anna"], headers });
    await page.goto("/");
    await expect(page.getByTestId("assign")).toBeVisible();
    await photograph(page, "list-of-a-group");
    const anna = await signedIn(browser, server, "anna");
    await anna.goto("/people");
    await expect(anna.getByTestId("make-key")).toBeVisible();
    await photograph(anna, "keys-of-programs");
    await anna.goto(address);
    const hers = new WorkbenchPage(anna);
    await hers.waitForSlices();
    const plane = await hers.firstPlane();
    await hers.paintSomething(plane);
    await hers.markDone(plane);
    await hers.waitUntilSaved();
    await anna.getByTestId("review").locator("summary").click();
    await photograph(anna, "review-before");
    await anna.getByTestId("hand-in").click();
    await page.goto(address);
    await new WorkbenchPage(page).waitForSlices();
    await page.getByTestId("review").locator("summary").click();
    await page.getByTestId("note-on-slice").fill("The tip is missing");
    await photograph(page, "review");
    await page.getByTestId("send-back").click();
    await page.getByTestId("second-reader").selectOption("bert");
    await page.getByTestId("ask-reading").click();
    await expect(page.getByTestId("reading")).toBeVisible();
    await photograph(page, "review-with-a-reading");
    await expect(anna.getByTestId("slice-note")).toBeVisible();
    await photograph(anna, "review-sent-back");
    await page.goto("/people");
    await expect(page.getByTestId("person")).toHaveCount(3);
    await photograph(page, "people-several");
    await anna.context().close();
  });
});

test.describe("a PACS", () => {
  test.use({ hasOwnServer: true });

  test("found, opened", async ({ page, phantomScan }) => {
    test.skip(!Orthanc.isThere(), "Orthanc with its DICOMweb plugin is not installed");
    const orthanc = await Orthanc.start();
    const more = ["--pacs", await orthanc.sources()];
    const server = await Server.start(undefined, { models, env: process.env, more });
    try {
      await orthanc.store(await seriesOf(phantomScan, "Doe^Jane"));
      await page.goto(server.url);
      const pacs = new PacsCard(page);
      await expect(pacs.card).toBeVisible();
      await photograph(page, "pacs");
      await pacs.search({ patient: "doe jane" });
      await page.getByTestId("show-study").click();
      await expect(page.getByTestId("open-series")).toBeVisible();
      await photograph(page, "pacs-found");
    } finally {
      await server.stop();
      await orthanc.stop();
    }
  });
});

async function signedIn(browser: Browser, server: Server, name: string): Promise<Page> {
  const context = await browser.newContext({ baseURL: server.url });
  await context.request.post("/api/session", { data: { name, password: PASSWORD }, headers: { Origin: server.url } });
  return context.newPage();
}
