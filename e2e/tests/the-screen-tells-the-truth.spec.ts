/**
 * After every tool the canvas, the probe, the linked views, the saved slice and the downloaded file say the same of a
 * voxel; so does the refined file.
 */
import { readNifti } from "../fixtures/nifti.ts";
import type { Triple } from "../fixtures/nifti.ts";
import { expect, test } from "../fixtures/test.ts";
import type { Axis, Plane, WorkbenchPage } from "../pages/workbench.ts";

test.use({ startsWithCase: true });

type Page = import("@playwright/test").Page;
type Slice = { plane: Plane; state: string; runs: [number, number][] };

/** Both kinds of scan are stored along the patient's axes. */
const STORED: Record<Axis, 0 | 1 | 2> = { sagittal: 0, coronal: 1, axial: 2 };
const AXES: Axis[] = ["axial", "coronal", "sagittal"];

interface Look {
  page: Page;
  workbench: WorkbenchPage;
  plane: Plane;
  /** Where the file that is downloaded after a step goes; without one nothing is downloaded. */
  path?: (name: string) => string;
}

test("canvas, probe, linked views, saved slice and download agree after every tool", async ({
  workbench,
  phantomCase,
  page,
}, testInfo) => {
  await expect(workbench.title).toHaveText(phantomCase);
  const plane = await workbench.firstPlane();
  await workbench.goTo(plane);
  const look: Look = { page, workbench, plane, path: (name) => testInfo.outputPath(name) };
  await page.getByTestId("segmentation-opacity").fill("100");
  await page.getByTestId("toggle-crosshair").uncheck();
  await workbench.takeBrush(0.5);
  await workbench.chooseLabel(1);

  // A corner of the plane where nothing is segmented: a square of nine by nine voxels to work in.
  const [u, v] = AXES.filter((axis) => axis !== plane.axis).map((axis) => STORED[axis]) as [0 | 1 | 2, 0 | 1 | 2];
  const at = (across: number, along: number): Triple => {
    const voxel: Triple = [0, 0, 0];
    voxel[STORED[plane.axis]] = plane.index;
    voxel[u] = 3 + across;
    voxel[v] = 3 + along;
    return voxel;
  };

  await test.step("brush", async () => {
    await workbench.take("brush");
    await workbench.drag(plane.axis, [at(0, 0), at(3, 0)]);
    await seeLabel(look, "brush", at(2, 0), 1);
  });
  await test.step("eraser", async () => {
    await workbench.take("eraser");
    await workbench.drag(plane.axis, [at(2, 0), at(3, 0)]);
    await seeLabel(look, "eraser", at(2, 0), 0);
  });
  await test.step("lasso", async () => {
    await workbench.take("lasso");
    await workbench.drag(plane.axis, [at(0, 2), at(5, 2), at(5, 7), at(0, 7), at(0, 3)]);
    await seeLabel(look, "lasso", at(3, 4), 1);
    await seeLabel(withoutFile(look), "lasso-beside", at(7, 4), 0);
  });
  await test.step("polygon", async () => {
    await workbench.take("polygon");
    await workbench.press(plane.axis, [at(7, 0), at(11, 0), at(11, 4)]);
    await page.keyboard.press("Enter");
    await seeLabel(look, "polygon", at(10, 1), 1);
    await expect(workbench.slice(plane)).toHaveAttribute("data-state", "edited");
  });
  await test.step("fill erases a region with Ctrl, and asks before it floods the plane", async () => {
    await workbench.take("fill");
    await workbench.press(plane.axis, [at(10, 1)], ["Control"]);
    await seeLabel(look, "fill", at(10, 1), 0);
    await workbench.press(plane.axis, [at(12, 8)]);
    await expect(workbench.notice).toContainText("Press again");
    await seeLabel(withoutFile(look), "fill-asked", at(12, 8), 0);
  });
  await test.step("grow and shrink", async () => {
    await workbench.edit("grow");
    await seeLabel(look, "grow", at(6, 4), 1);
    await workbench.edit("shrink");
    await seeLabel(look, "shrink", at(6, 4), 0);
  });
  await test.step("smooth", async () => {
    // What is left of the brush's stroke has grown together with the corner at (0, 2): this one stands free.
    await seeLabel(withoutFile(look), "corner", at(5, 7), 1);
    await workbench.edit("smooth");
    await seeLabel(look, "smooth", at(5, 7), 0);
    await seeLabel(withoutFile(look), "smooth-inside", at(2, 4), 1);
  });
  await test.step("remove, undo, redo", async () => {
    await workbench.take("remove");
    await workbench.press(plane.axis, [at(2, 4)]);
    await seeLabel(look, "remove", at(2, 4), 0);
    await workbench.undo();
    await seeLabel(withoutFile(look), "undo", at(2, 4), 1);
    await workbench.redo();
    await seeLabel(withoutFile(look), "redo", at(2, 4), 0);
    await workbench.undo();
  });
  await test.step("refined, the finished slice is as it was vouched for", async () => {
    await workbench.goTo(plane);
    await workbench.markDone(plane);
    await workbench.waitUntilSaved();
    await workbench.refineAndWait();
    await workbench.goTo(plane);
    await seeLabel(look, "refined", at(2, 4), 1);
    await seeLabel(withoutFile(look), "refined-beside", at(10, 1), 0);
  });
});

