/**
 * What an expert was told is kept is kept: tabs crash, browsers are killed, servers die, storage is blocked or full.
 */
import { join } from "node:path";
import type { Page } from "@playwright/test";

import { OwnBrowser } from "../fixtures/browser.ts";
import { dot, missing, seeOnServer } from "../fixtures/strokes.ts";
import type { Stroke } from "../fixtures/strokes.ts";
import { expect, test } from "../fixtures/test.ts";
import { CaseListPage } from "../pages/case-list.ts";
import { WorkbenchPage } from "../pages/workbench.ts";
import type { Plane } from "../pages/workbench.ts";

test.use({ startsWithCase: true });

/** How often a tab or a browser is killed: a few times in CI, as often as I3DEEP_E2E_KILLS says elsewhere. */
const KILLS = Number(process.env["I3DEEP_E2E_KILLS"] ?? 2);

async function openIn(page: Page, url: string): Promise<{ workbench: WorkbenchPage; plane: Plane }> {
  const workbench = new WorkbenchPage(page);
  await workbench.openAddress(url);
  await workbench.waitForSlices();
  const plane = await workbench.firstPlane();
  await workbench.goTo(plane);
  await workbench.takeBrush(3);
  return { workbench, plane };
}

test("a tab that crashes takes no stroke along", async ({ phantomCase, page, context }) => {
  expect(phantomCase).not.toBe("");
  const url = page.url();
  await page.close();
  const strokes: Stroke[] = [];
  for (let time = 0; time < KILLS; time += 1) {
    const tab = await context.newPage();
    const { workbench, plane } = await openIn(tab, url);
    await tab.route("**/api/cases/*/corrections/*/*", (route) => route.abort());
    strokes.push(await dot(workbench, plane, time));
    const session = await context.newCDPSession(tab);
    const crashed = tab.waitForEvent("crash");
    void session.send("Page.crash").catch(() => undefined);
    await crashed;
    await tab.close();
  }
  const { workbench } = await openIn(await context.newPage(), url);
  await workbench.waitUntilSaved();
  await seeOnServer(url, strokes);
});

test("a browser that is killed a quarter of a second after a stroke takes none along", async ({
  phantomCase,
  page,
  server,
}, testInfo) => {
  expect(phantomCase).not.toBe("");
  const url = page.url();
  await page.close();
  const browser = await OwnBrowser.start(testInfo.outputPath("profile"));
  const strokes: Stroke[] = [];
  for (let time = 0; time < KILLS; time += 1) {
    const tab = await browser.context.newPage();
    const { workbench, plane } = await openIn(tab, url);
    await tab.context().route("**/api/cases/*/corrections/*/*", (route) => route.abort());
    strokes.push(await dot(workbench, plane, time));
    await tab.waitForTimeout(250);
    await browser.kill();
    await browser.startAgain();
  }
  await test.step("offline, the status says what is kept", async () => {
    const { workbench, plane } = await openIn(await browser.context.newPage(), url);
    await workbench.waitUntilSaved();
    await server.die();
    await workbench.seeSaveStatus("offline");
    await expect(workbench.saveStatus).toHaveText("Offline, nothing unsent");
    strokes.push(await dot(workbench, plane, KILLS));
    await expect(workbench.saveStatus).toHaveText("Offline, 1 kept here");
    await browser.kill();
    await server.comeBack();
    await browser.startAgain();
  });
  await test.step("the case list names what is unsent, and sends it", async () => {
    const tab = await browser.context.newPage();
    await tab.goto(new URL(url).origin);
    await seeOnServer(url, strokes);
  });
  await browser.close();
});

