/** Many tabs of one browser: all of them work, none takes from another, and what one saves the others see. */
import type { BrowserContext, Page } from "@playwright/test";

import { dot, lost, missing, seeOnServer } from "../fixtures/strokes.ts";
import type { Stroke } from "../fixtures/strokes.ts";
import { expect, test } from "../fixtures/test.ts";
import { WorkbenchPage } from "../pages/workbench.ts";
import type { Plane } from "../pages/workbench.ts";

test.use({ startsWithCase: true });

const SAVES = "**/api/cases/*/corrections/*/*";

async function openTab(context: BrowserContext, url: string): Promise<WorkbenchPage> {
  const tab = new WorkbenchPage(await context.newPage());
  await tab.openAddress(url);
  await tab.waitForSlices();
  return tab;
}

test("twelve tabs of one browser all work", async ({ workbench, phantomCase, page, context }) => {
  await expect(workbench.title).toHaveText(phantomCase);
  const streams: Page[] = [];
  context.on("request", (request) => {
    if (request.url().endsWith("/api/events")) streams.push(request.frame().page());
  });
  const tabs: WorkbenchPage[] = [];
  for (let tab = 1; tab < 12; tab += 1) tabs.push(await openTab(context, page.url()));
  const [second] = tabs;
  const last = tabs.at(-1);
  if (!second || !last) throw new Error("tabs are needed");
  expect(streams, "the first tab listens for all").toHaveLength(0);

  await test.step("the last one takes the case over, paints and is saved", async () => {
    const plane = await last.firstPlane();
    await expect(last.elsewhere).toBeVisible();
    await last.workHere();
    await last.takeBrush(3);
    await last.paintSomething(plane);
    await last.waitUntilSaved();
    await expect(second.slice(plane)).toHaveAttribute("data-state", "edited");
  });

  await test.step("when the listening tab is closed, another one listens", async () => {
    await page.close();
    await expect.poll(() => streams.length).toBe(1);
    const [, plane] = await last.planes();
    if (!plane) throw new Error("two slices are needed");
    await last.goTo(plane);
    await last.markDone(plane);
    await last.waitUntilSaved();
    await expect(second.slice(plane)).toHaveAttribute("data-state", "done");
  });
});

test("a case is worked on in one tab, read along in others, and taken over", async ({
  workbench,
  phantomCase,
  page,
  context,
  photograph,
}) => {
  await expect(workbench.title).toHaveText(phantomCase);
  const plane = await workbench.firstPlane();
  const other = await openTab(context, page.url());
  const strokes: Stroke[] = [];

  await test.step("the second tab reads along", async () => {
    await expect(other.elsewhere).toContainText("Another tab works on this case");
    await photograph("reading-along");
    await workbench.goTo(plane);
    await workbench.takeBrush(3);
    strokes.push(await dot(workbench, plane, 0));
    await workbench.waitUntilSaved();
    await expect(other.slice(plane)).toHaveAttribute("data-state", "edited");
    await other.goTo(plane);
    await other.paint(plane.axis, [0.6, 0.6], [0.62, 0.6]);
    await expect(other.notice).toContainText("Work here");
  });

  await test.step("taken over with an unsent stroke: it is not lost, and no conflict", async () => {
    await page.route(SAVES, (route) => route.abort());
    strokes.push(await dot(workbench, plane, 1));
    await workbench.seeSaveStatus("offline");
    await page.unroute(SAVES);
    await other.workHere();
    await expect(workbench.elsewhere).toBeVisible();
    await seeOnServer(page.url(), strokes);
    await other.takeBrush(3);
    await other.goTo(plane);
    strokes.push(await dot(other, plane, 2));
    await other.waitUntilSaved();
    await seeOnServer(page.url(), strokes);
    await expect(workbench.conflict).toBeHidden();
  });

  await test.step("a reload keeps the case, closing lets go of it", async () => {
    await other.reload();
    await other.waitForSlices();
    await expect(other.elsewhere).toBeHidden();
    await other.close();
    await expect(workbench.elsewhere).toBeHidden({ timeout: 20_000 });
  });
});