test("tools that look beyond the hand: keep, copy, interpolate, locks, intensities", async ({
  workbench,
  phantomCase,
  page,
}) => {
  await expect(workbench.title).toHaveText(phantomCase);
  const plane = await workbench.firstPlane();
  await workbench.goTo(plane);
  const look: Look = { page, workbench, plane };
  await page.getByTestId("segmentation-opacity").fill("100");
  await page.getByTestId("toggle-crosshair").uncheck();
  await workbench.takeBrush(0.5);
  await workbench.chooseLabel(1);
  const [u, v] = AXES.filter((axis) => axis !== plane.axis).map((axis) => STORED[axis]) as [0 | 1 | 2, 0 | 1 | 2];
  const on = (index: number, across: number, along: number): Triple => {
    const voxel: Triple = [0, 0, 0];
    voxel[STORED[plane.axis]] = index;
    voxel[u] = 3 + across;
    voxel[v] = 3 + along;
    return voxel;
  };
  const square = async (index: number, across: number, side: number) => {
    await workbench.take("lasso");
    const corner = (du: number, dv: number) => on(index, across + du * side, dv * side);
    await workbench.drag(plane.axis, [corner(0, 0), corner(1, 0), corner(1, 1), corner(0, 1), corner(0, 0)]);
  };

  await test.step("keep", async () => {
    await square(plane.index, 0, 3);
    await square(plane.index, 6, 3);
    await seeLabel(look, "second square", on(plane.index, 7, 1), 1);
    await workbench.take("keep");
    await workbench.press(plane.axis, [on(plane.index, 1, 1)]);
    await seeLabel(look, "kept", on(plane.index, 1, 1), 1);
    await seeLabel(look, "not kept", on(plane.index, 7, 1), 0);
    await workbench.undo();
    await seeLabel(look, "keep undone", on(plane.index, 7, 1), 1);
    await workbench.undo();
  });
  await test.step("a locked label stays", async () => {
    await workbench.take("brush");
    await page.getByTestId("lock-1").click();
    await workbench.chooseLabel(2);
    await workbench.drag(plane.axis, [on(plane.index, 1, 1), on(plane.index, 5, 1)]);
    await seeLabel(look, "locked", on(plane.index, 1, 1), 1);
    await seeLabel(look, "beside the locked", on(plane.index, 5, 1), 2);
    await page.getByTestId("lock-1").click();
    await workbench.press(plane.axis, [on(plane.index, 1, 1)]);
    await seeLabel(look, "unlocked", on(plane.index, 1, 1), 2);
    await workbench.undo();
    await workbench.undo();
    await workbench.chooseLabel(1);
  });
  await test.step("only these intensities", async () => {
    const voxel = on(plane.index, 8, 8);
    const intensity = Number(/intensity (-?[\d.]+)/.exec(await workbench.probeVoxel(plane.axis, voxel))?.[1]);
    await page.getByTestId("limit").check();
    await page.getByTestId("limit-high").fill(String(intensity + 2000));
    await page.getByTestId("limit-low").fill(String(intensity + 1000));
    await page.getByTestId("limit-low").press("Enter");
    await workbench.press(plane.axis, [voxel]);
    await seeLabel(look, "beyond the limits", voxel, 0);
    await page.getByTestId("limit-low").fill(String(intensity - 1000));
    await page.getByTestId("limit-low").press("Enter");
    await workbench.press(plane.axis, [voxel]);
    await seeLabel(look, "within the limits", voxel, 1);
    await workbench.undo();
    await page.getByTestId("limit").uncheck();
  });
  await test.step("copy from a neighbour and interpolation are offered, and taken only then", async () => {
    const own = async (steps: number): Promise<Plane> => {
      await workbench.goTo(plane);
      for (let step = 0; step < steps; step += 1) await page.keyboard.press("ArrowDown");
      await page.keyboard.press("a");
      await workbench.nextFrame();
      return { axis: plane.axis, index: Number(await workbench.view(plane.axis).getAttribute("data-index")) };
    };
    const beside = await own(1);
    expect(Math.abs(beside.index - plane.index)).toBe(1);
    await seeLabel({ ...look, plane: beside }, "before it is copied", on(beside.index, 1, 1), 0, "not saved");
    const copy = beside.index > plane.index ? "copy-previous" : "copy-next";
    await workbench.edit(copy);
    await page.getByTestId("leave-offer").click();
    await seeLabel({ ...look, plane: beside }, "copy left", on(beside.index, 1, 1), 0, "not saved");
    await workbench.edit(copy);
    await page.getByTestId("take-offer").click();
    await seeLabel({ ...look, plane: beside }, "copied", on(beside.index, 1, 1), 1);

    const far = await own(4);
    await square(far.index, 0, 3);
    const between = await own(2);
    expect(between.index).toBe((plane.index + far.index) / 2);
    await workbench.edit("interpolate");
    await expect(page.getByTestId("offer")).toContainText("Interpolate");
    await page.getByTestId("take-offer").click();
    await seeLabel({ ...look, plane: between }, "interpolated", on(between.index, 1, 1), 1);
    await seeLabel({ ...look, plane: between }, "beside what is interpolated", on(between.index, 7, 7), 0);
  });
});

