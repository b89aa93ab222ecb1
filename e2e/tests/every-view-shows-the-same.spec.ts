/** Layouts by key and by hand, the sides of the screen, and the 3D surface of what the planes show. */
import { expect, test } from "../fixtures/test.ts";
import type { Triple } from "../fixtures/nifti.ts";

test.use({ startsWithCase: true });

/** A picture of the surface, at the size of a quarter of the window, on a machine without a graphics card. */
const SMOOTH_MS = 50;

test("one view, three, or four with the surface", async ({ workbench, phantomCase, page }) => {
  await expect(workbench.title).toHaveText(phantomCase);
  const shown = () => page.locator("figure.view:visible").count();
  expect(await shown()).toBe(3);
  await page.keyboard.press("q");
  expect(await shown()).toBe(1);
  await page.keyboard.press("q");
  expect(await shown()).toBe(3);
  await page.getByTestId("layout-four").click();
  await expect(page.getByTestId("layout-four")).toHaveAttribute("aria-pressed", "true");
  expect(await shown()).toBe(4);
  const enlarge = page.getByTestId("enlarge-surface");
  await enlarge.click();
  expect(await shown()).toBe(1);
  await expect(page.getByTestId("surface")).toBeVisible();
  await enlarge.click();
  expect(await shown()).toBe(4);
  for (const axis of ["axial", "coronal", "sagittal"])
    await expect(page.getByRole("button", { name: `Show ${axis} large` })).toBeVisible();
  await page.getByRole("button", { name: "Show axial large" }).click();
  await expect(page.locator("main.views")).toHaveAttribute("data-large", "axial");
  expect(await shown()).toBe(3);
  await page.getByTestId("layout-one").click();
  expect(await shown()).toBe(1);
  await page.getByTestId("layout-three").click();
  expect(await shown()).toBe(3);
});

test("the patient's sides are exchanged, with their letters", async ({ workbench, phantomCase, page }) => {
  await expect(workbench.title).toHaveText(phantomCase);
  const sides = async () => (await page.locator('[data-view="axial"] .letter').allInnerTexts()).slice(0, 2).join("");
  const under = async (share: number) => (await workbench.probe("axial", [share, 0.5]))?.voxel[0] ?? Number.NaN;
  expect(await sides()).toBe("RL");
  const [left, right] = [await under(0.4), await under(0.6)];
  await page.keyboard.press("t");
  expect(await sides()).toBe("LR");
  await expect(page.getByTestId("switch-sides")).toBeChecked();
  expect(Math.sign((await under(0.4)) - (await under(0.6)))).toBe(-Math.sign(left - right));
  await page.getByTestId("switch-sides").click();
  expect(await sides()).toBe("RL");
});

test("what is held hides only meanwhile", async ({ workbench, phantomCase, page }) => {
  await expect(workbench.title).toHaveText(phantomCase);
  const segmentation = page.getByTestId("toggle-segmentation");
  await page.keyboard.down("h");
  await expect(segmentation).not.toBeChecked();
  // Longer than a press.
  await page.waitForTimeout(500);
  await page.keyboard.up("h");
  await expect(segmentation).toBeChecked();
  await page.keyboard.press("h");
  await expect(segmentation).not.toBeChecked();
  await page.keyboard.press("h");
});

test("the surface shows every label, turns smoothly, and follows the brush", async ({
  workbench,
  phantomCase,
  page,
}, testInfo) => {
  await expect(workbench.title).toHaveText(phantomCase);
  const plane = await workbench.firstPlane();
  await workbench.goTo(plane);
  const surface = page.getByTestId("surface");
  const says = async (name: string) => (await surface.getAttribute(`data-${name}`)) ?? "";

  await page.keyboard.press("Shift+x");
  await expect(surface).toHaveAttribute("data-ready", "true");
  const labels = [...(await workbench.labelNames()).keys()].map(String);
  for (const label of (await says("labels")).split(",")) expect(labels).toContain(label);
  const triangles = Number(await says("triangles"));
  expect(triangles).toBeGreaterThan(100);

  await test.step("a drag turns it", async () => {
    const box = await surface.boundingBox();
    if (!box) throw new Error("the surface is not on the page");
    const middle: [number, number] = [box.x + box.width / 2, box.y + box.height / 2];
    const before = await says("turn");
    await page.mouse.move(...middle);
    await page.mouse.down();
    const times: number[] = [];
    for (let step = 1; step <= 20; step += 1) {
      await page.mouse.move(middle[0] + 5 * step, middle[1] + 2 * step);
      await workbench.nextFrame();
      times.push(Number(await says("drawn-ms")));
    }
    await page.mouse.up();
    times.sort((a, b) => a - b);
    console.log(`surface of ${triangles} triangles: median ${times[10]} ms, largest ${times.at(-1)} ms`);
    expect(times[10]).toBeLessThanOrEqual(SMOOTH_MS);
    expect(await says("turn")).not.toBe(before);
  });
  await test.step("arrow keys turn it, and leave the planes alone", async () => {
    const index = await workbench.view(plane.axis).getAttribute("data-index");
    const before = await says("turn");
    await surface.focus();
    await page.keyboard.press("ArrowDown");
    await expect(surface).not.toHaveAttribute("data-turn", before);
    expect(await workbench.view(plane.axis).getAttribute("data-index")).toBe(index);
  });
  await test.step("a press on it moves the crosshair there", async () => {
    const box = await surface.boundingBox();
    if (!box) throw new Error("the surface is not on the page");
    const axes = ["axial", "coronal", "sagittal"] as const;
    const indices = () => Promise.all(axes.map((axis) => workbench.view(axis).getAttribute("data-index")));
    const before = await indices();
    await page.mouse.click(box.x + box.width / 2, box.y + box.height / 2);
    await workbench.nextFrame();
    expect(await indices()).not.toEqual(before);
  });
  await test.step("what is painted is on it", async () => {
    await workbench.goTo(plane);
    await workbench.takeBrush(4);
    await workbench.chooseLabel(1);
    const drawn = await says("triangles");
    const corner: Triple = [4, 4, 4];
    corner[({ sagittal: 0, coronal: 1, axial: 2 } as const)[plane.axis]] = plane.index;
    await workbench.press(plane.axis, [corner]);
    await expect(surface).not.toHaveAttribute("data-triangles", drawn);
    await workbench.undo();
    await expect(surface).toHaveAttribute("data-triangles", drawn);
  });
  await page.screenshot({ path: testInfo.outputPath("surface.png") });
});
