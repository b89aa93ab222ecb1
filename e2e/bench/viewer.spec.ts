/**
 * What a scan of real size (512 × 512 × 300) costs whoever looks at it without a graphics card: over a hospital's line,
 * over none, under the hand, and in memory. `cargo xtask bench viewer` runs it and prints the figures; nothing is
 * claimed here, so nothing fails but what does not work.
 */
import { readFile, readdir } from "node:fs/promises";
import { chromium } from "@playwright/test";
import type { Browser, Page } from "@playwright/test";

import config from "../playwright.config.ts";
import { Line } from "../fixtures/shaper.ts";
import { Server } from "../fixtures/server.ts";
import { generate, test } from "../fixtures/test.ts";
import { WorkbenchPage } from "../pages/workbench.ts";

const SIZE = (process.env["I3DEEP_BENCH_SIZE"] ?? "512,512,300").split(",").map(Number) as [number, number, number];
const MEGABITS = 30;
const DELAY_MS = 10;
const OPENINGS = 3;

test("a scan of real size", async ({}, testInfo) => {
  test.setTimeout(3_600_000);
  const [x, y, z] = SIZE;
  // As large as the phantoms that the networks know, in many more voxels: they are done soon.
  const spacing = [56 / x, 64 / y, 72 / z].map((mm) => mm.toFixed(4)).join(",");
  const scan = await generate(testInfo.outputPath("scan"), ["--size", SIZE.join(","), "--spacing", spacing]);
  const begun = performance.now();
  const prepared = await Server.prepare(scan, "phantom", "real size");
  say("sent and segmented", seconds(performance.now() - begun));
  const server = await Server.start(prepared);
  const line = await Line.to(server.url, MEGABITS, DELAY_MS);
  try {
    for (const [where, url] of [
      ["on loopback", server.url],
      [`over ${MEGABITS} Mbit/s and ${DELAY_MS} ms each way`, line.url],
    ] as const) {
      const browser = await launch();
      const before = line.received;
      const page = await browser.newPage({ viewport: { width: 1440, height: 900 } });
      const times = await open(page, `${url}/case/${prepared.caseId}`);
      say(`${where}: a plane is seen after`, seconds(times.plane));
      say(`${where}: a slice can be corrected after`, seconds(times.slices));
      say(`${where}: all is there after`, seconds(times.all));
      if (url === line.url) {
        const bytes = line.received - before;
        say("bytes on the line", `${(bytes / 1e6).toFixed(1)} MB`);
        say("of the time that the line takes for them", (times.all / ((bytes * 8) / (MEGABITS * 1e3))).toFixed(2));
      } else {
        await measureHand(page);
        await measureMemory(page, `${url}/case/${prepared.caseId}`);
      }
      await browser.close();
    }
  } finally {
    await line.close();
    await server.stop();
  }
});

async function launch(): Promise<Browser> {
  const { args = [], ...options } = config.use?.launchOptions ?? {};
  return chromium.launch({ ...options, args: [...args, "--disable-gpu"] });
}

/** Milliseconds from the address to the first plane, to the first slice that can be corrected, and to the whole. */
async function open(page: Page, address: string): Promise<{ plane: number; slices: number; all: number }> {
  const begun = performance.now();
  await page.goto(address, { waitUntil: "commit" });
  const when = async (what: Promise<unknown>) => {
    await what;
    return performance.now() - begun;
  };
  const [plane, slices, all] = await Promise.all([
    when(
      page.waitForFunction(
        () => {
          const views = [...document.querySelectorAll<HTMLCanvasElement>("figure.view canvas")];
          return views.some((view) => {
            if (!view.dataset["origin"] || view.width === 0) return false;
            const copy = new OffscreenCanvas(40, 40).getContext("2d", { willReadFrequently: true });
            copy?.drawImage(view, 0, 0, 40, 40);
            // The middle is grey: neither black nor the crosshair's blue.
            const pixels = copy?.getImageData(10, 10, 20, 20).data ?? [];
            let lit = 0;
            for (let at = 0; at < pixels.length; at += 4) if ((pixels[at] ?? 0) > 40) lit += 1;
            return lit > 40;
          });
        },
        undefined,
        { polling: 50, timeout: 600_000 },
      ),
    ),
    when(page.locator('canvas[data-target="true"]').waitFor({ timeout: 600_000 })),
    when(
      page.waitForFunction(
        () => document.querySelectorAll('figure.view canvas[data-ready="true"]').length === 3,
        undefined,
        { polling: 100, timeout: 600_000 },
      ),
    ),
  ]);
  return { plane, slices, all };
}

/** How long the page is not awake after each act of the hand: from the event to when a message gets its turn. */
async function measureHand(page: Page): Promise<void> {
  const workbench = new WorkbenchPage(page);
  await page.waitForFunction(() => document.querySelector(".loading")?.textContent === "", undefined, {
    timeout: 600_000,
  });
  const most = await workbench.effort.getAttribute("max");
  await workbench.effort.fill(String(most));
  const [plane] = await workbench.offered();
  if (!plane) throw new Error("no slice is offered");
  await workbench.goTo(plane);
  await page.waitForTimeout(3000);
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
    const times: number[] = [];
    for (let turn = 0; turn < 5; turn += 1) times.push(await longest(act));
    times.sort((a, b) => a - b);
    say(`${what}: longest block`, `median ${times[2]?.toFixed(1)} ms, largest ${times.at(-1)?.toFixed(1)} ms`);
  }
}

/** What the tab's processes hold, in shares of the volume of 16-bit voxels. */
async function measureMemory(page: Page, address: string): Promise<void> {
  const volume = SIZE[0] * SIZE[1] * SIZE[2] * 2;
  for (let opening = 1; opening <= OPENINGS; opening += 1) {
    if (opening > 1) await open(page, address);
    await page.waitForTimeout(2000);
    const bytes = await rendererBytes();
    say(`memory of the tab at opening ${opening}`, `${(bytes / volume).toFixed(1)} × the volume`);
  }
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
