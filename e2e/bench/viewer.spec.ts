/**
 * What a scan of real size (512 × 512 × 300) costs whoever looks at it without a graphics card: over a hospital's line,
 * over none, under the hand, and in memory. `cargo xtask bench viewer` runs it and prints the figures; nothing is
 * claimed here, so nothing fails but what does not work.
 */
import { readFile, readdir } from "node:fs/promises";
import { loadavg } from "node:os";
import { chromium } from "@playwright/test";
import type { Browser, Page, TestInfo } from "@playwright/test";

import config from "../playwright.config.ts";
import { BareTab } from "../fixtures/bare-tab.ts";
import { Line } from "../fixtures/shaper.ts";
import { Server } from "../fixtures/server.ts";
import type { Prepared } from "../fixtures/server.ts";
import { generate, test } from "../fixtures/test.ts";
import { WorkbenchPage } from "../pages/workbench.ts";

type Size = [number, number, number];

const SIZE = (process.env["I3DEEP_BENCH_SIZE"] ?? "512,512,300").split(",").map(Number) as Size;
const MEGABITS = 30;
const DELAY_MS = 10;
const OPENINGS = 10;
const LIMIT_MS = 600_000;
const VIEWPORT = { width: 1440, height: 900 };

test("a scan of real size", async ({}, testInfo) => {
  test.setTimeout(3_600_000);
  const prepared = await prepare(testInfo, SIZE, process.env["I3DEEP_BENCH_DATA"]);
  const server = await Server.start(prepared);
  const line = await Line.to(server.url, MEGABITS, DELAY_MS);
  try {
    const slow = `over ${MEGABITS} Mbit/s and ${DELAY_MS} ms each way`;
    await measureOpening(server.url, "on loopback, by its address", prepared.caseId, undefined);
    await measureOpening(line.url, `${slow}, by its address, nothing cached`, prepared.caseId, line);
    await measureOpening(line.url, `${slow}, from the list`, prepared.caseId, line, true);
    const browser = await launch();
    await measureHand(await openWatched(browser, server.url, prepared.caseId));
    await browser.close();
    await measureMemory(server.url);
  } finally {
    await line.close();
    await server.stop();
  }
});

/** A data folder with a scan, segmented; that of an earlier run if it is named. */
async function prepare(testInfo: TestInfo, size: Size, data: string | undefined): Promise<Prepared> {
  if (data) {
    const server = await Server.start({ data, caseId: "" });
    const [known] = (await (await fetch(`${server.url}/api/cases`)).json()) as { id: string }[];
    await server.stop();
    if (!known) throw new Error(`${data} holds no case`);
    return { data, caseId: known.id };
  }
  const [x, y, z] = size;
  // As large as the phantoms that the networks know, in many more voxels: they are done soon.
  const spacing = [56 / x, 64 / y, 72 / z].map((mm) => mm.toFixed(4)).join(",");
  const scan = await generate(testInfo.outputPath("scan"), ["--size", size.join(","), "--spacing", spacing]);
  const begun = performance.now();
  const prepared = await Server.prepare(scan, "phantom", "real size");
  say("sent and segmented", seconds(performance.now() - begun));
  return prepared;
}

test("a surface of 256 × 256 × 256 voxels that is turned", async ({}, testInfo) => {
  test.setTimeout(1_800_000);
  const prepared = await prepare(testInfo, [256, 256, 256], process.env["I3DEEP_BENCH_SURFACE_DATA"]);
  const server = await Server.start(prepared);
  const browser = await launch();
  try {
    const page = await openWatched(browser, server.url, prepared.caseId);
    const begun = performance.now();
    await page.keyboard.press("Shift+x");
    const surface = page.getByTestId("surface");
    await surface.and(page.locator('[data-ready="true"]')).waitFor({ timeout: LIMIT_MS });
    say("the surface is there after", seconds(performance.now() - begun));
    say("its triangles", String(await surface.getAttribute("data-triangles")));
    await page.waitForTimeout(3000);
    await measureTurning(page);
    await page.getByTestId("enlarge-surface").click();
    await page.waitForTimeout(1000);
    say("shown alone", "");
    await measureTurning(page);
  } finally {
    await browser.close();
    await server.stop();
  }
});