test("slices that contradict each other are told at once, and the expert decides", async ({
  workbench,
  phantomCase,
  page,
}, testInfo) => {
  await expect(workbench.title).toHaveText(phantomCase);
  const planes = await workbench.planes();
  const first = planes[0];
  const second = planes.find((plane) => plane.axis !== first?.axis);
  if (!first || !second) throw new Error("two slices that cross are needed");
  await workbench.takeBrush(0.5);
  await workbench.chooseLabel(1);
  const third = AXES.find((axis) => axis !== first.axis && axis !== second.axis) as Axis;
  const voxel: Triple = [0, 0, 0];
  voxel[STORED[first.axis]] = first.index;
  voxel[STORED[second.axis]] = second.index;
  voxel[STORED[third]] = 4;

  await workbench.goTo(first);
  await workbench.markDone(first);
  await workbench.goTo(second);
  await workbench.press(second.axis, [voxel]);
  const contradiction = page.getByTestId("contradiction");
  await expect(contradiction).toHaveAttribute("data-voxels", "1");
  await workbench.markDone(second);
  await expect(contradiction).toHaveAttribute("data-finished", "true");
  await expect(workbench.refine).toBeDisabled();
  await expect(page.getByTestId("contradiction-voxel")).toHaveAttribute("data-voxel", voxel.join(","));
  await page.getByTestId("contradiction-jump").click();
  await expect(page.locator('canvas[data-target="true"]')).toHaveCount(1);
  await page.screenshot({ path: testInfo.outputPath("contradiction.png") });

  await page.locator(`[data-testid="settle"][data-axis="${second.axis}"]`).click();
  await expect(contradiction).toBeHidden();
  await workbench.waitUntilSaved();
  for (const plane of [first, second]) {
    await expect(workbench.slice(plane)).toHaveAttribute("data-state", "done");
    expect(await savedLabel(page, plane, voxel)).toBe(1);
  }
  await expect(workbench.refine).toBeEnabled();
});