test("where storage is blocked by a policy the page works, and says so", async ({
  phantomCase,
  page,
  server,
}, testInfo) => {
  expect(phantomCase).not.toBe("");
  const browser = await OwnBrowser.start(testInfo.outputPath("profile"), { storageBlocked: true });
  const tab = await browser.context.newPage();
  const problems: string[] = [];
  tab.on("pageerror", (error) => problems.push(error.message));
  const { workbench, plane } = await openIn(tab, page.url());
  await expect(workbench.storageTrouble).toContainText("blocked");
  await tab.screenshot({ path: join(testInfo.outputDir, "storage-blocked.png") });
  const stroke = await dot(workbench, plane, 0);
  await workbench.waitUntilSaved();
  await seeOnServer(page.url(), [stroke]);

  await test.step("offline, nothing is said to be kept", async () => {
    await server.die();
    await dot(workbench, plane, 1);
    await workbench.seeSaveStatus("not-kept");
    await expect(workbench.saveStatus).toHaveText("Offline, 1 not kept");
    await server.comeBack();
    await workbench.waitUntilSaved();
  });
  expect(problems).toEqual([]);
  await browser.close();
});

test("where storage is full nothing is said to be kept, until there is room", async ({
  workbench,
  phantomCase,
  page,
  context,
  server,
}) => {
  expect(phantomCase).not.toBe("");
  const plane = await workbench.firstPlane();
  await workbench.goTo(plane);
  await workbench.takeBrush(3);
  const origin = new URL(page.url()).origin;
  const session = await context.newCDPSession(page);
  await session.send("Storage.overrideQuotaForOrigin", { origin, quotaSize: 1 });
  await page.evaluate(() => {
    for (let size = 1 << 20; size > 0; size >>= 1) {
      try {
        for (let at = 0; ; at += 1) localStorage.setItem(`full-${size}-${at}`, "x".repeat(size));
      } catch {
        // Smaller pieces may still fit.
      }
    }
  });
  await server.die();
  const stroke = await dot(workbench, plane, 0);
  await workbench.seeSaveStatus("not-kept");
  await expect(workbench.storageTrouble).toContainText("full");
  await session.send("Storage.overrideQuotaForOrigin", { origin });
  await expect(workbench.saveStatus).toHaveText("Offline, 1 kept here", { timeout: 20_000 });
  await expect(workbench.storageTrouble).toBeHidden();
  await server.comeBack();
  await workbench.waitUntilSaved();
  await seeOnServer(page.url(), [stroke]);
});

test("leaving with unsent work: one is asked, the list names the case and sends it", async ({
  workbench,
  phantomCase,
  page,
  caseList,
  photograph,
}) => {
  const plane = await workbench.firstPlane();
  await workbench.goTo(plane);
  await workbench.takeBrush(3);
  await page.route("**/api/cases/*/corrections/*/*", (route) => route.abort());
  const url = page.url();
  const stroke = await dot(workbench, plane, 0);
  await workbench.seeSaveStatus("offline");

  const asked: string[] = [];
  page.on("dialog", (dialog) => {
    asked.push(dialog.type());
    void dialog.dismiss();
  });
  await page.close({ runBeforeUnload: true });
  await expect.poll(() => asked).toEqual(["beforeunload"]);
  await workbench.backToList();
  await expect(caseList.unsent(phantomCase)).toHaveText("1 slice not sent yet");
  await photograph("unsent-in-the-list");
  expect(await missing(url, [stroke])).toHaveLength(1);
  await page.unroute("**/api/cases/*/corrections/*/*");
  await expect(caseList.unsent(phantomCase)).toBeHidden({ timeout: 20_000 });
  await seeOnServer(url, [stroke]);
});

test("a stroke right before the tab is closed is sent on the way out", async ({ workbench, phantomCase, page }) => {
  expect(phantomCase).not.toBe("");
  const plane = await workbench.firstPlane();
  await workbench.goTo(plane);
  await workbench.takeBrush(3);
  const url = page.url();
  const stroke = await dot(workbench, plane, 0);
  await page.close();
  await seeOnServer(url, [stroke]);
});