/** Drags it around and reads from the page how long each picture took, and how soon the next one came. */
async function measureTurning(page: Page): Promise<void> {
  const surface = page.getByTestId("surface");
  const box = await surface.boundingBox();
  if (!box) throw new Error("no surface");
  const pictures = surface.evaluate((canvas) => {
    const pictures: { at: number; tookMs: number }[] = [];
    const end = performance.now() + 5000;
    return new Promise<typeof pictures>((resolve) => {
      new MutationObserver(() =>
        pictures.push({ at: performance.now(), tookMs: Number(canvas.dataset["drawnMs"]) }),
      ).observe(canvas, { attributeFilter: ["data-drawn"] });
      setTimeout(() => resolve(pictures), end - performance.now());
    });
  });
  const [x, y] = [box.x + box.width / 2, box.y + box.height / 2];
  await page.mouse.move(x, y);
  await page.mouse.down();
  for (let step = 1; step <= 200; step += 1) {
    await page.mouse.move(x + 120 * Math.sin(step / 20), y + 60 * Math.sin(step / 33));
    await page.waitForTimeout(8);
  }
  await page.mouse.up();
  const seen = await pictures;
  // The last one is of the surface at rest, in all detail.
  const held = seen.slice(1, -1);
  const sorted = (numbers: number[]) => numbers.sort((a, b) => a - b);
  const took = sorted(held.map((picture) => picture.tookMs));
  const gaps = sorted(held.slice(1).map((picture, at) => picture.at - (held[at]?.at ?? picture.at)));
  const share = (numbers: number[], part: number) => numbers[Math.floor(part * (numbers.length - 1))]?.toFixed(0);
  say("pictures while it is turned", String(held.length));
  say("a picture takes", `median ${share(took, 0.5)} ms, 95 % within ${share(took, 0.95)} ms`);
  say("from picture to picture", `median ${share(gaps, 0.5)} ms, 95 % within ${share(gaps, 0.95)} ms`);
  say("the picture at rest takes", `${seen.at(-1)?.tookMs.toFixed(0)} ms`);
  say("load of the machine (1 minute)", loadavg()[0]?.toFixed(1) ?? "");
}

async function launch(): Promise<Browser> {
  const { args = [], ...options } = config.use?.launchOptions ?? {};
  return chromium.launch({ ...options, args: [...args, "--disable-gpu"] });
}

async function newTab(browser: Browser): Promise<BareTab> {
  return BareTab.open(browser, VIEWPORT.width, VIEWPORT.height);
}

/** A page of Playwright's own, with a hand to move, when all of the case is there. */
async function openWatched(browser: Browser, url: string, caseId: string): Promise<Page> {
  const page = await browser.newPage({ viewport: VIEWPORT });
  const limit = { timeout: LIMIT_MS };
  await page.goto(`${url}/case/${caseId}`);
  await page.waitForSelector('figure.view canvas[data-target="true"][data-ready="true"]', limit);
  await page.waitForFunction(() => document.querySelector(".loading")?.textContent === "", undefined, limit);
  return page;
}

async function openList(tab: BareTab, url: string): Promise<void> {
  await tab.goTo(url);
  await tab.until(`document.querySelector('${testId("open-case")}')`, LIMIT_MS);
}

