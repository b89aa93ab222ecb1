/** The expert moves the effort, and the list of slices follows while the hand is still moving. */
import { expect, test } from "../fixtures/test.ts";

test.use({ startsWithCase: true });

/** A frame of a display that shows 60 a second. */
const LIMIT_MS = 16;
/** On a machine too slow for that, how often what the browser takes to show the same rows with no page behind them. */
const TIMES_ITSELF = 2;

test("the list follows the effort within a frame", async ({ phantomCase, workbench, photograph, page }) => {
  expect(phantomCase).not.toBe("");
  const byRank = await workbench.offered();
  const most = Number(await workbench.effort.getAttribute("max"));
  expect(most).toBeGreaterThan(byRank.length);

  await test.step("a larger effort adds slices behind those that are there", async () => {
    await workbench.effort.fill(String(most));
    await expect(workbench.slices).toHaveCount(most);
    const all = await workbench.offered();
    expect(all.slice(0, byRank.length)).toEqual(byRank);
    await expect(page.getByTestId("slices-done")).toHaveText(`0 of ${most} done`);
    await expect(page.getByTestId("effort-settles")).toHaveText(/They settle [\d.]+ % of the uncertainty\./);
    await photograph("effort-most");
  });

  await test.step("a smaller one takes them away, but none that the expert has touched", async () => {
    const last = (await workbench.offered()).at(-1);
    if (!last) throw new Error("no slice is offered");
    await workbench.paintSomething(last);
    await workbench.effort.fill("1");
    await expect(workbench.slices).toHaveCount(2);
    expect(await workbench.offered()).toEqual([byRank[0], last]);
    await workbench.undo();
  });

  await test.step("each move takes less than a frame", async () => {
    const series = async (hand: Hand) => {
      await workbench.effort.fill(String(most));
      await expect(workbench.slices).toHaveCount(most);
      return median(await workbench.effort.evaluate(moveEffort, { most, hand }));
    };
    // Another program may disturb a series; one of three without is enough to know.
    let isSmooth = false;
    for (let tries = 0; tries < 3 && !isSmooth; tries += 1) {
      const [page, browser] = [await series("page"), await series("browser")];
      console.log(`effort moved over ${most} slices: median ${page.toFixed(1)} ms, ${browser.toFixed(1)} ms by itself`);
      isSmooth = page <= Math.max(LIMIT_MS, TIMES_ITSELF * browser);
    }
    expect(isSmooth).toBe(true);
  });
});

/** Who changes the list: the page, when the slider moves, or the bare browser, which is told which rows to show. */
type Hand = "page" | "browser";

/** Runs in the page: milliseconds from each of sixty moves until the browser has laid out and painted the list. */
async function moveEffort(slider: HTMLInputElement, { most, hand }: { most: number; hand: Hand }): Promise<number[]> {
  const rows = [...document.querySelectorAll('[data-testid="slice-item"]')].map((item) => {
    const row = item.closest("li");
    if (!row) throw new Error("a slice is in no list");
    return row;
  });
  // The last slice was touched, so it is always there.
  const last = rows.pop();
  const shown = () => document.querySelectorAll('[data-testid="slice-item"]').length;
  const show: Record<Hand, (value: number) => void> = {
    page: (value) => {
      slider.value = String(value);
      slider.dispatchEvent(new Event("input", { bubbles: true }));
    },
    browser: (value) =>
      rows.forEach((row, at) => {
        if (at >= value) row.remove();
        else if (!row.isConnected) last?.parentNode?.insertBefore(row, last);
      }),
  };
  // What the page does of itself is done when a message, which waits its turn behind it, arrives.
  const settled = () =>
    new Promise<void>((resolve) => {
      const channel = new MessageChannel();
      channel.port1.onmessage = () => resolve();
      channel.port2.postMessage(undefined);
    });
  const times: number[] = [];
  for (let move = 0; move < 60; move += 1) {
    const value = move % 2 ? 1 + (move % most) : most - (move % (most - 1));
    const begun = performance.now();
    show[hand](value);
    await settled();
    times.push(performance.now() - begun);
    if (shown() !== Math.min(value + 1, most))
      throw new Error(`at an effort of ${value} the list shows ${shown()} slices`);
    await new Promise((resolve) => requestAnimationFrame(resolve));
  }
  show[hand](most);
  return times;
}

function median(times: number[]): number {
  return times.sort((a, b) => a - b)[Math.floor(times.length / 2)] ?? Infinity;
}