test("the loser of a conflict can be brought back", async ({ workbench, phantomCase, page, browser }) => {
  expect(phantomCase).not.toBe("");
  const context = await browser.newContext();
  const url = page.url();
  const { workbench: other, plane } = await openIn(await context.newPage(), url);
  await workbench.goTo(plane);
  await workbench.takeBrush(3);
  await page.route("**/api/cases/*/corrections/*/*", (route) => route.abort());
  const mine = await dot(workbench, plane, 0);
  const theirs = await dot(other, plane, 1);
  await other.waitUntilSaved();
  await page.unroute("**/api/cases/*/corrections/*/*");
  await expect(workbench.conflict).toBeVisible();
  await workbench.seeSaveStatus("conflict");
  await workbench.choose("theirs");
  await workbench.waitUntilSaved();
  await workbench.undo();
  await workbench.waitUntilSaved();
  await seeOnServer(url, [mine]);
  await workbench.redo();
  await workbench.waitUntilSaved();
  await seeOnServer(url, [theirs]);
  await context.close();
});

test("undo survives a reload", async ({ workbench, phantomCase, page }) => {
  expect(phantomCase).not.toBe("");
  const [first, second] = await workbench.firstTwo();
  await workbench.takeBrush(3);
  const strokes: Stroke[] = [];
  for (const [at, plane] of [first, second, first].entries()) {
    await workbench.goTo(plane);
    strokes.push(await dot(workbench, plane, at));
  }
  await workbench.undo();
  await workbench.waitUntilSaved();
  await page.reload();
  await workbench.waitForSlices();
  await workbench.redo();
  await workbench.waitUntilSaved();
  await seeOnServer(page.url(), strokes);
  for (let step = 0; step < 3; step += 1) await workbench.undo();
  await expect(page.getByTestId("undo")).toBeDisabled();
  await workbench.waitUntilSaved();
  expect(await missing(page.url(), strokes)).toHaveLength(3);
});

test("a deleted case is brought back, with what had not been sent of it", async ({
  workbench,
  phantomCase,
  page,
  caseList,
}) => {
  const plane = await workbench.firstPlane();
  await workbench.goTo(plane);
  await workbench.takeBrush(3);
  const url = page.url();
  await page.route("**/api/cases/*/corrections/*/*", (route) => route.abort());
  const stroke = await dot(workbench, plane, 0);
  await workbench.seeSaveStatus("offline");
  await workbench.backToList();
  await caseList.delete(phantomCase);
  await expect(caseList.binned).toContainText(phantomCase);
  await page.unroute("**/api/cases/*/corrections/*/*");
  await caseList.bringBack();
  await expect(caseList.row(phantomCase)).toBeVisible();
  await expect(caseList.binned).toBeHidden();
  await seeOnServer(url, [stroke]);
});

test("a proxy that holds events back does not put the page offline", async ({
  workbench,
  phantomCase,
  page,
  browser,
  photograph,
}) => {
  expect(phantomCase).not.toBe("");
  const held = await browser.newContext();
  await held.route("**/api/events", () => new Promise(() => undefined));
  const tab = await held.newPage();
  const { workbench: behindProxy, plane } = await openIn(tab, page.url());
  await workbench.goTo(plane);
  await workbench.markDone(plane);
  await expect(behindProxy.slice(plane)).toHaveAttribute("data-state", "done", { timeout: 20_000 });
  await behindProxy.seeSaveStatus("saved");
  await tab.goto("/").catch(() => undefined);
  await photograph("behind-a-proxy");
  await held.close();
});

test("a case that does not exist shows no tools, and no word of being saved", async ({ page, server, photograph }) => {
  await page.goto(`${server.url}/case/ffffffffffffffffffffffffffffffff`);
  const workbench = new WorkbenchPage(page);
  await expect(workbench.noCase).toBeVisible();
  await expect(page.getByTestId("tool-brush")).toHaveCount(0);
  await expect(workbench.saveStatus).toHaveCount(0);
  await photograph("no-such-case");
  await page.getByRole("link", { name: "To the case list" }).click();
  await expect(new CaseListPage(page).heading).toBeVisible();
});