async function measureOpening(
  url: string,
  where: string,
  caseId: string,
  line: Line | undefined,
  fromList = false,
): Promise<void> {
  const browser = await launch();
  const tab = await newTab(browser);
  if (fromList) await openList(tab, url);
  const before = line?.received ?? 0;
  const times = await open(tab, url, fromList ? undefined : caseId);
  say(`${where}: the slice to correct is seen after`, seconds(times.slice));
  say(`${where}: it can be corrected after`, seconds(times.work));
  say(`${where}: all views show something after`, seconds(times.coarse));
  say(`${where}: all is there after`, seconds(times.all));
  if (line) {
    const bytes = line.received - before;
    say(`${where}: bytes on the line`, `${(bytes / 1e6).toFixed(1)} MB`);
    say(`${where}: of the time that they take`, (times.all / ((bytes * 8) / (MEGABITS * 1e3))).toFixed(2));
  }
  say("load of the machine (1 minute)", loadavg()[0]?.toFixed(1) ?? "");
  await browser.close();
}

interface Times {
  slice: number;
  work: number;
  coarse: number;
  all: number;
}

/**
 * Milliseconds from the address, or the press on the list's only case, to the first slice, to when it can be corrected,
 * to a picture in every view, and to the whole.
 */
async function open(tab: BareTab, url: string, caseId: string | undefined): Promise<Times> {
  const begun = performance.now();
  if (caseId === undefined) await tab.press(testId("open-case"));
  else await tab.goTo(`${url}/case/${caseId}`);
  const when = async (selector: string, count = 1) => {
    await tab.until(`document.querySelectorAll(${JSON.stringify(selector)}).length >= ${count}`, LIMIT_MS);
    return performance.now() - begun;
  };
  const views = "figure.view canvas";
  const [slice, work, coarse] = await Promise.all([
    when('figure.view.large canvas[data-sharpness="sharp"]'),
    when(`${views}[data-target="true"][data-ready="true"]`),
    when(`${views}:is([data-sharpness="coarse"], [data-sharpness="sharp"])`, 3),
    when(`${views}[data-ready="true"]`, 3),
  ]);
  await tab.until('document.querySelector(".loading")?.textContent === ""', LIMIT_MS);
  return { slice, work, coarse, all: performance.now() - begun };
}

function testId(name: string): string {
  return `[data-testid="${name}"]`;
}

/** How long the page is not awake after each act of the hand: from the event to when a message gets its turn. */
async function measureHand(page: Page): Promise<void> {
  const workbench = new WorkbenchPage(page);
  const most = await workbench.effort.getAttribute("max");
  await workbench.effort.fill(String(most));
  const [plane] = await workbench.offered();
  if (!plane) throw new Error("no slice is offered");
  await workbench.goTo(plane);
  await page.waitForTimeout(5000);
  const box = await workbench.view(plane.axis).boundingBox();
  if (!box) throw new Error("no view");
  const longest = async (act: () => Promise<void>): Promise<number> => {
    await page.evaluate(() => {
      const page = globalThis as unknown as { gaps: number[]; stop: boolean };
      [page.gaps, page.stop] = [[], false];
      let before = performance.now();
      const channel = new MessageChannel();
      channel.port1.onmessage = () => {
        const now = performance.now();
        page.gaps.push(now - before);
        before = now;
        if (!page.stop) channel.port2.postMessage(undefined);
      };
      channel.port2.postMessage(undefined);
    });
    await act();
    await page.waitForTimeout(300);
    return page.evaluate(() => {
      const page = globalThis as unknown as { gaps: number[]; stop: boolean };
      page.stop = true;
      return Math.max(...page.gaps);
    });
  };
  const [cx, cy] = [box.x + box.width / 2, box.y + box.height / 2];
  const acts: [string, () => Promise<void>][] = [
    ["nothing, to compare with", async () => undefined],
    [
      `a stroke and its end, ${most} slices offered`,
      async () => {
        await page.mouse.move(cx - 20, cy);
        await page.mouse.down();
        await page.mouse.move(cx + 20, cy + 10, { steps: 8 });
        await page.mouse.up();
      },
    ],
    [
      "a window drag",
      async () => {
        await page.mouse.move(cx, cy);
        await page.mouse.down({ button: "right" });
        await page.mouse.move(cx + 40, cy + 20, { steps: 8 });
        await page.mouse.up({ button: "right" });
      },
    ],
    ["a plane change", () => page.keyboard.press("ArrowDown")],
    ["uncertainty shown", () => page.keyboard.press("u")],
  ];
  await workbench.takeBrush(2);
  for (const [what, act] of acts) {
    await sayMedian(page, `${what}: longest gap between two messages`, () => longest(act));
    await sayMedian(page, `${what}: longest task of the page's thread`, () => longestTask(page, act));
  }
  say("load of the machine (1 minute)", loadavg()[0]?.toFixed(1) ?? "");
}