/** What the two tabs `a` and `b` do to one slice; an answer comes to a tab that goes on, or never. */
type Tab = "a" | "b";
type Act = "paints" | "is answered" | "reloads" | "closes";
type Order = [Tab, Act][];

/**
 * Every order of what two tabs do: each paints, and then is answered, reloads or closes. The one that paints first is
 * `a`.
 */
function everyOrder(): Order[] {
  const ends: Act[] = ["is answered", "reloads", "closes"];
  return ends.flatMap((endA) =>
    ends.flatMap((endB): Order[] => {
      const paint: Order = [
        ["a", "paints"],
        ["b", "paints"],
      ];
      return [
        [
          ["a", "paints"],
          ["a", endA],
          ["b", "paints"],
          ["b", endB],
        ],
        [...paint, ["a", endA], ["b", endB]],
        [...paint, ["b", endB], ["a", endA]],
      ];
    }),
  );
}

/** In CI every ninth, and all with I3DEEP_E2E_LONG. */
const ORDERS = everyOrder().filter((_, at) => process.env["I3DEEP_E2E_LONG"] || at % 9 === 4);

/** Saves do not come through: the server never hears of them, or its answer is lost. */
async function holdSaves(page: Page, reach: boolean): Promise<void> {
  await page.route(SAVES, async (route) => {
    if (reach) await route.fetch().catch(() => undefined);
    await route.abort().catch(() => undefined);
  });
}

test(`two tabs on one slice, in ${ORDERS.length} orders`, async ({ phantomCase, workbench, page, context }) => {
  expect(phantomCase).not.toBe("");
  const [url, planes] = [page.url(), await workbench.planes()];
  await page.close();
  // As outside of a secure context: without locks both tabs work, and revisions decide.
  await context.addInitScript(() => Object.defineProperty(Navigator.prototype, "locks", { get: () => undefined }));
  for (const [number, order] of ORDERS.entries()) {
    const plane = planes[number % planes.length];
    if (!plane) throw new Error("a slice is needed");
    await test.step(order.map((act) => act.join(" ")).join(", "), () => play(context, url, plane, order, number));
  }
});

async function play(context: BrowserContext, url: string, plane: Plane, order: Order, number: number): Promise<void> {
  const pages = { a: await context.newPage(), b: await context.newPage() };
  const tabs = { a: new WorkbenchPage(pages.a), b: new WorkbenchPage(pages.b) };
  await Promise.all(Object.values(tabs).map((tab) => tab.openAddress(url)));
  for (const tab of Object.values(tabs)) {
    await tab.waitForSlices();
    await tab.goTo(plane);
    await tab.takeBrush(3);
  }
  const strokes: Stroke[] = [];
  for (const [name, act] of order) {
    const [tab, page] = [tabs[name], pages[name]];
    if (act === "paints") {
      await page.bringToFront();
      await holdSaves(page, number % 2 === 1);
      strokes.push(await dot(tab, plane, 2 * number + strokes.length));
    } else if (act === "is answered") {
      await page.unroute(SAVES);
      await expect(tab.saveStatus).toHaveAttribute("data-state", /saved|conflict/);
    } else if (act === "reloads") {
      await page.unroute(SAVES);
      await page.reload();
      await tab.waitForSlices();
    } else {
      await page.close();
    }
  }
  await Promise.all(Object.values(pages).map((page) => page.close()));

  // Whoever comes back finds both strokes on the server, or is asked which version is right; then the other one is
  // among the slice's versions.
  const heir = new WorkbenchPage(await context.newPage());
  await heir.openAddress(url);
  await heir.waitForSlices();
  let asked = 0;
  await expect(async () => {
    if (await heir.conflict.isVisible()) {
      asked += 1;
      await heir.choose("mine");
    }
    await expect(heir.saveStatus).toHaveAttribute("data-state", "saved", { timeout: 100 });
    const gone = await missing(url, strokes);
    expect(gone.length, "strokes that do not hold").toBeLessThanOrEqual(asked);
    expect(await lost(url, strokes), "strokes in no version").toEqual([]);
  }).toPass({ timeout: 30_000 });
  await heir.close();
}
