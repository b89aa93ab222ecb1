/**
 * The page at `/case/{id}`: views, brush, slices, refinement. Points are given as shares of a view's size, `[0.5, 0.5]`
 * being its middle.
 */
import { expect } from "@playwright/test";
import type { Locator, Page } from "@playwright/test";

import type { Triple } from "../fixtures/nifti.ts";
import { UNDER_WAY } from "./case-list.ts";

export type Axis = "axial" | "coronal" | "sagittal";

export interface Plane {
  axis: Axis;
  index: number;
}

type Share = [number, number];

const JOB_LIMIT_MS = 300_000;

export class WorkbenchPage {
  private readonly page: Page;
  readonly slices: Locator;
  readonly refine: Locator;
  readonly compare: Locator;
  readonly notice: Locator;
  readonly conflict: Locator;
  readonly refusal: Locator;
  readonly title: Locator;
  readonly saveStatus: Locator;
  readonly elsewhere: Locator;
  readonly warnings: Locator;
  readonly storageTrouble: Locator;
  readonly noCase: Locator;
  readonly round: Locator;
  readonly suggestion: Locator;
  readonly anotherRound: Locator;
  readonly effort: Locator;

  constructor(page: Page) {
    this.page = page;
    this.slices = page.getByTestId("slice-item");
    this.refine = page.getByTestId("refine");
    this.compare = page.getByTestId("compare");
    this.notice = page.getByTestId("notice");
    this.conflict = page.getByTestId("conflict");
    this.refusal = page.getByTestId("save-refused");
    this.title = page.getByRole("heading", { level: 1 });
    this.saveStatus = page.getByTestId("save-status");
    this.warnings = page.getByTestId("scan-warnings");
    this.elsewhere = page.getByTestId("elsewhere");
    this.storageTrouble = page.getByTestId("storage-trouble");
    this.noCase = page.getByTestId("no-case");
    this.round = page.getByTestId("round");
    this.suggestion = page.getByTestId("suggestion");
    this.anotherRound = page.getByTestId("another-round");
    this.effort = page.getByTestId("effort");
  }

  /** Opens a case by its page's address. */
  async openAddress(url: string): Promise<void> {
    await this.page.goto(url);
  }

  view(axis: Axis): Locator {
    return this.page.getByTestId(`view-${axis}`);
  }

  /** Waits until there is something to correct and all volumes have arrived. */
  async waitForSlices(): Promise<void> {
    await expect(this.slices.first()).toBeVisible();
    for (const axis of ["axial", "coronal", "sagittal"] as const)
      await expect(this.view(axis)).toHaveAttribute("data-ready", "true");
  }

  /** The slices on the rail, in its order: this round's, then earlier ones'. */
  async planes(): Promise<Plane[]> {
    return planesOf(this.slices);
  }

  /** The first slice of the rail. */
  async firstPlane(): Promise<Plane> {
    const [first] = await this.planes();
    if (!first) throw new Error("a slice is needed");
    return first;
  }

  /** The first two slices of the rail. */
  async firstTwo(): Promise<[Plane, Plane]> {
    const [first, second] = await this.planes();
    if (!first || !second) throw new Error("two slices are needed");
    return [first, second];
  }

  /** The slices of this round, by rank. */
  async offered(): Promise<Plane[]> {
    return planesOf(this.page.getByRole("list", { name: "Slices to correct" }).getByTestId("slice-item"));
  }

  /** Asks for the next slices and waits until they are there. */
  async goAnotherRound(round: number): Promise<void> {
    await this.anotherRound.click();
    await expect(this.round).toHaveAttribute("data-round", String(round));
    await expect(this.anotherRound).toBeHidden();
  }

  slice({ axis, index }: Plane): Locator {
    return this.page.locator(`[data-testid="slice-item"][data-axis="${axis}"][data-index="${index}"]`);
  }

  /** Goes to a slice: its view becomes the large one and shows it. */
  async goTo(plane: Plane): Promise<void> {
    await this.slice(plane).click();
    await expect(this.slice(plane)).toHaveAttribute("aria-current", "true");
    await expect(this.view(plane.axis)).toHaveAttribute("data-target", "true");
    await expect(this.view(plane.axis)).toHaveAttribute("data-index", String(plane.index));
  }

  async takeBrush(diameterMm: number): Promise<void> {
    await this.page.getByTestId("tool-brush").click();
    await this.page.getByTestId("brush-size").fill(String(diameterMm));
  }

  async takeEraser(): Promise<void> {
    await this.page.getByTestId("tool-eraser").click();
  }

  async chooseLabel(label: number): Promise<void> {
    await this.page.getByTestId(`label-${label}`).click();
  }