/** Seven turns of a measurement, in milliseconds. */
async function sayMedian(page: Page, what: string, measure: () => Promise<number>): Promise<void> {
  const times: number[] = [];
  for (let turn = 0; turn < 7; turn += 1) {
    times.push(await measure());
    await page.waitForTimeout(500);
  }
  times.sort((a, b) => a - b);
  say(what, `median ${times[3]?.toFixed(1)} ms, largest ${times.at(-1)?.toFixed(1)} ms`);
}

type TraceEvent = { name: string; ph: string; pid: number; tid: number; dur?: number; args: { name?: string } };

/**
 * How long the longest task of the page's main thread took in the browser's own account, in milliseconds. Nothing runs
 * in the page beside the act, and what keeps the processor from the thread counts too.
 */
async function longestTask(page: Page, act: () => Promise<void>): Promise<number> {
  const browser = page.context().browser();
  if (!browser) throw new Error("the page has no browser");
  await browser.startTracing(page, { categories: ["toplevel"] });
  await act();
  await page.waitForTimeout(300);
  const { traceEvents } = JSON.parse((await browser.stopTracing()).toString()) as { traceEvents: TraceEvent[] };
  const threads = traceEvents.filter((event) => event.name === "thread_name" && event.args.name === "CrRendererMain");
  const tasks = traceEvents.filter(
    (event) =>
      event.name === "ThreadControllerImpl::RunTask" &&
      threads.some((thread) => thread.pid === event.pid && thread.tid === event.tid),
  );
  if (!tasks.length) throw new Error("the trace names no task of the page's thread");
  return Math.max(...tasks.map((task) => task.dur ?? 0)) / 1000;
}

/** What the tab's process holds, in shares of the volume of 16-bit voxels, opened from the list again and again. */
async function measureMemory(url: string): Promise<void> {
  const volume = SIZE[0] * SIZE[1] * SIZE[2] * 2;
  const browser = await launch();
  const tab = await newTab(browser);
  await openList(tab, url);
  for (let opening = 1; opening <= OPENINGS; opening += 1) {
    await open(tab, url, undefined);
    await new Promise((resolve) => setTimeout(resolve, 2000));
    say(`memory of the tab at opening ${opening}`, `${((await rendererBytes()) / volume).toFixed(2)} × the volume`);
    await tab.press(testId("back"));
    await tab.until(`document.querySelector('${testId("open-case")}')`, LIMIT_MS);
  }
  await browser.close();
}

/** The proportional set size of the largest renderer: the tab's. */
async function rendererBytes(): Promise<number> {
  const sizes = await Promise.all(
    (await readdir("/proc"))
      .filter((name) => /^\d+$/.test(name))
      .map(async (pid) => {
        const command = await readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "");
        if (!command.includes("--type=renderer")) return 0;
        const rollup = await readFile(`/proc/${pid}/smaps_rollup`, "utf8").catch(() => "");
        return 1024 * Number(/^Pss:\s+(\d+)/m.exec(rollup)?.[1] ?? 0);
      }),
  );
  return Math.max(...sizes);
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(2)} s`;
}

function say(what: string, figure: string): void {
  console.log(`${what}: ${figure}`);
}