test("any plane may be corrected", async ({ workbench, phantomCase, page }) => {
  await expect(workbench.title).toHaveText(phantomCase);
  const planes = await workbench.planes();
  const [offered] = planes;
  if (!offered) throw new Error("a slice is needed");
  await workbench.goTo(offered);
  const taken = new Set(planes.filter((plane) => plane.axis === offered.axis).map((plane) => plane.index));
  const view = workbench.view(offered.axis);
  let index = offered.index;
  while (taken.has(index)) {
    await page.keyboard.press("ArrowDown");
    await expect(view).not.toHaveAttribute("data-index", String(index));
    index = Number(await view.getAttribute("data-index"));
  }
  await page.keyboard.press("a");
  const own: Plane = { axis: offered.axis, index };
  await expect(page.getByRole("list", { name: "My own slices" }).getByTestId("slice-item")).toHaveCount(1);
  await workbench.markDone(own);
  await workbench.waitUntilSaved();
  await page.reload();
  await workbench.waitForSlices();
  await expect(page.getByRole("list", { name: "My own slices" }).getByTestId("slice-item")).toHaveAttribute(
    "data-state",
    "done",
  );
  await workbench.refineAndWait();
});

/** A second look after a step, at another voxel of the same file. */
function withoutFile({ page, workbench, plane }: Look): Look {
  return { page, workbench, plane };
}

/** Everything that says something of a voxel says this label. */
async function seeLabel(look: Look, step: string, voxel: Triple, label: number, saved = "saved"): Promise<void> {
  const { page, workbench, plane, path } = look;
  const name = label === 0 ? undefined : (await workbench.labelNames()).get(label);
  // The planes that cross there come into the other views.
  await workbench.press(plane.axis, [voxel], ["Shift"]);
  for (const axis of AXES) {
    await expect(workbench.view(axis)).toHaveAttribute("data-index", String(voxel[STORED[axis]]));
    const [red, green, blue] = await workbench.colourOf(axis, voxel);
    const isGrey = Math.max(red, green, blue) - Math.min(red, green, blue) < 8;
    expect(isGrey, `${step}: ${axis} canvas at ${voxel.join(", ")} is ${[red, green, blue].join(", ")}`).toBe(
      label === 0,
    );
    const probe = await workbench.probeVoxel(axis, voxel);
    expect(probe, `${step}: probe of ${axis}`).toContain(`voxel ${voxel.join(", ")}`);
    if (name) expect(probe, `${step}: probe of ${axis}`).toContain(name);
    else
      for (const other of (await workbench.labelNames()).values())
        expect(probe, `${step}: probe of ${axis}`).not.toContain(other);
  }
  await workbench.waitUntilSaved();
  if (saved === "saved") expect(await savedLabel(page, plane, voxel), `${step}: saved`).toBe(label);
  if (!path) return;
  const file = path(`${step}.nii.gz`);
  await workbench.download(file);
  expect((await readNifti(file)).voxel(voxel), `${step}: downloaded`).toBe(label);
}

/** What the server holds of a voxel of a slice. */
async function savedLabel(page: Page, plane: Plane, voxel: Triple): Promise<number | undefined> {
  const id = new URL(page.url()).pathname.split("/").at(-1);
  const [slices, detail] = await Promise.all([
    page.request.get(`/api/cases/${id}/corrections`).then((answer) => answer.json() as Promise<Slice[]>),
    page.request.get(`/api/cases/${id}`).then((answer) => answer.json() as Promise<{ geometry: { dims: Triple } }>),
  ]);
  const slice = slices.find((slice) => slice.plane.axis === plane.axis && slice.plane.index === plane.index);
  const [u, v] = ([0, 1, 2] as const).filter((axis) => axis !== STORED[plane.axis]) as [0 | 1 | 2, 0 | 1 | 2];
  let offset = voxel[u] + voxel[v] * detail.geometry.dims[u];
  return slice?.runs.find(([, length]) => (offset -= length) < 0)?.[0];
}