  /** The names of the labels, by value. */
  async labelNames(): Promise<Map<number, string>> {
    const buttons = await this.page.locator('[data-testid^="label-"]').all();
    const names = new Map<number, string>();
    for (const button of buttons) {
      const value = Number((await button.getAttribute("data-testid"))?.slice("label-".length));
      names.set(value, (await button.locator(".label-name").innerText()).trim());
    }
    return names;
  }

  /** What the status bar says about the voxel under the pointer. */
  async probe(axis: Axis, share: Share): Promise<{ voxel: Triple; text: string } | undefined> {
    await this.pointAt(axis, share);
    // The status bar follows with the next frame.
    await this.page.evaluate(
      () => new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve))),
    );
    const text = await this.page.getByTestId("probe").innerText();
    const match = /voxel (\d+), (\d+), (\d+)/.exec(text);
    return match ? { voxel: [Number(match[1]), Number(match[2]), Number(match[3])], text } : undefined;
  }

  /** Paints a stroke from one point to another. */
  async paint(axis: Axis, from: Share, to: Share): Promise<void> {
    await this.pointAt(axis, from);
    await this.page.mouse.down();
    const [x, y] = await this.onPage(axis, to);
    await this.page.mouse.move(x, y, { steps: 8 });
    await this.page.mouse.up();
  }

  /** Takes a tool by its word: brush, lasso, … */
  async take(tool: string): Promise<void> {
    await this.page.getByTestId(`tool-${tool}`).click();
  }

  /** Edits the whole slice: grow, smooth, … */
  async edit(edit: string): Promise<void> {
    await this.page.getByTestId(`edit-${edit}`).click();
  }

  /** Drags from voxel to voxel of a view. */
  async drag(axis: Axis, way: Triple[]): Promise<void> {
    const [first, ...rest] = way;
    if (!first) return;
    await this.page.mouse.move(...(await this.placeOf(axis, first)));
    await this.page.mouse.down();
    for (const voxel of rest) await this.page.mouse.move(...(await this.placeOf(axis, voxel)), { steps: 4 });
    await this.page.mouse.up();
  }

  /** Presses on voxels of a view, one after the other. */
  async press(axis: Axis, voxels: Triple[], modifiers: ("Shift" | "Control")[] = []): Promise<void> {
    for (const key of modifiers) await this.page.keyboard.down(key);
    for (const voxel of voxels) await this.page.mouse.click(...(await this.placeOf(axis, voxel)));
    for (const key of modifiers) await this.page.keyboard.up(key);
  }

  /** What the status bar says about a voxel of a view. */
  async probeVoxel(axis: Axis, voxel: Triple): Promise<string> {
    await this.page.mouse.move(...(await this.placeOf(axis, voxel)));
    await this.nextFrame();
    return this.page.getByTestId("probe").innerText();
  }

  /** Red, green and blue of a voxel's middle on a view's canvas. */
  async colourOf(axis: Axis, voxel: Triple): Promise<Triple> {
    // The tool's preview must not lie over it.
    await this.page.mouse.move(2, 2);
    await this.nextFrame();
    const box = await this.boxOf(axis);
    const [x, y] = await this.placeOf(axis, voxel);
    return this.view(axis).evaluate(
      (canvas, [left, top]) => {
        if (!(canvas instanceof HTMLCanvasElement)) throw new Error("a view is a canvas");
        const scale = canvas.width / canvas.clientWidth;
        // From a copy: the page's own canvas is not made to be read.
        const copy = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
        copy?.drawImage(canvas, Math.floor(left * scale), Math.floor(top * scale), 1, 1, 0, 0, 1, 1);
        const pixel = copy?.getImageData(0, 0, 1, 1).data;
        return [pixel?.[0] ?? -1, pixel?.[1] ?? -1, pixel?.[2] ?? -1] as [number, number, number];
      },
      [x - box.x, y - box.y] as const,
    );
  }

  /** Where a voxel's middle lies on the page; its view must show its plane. */
  async placeOf(axis: Axis, voxel: Triple): Promise<[number, number]> {
    const canvas = this.view(axis);
    const numbers = async (name: string) => ((await canvas.getAttribute(`data-${name}`)) ?? "").split(",").map(Number);
    const [origin, scale, dims, stored] = await Promise.all(["origin", "scale", "dims", "stored"].map(numbers));
    const flip = ((await canvas.getAttribute("data-flip")) ?? "").split(",").map((word) => word === "true");
    const box = await this.boxOf(axis);
    const along = (at: 0 | 1): number => {
      const index = voxel[stored?.[at] as 0 | 1 | 2];
      const cell = flip[at] ? (dims?.[at] ?? 0) - 1 - index : index;
      return (origin?.[at] ?? 0) + (scale?.[at] ?? 0) * (cell + 0.5);
    };
    return [box.x + along(0), box.y + along(1)];
  }

  private async boxOf(axis: Axis): Promise<{ x: number; y: number }> {
    const box = await this.view(axis).boundingBox();
    if (!box) throw new Error(`the ${axis} view is not on the page`);
    return box;
  }

  /** What is drawn follows with the next frame. */
  async nextFrame(): Promise<void> {
    await this.page.evaluate(
      () => new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve))),
    );
  }

  async undo(): Promise<void> {
    await this.page.getByTestId("undo").click();
  }

  async redo(): Promise<void> {
    await this.page.getByTestId("redo").click();
  }

  /** Vouches for the slice in view. */
  async markDone(plane: Plane): Promise<void> {
    await this.page.getByTestId("mark-done").click();
    await expect(this.slice(plane)).toHaveAttribute("data-state", "done");
  }

  /**
   * Paints a short stroke in the middle of a slice, with a label that does not stand there, so that something changes.
   */
  async paintSomething(plane: Plane): Promise<void> {
    await this.goTo(plane);
    const found = await this.probe(plane.axis, [0.5, 0.5]);
    const label = [...(await this.labelNames())].find(([, name]) => !found?.text.endsWith(name))?.[0];
    if (label === undefined) await this.takeEraser();
    else await this.chooseLabel(label);
    await this.paint(plane.axis, [0.5, 0.5], [0.51, 0.51]);
    await expect(this.slice(plane)).toHaveAttribute("data-state", "edited");
  }

  async waitUntilSaved(): Promise<void> {
    await this.seeSaveStatus("saved");
  }

  async seeSaveStatus(state: "saved" | "saving" | "offline" | "not-kept" | "refused" | "conflict"): Promise<void> {
    await expect(this.page.getByTestId("save-status")).toHaveAttribute("data-state", state);
  }

  /** Chooses this window's version of the slices in conflict, or the other one. */
  async choose(version: "mine" | "theirs"): Promise<void> {
    await this.page.getByTestId(version === "mine" ? "keep-mine" : "take-theirs").click();
  }

  /** Takes the case over from another tab. */
  async workHere(): Promise<void> {
    await this.page.getByTestId("work-here").click();
    await expect(this.elsewhere).toBeHidden();
  }

  async retrySaving(): Promise<void> {
    await this.page.getByTestId("retry-save").click();
  }

  async reload(): Promise<void> {
    await this.page.reload();
  }

  async close(): Promise<void> {
    await this.page.close();
  }

  async backToList(): Promise<void> {
    await this.page.getByTestId("back").click();
  }

  /** Refines and waits for the result. */
  async refineAndWait(): Promise<void> {
    const progress = this.page
      .getByRole("region", { name: "Refinement" })
      .locator(UNDER_WAY)
      .waitFor({ state: "attached" });
    await Promise.all([progress, this.refine.click()]);
    await expect(this.compare).toBeVisible({ timeout: JOB_LIMIT_MS });
    await expect(this.suggestion).toBeVisible({ timeout: JOB_LIMIT_MS });
  }

  /** Saves the version shown to `path`. */
  async download(path: string): Promise<void> {
    const [download] = await Promise.all([
      this.page.waitForEvent("download"),
      this.page.getByTestId("download").click(),
    ]);
    await download.saveAs(path);
  }

  /** Saves the version shown to `path` for 3D Slicer; downloads are NIfTI again after it. */
  async downloadForSlicer(path: string): Promise<void> {
    const format = this.page.getByTestId("download-format");
    await format.selectOption({ label: "3D Slicer" });
    await this.download(path);
    await format.selectOption({ label: "NIfTI" });
  }

  private async pointAt(axis: Axis, share: Share): Promise<void> {
    const [x, y] = await this.onPage(axis, share);
    await this.page.mouse.move(x, y);
  }

  private async onPage(axis: Axis, [across, down]: Share): Promise<[number, number]> {
    const box = await this.view(axis).boundingBox();
    if (!box) throw new Error(`the ${axis} view is not on the page`);
    return [box.x + across * box.width, box.y + down * box.height];
  }
}

async function planesOf(items: Locator): Promise<Plane[]> {
  return items.evaluateAll((items) =>
    items.map((item) => ({
      axis: item.dataset["axis"] as "axial" | "coronal" | "sagittal",
      index: Number(item.dataset["index"]),
    })),
  );
}
