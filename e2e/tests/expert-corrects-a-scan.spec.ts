/** The whole job as the expert does it, from the scan on disk to the refined segmentation on disk. */
import { readFileSync } from "node:fs";
import { basename } from "node:path";

import { readNifti } from "../fixtures/nifti.ts";
import { correct } from "../fixtures/painting.ts";
import type { Painted } from "../fixtures/painting.ts";
import { realScan } from "../fixtures/project.ts";
import { expect, test } from "../fixtures/test.ts";
import type { CaseListPage } from "../pages/case-list.ts";
import type { WorkbenchPage } from "../pages/workbench.ts";

interface Job {
  scan: string;
  bundle: string;
  caseList: CaseListPage;
  workbench: WorkbenchPage;
  photograph: (name: string) => Promise<void>;
  reload: () => Promise<unknown>;
  outputPath: (name: string) => string;
}

test("an expert corrects a real hippocampus scan", async ({ caseList, workbench, photograph, page }, testInfo) => {
  const scan = realScan();
  test.skip(scan === undefined, "../shared/data/hippocampus is not beside the project");
  if (scan === undefined) return;
  const outputPath = (name: string) => testInfo.outputPath(name);
  await doTheJob({
    scan,
    bundle: "hippocampus",
    caseList,
    workbench,
    photograph,
    reload: () => page.reload(),
    outputPath,
  });
});

test("an expert corrects a generated scan", async ({
  caseList,
  workbench,
  photograph,
  page,
  phantomScan,
}, testInfo) => {
  const outputPath = (name: string) => testInfo.outputPath(name);
  await doTheJob({
    scan: phantomScan,
    bundle: "phantom",
    caseList,
    workbench,
    photograph,
    reload: () => page.reload(),
    outputPath,
  });
});

async function doTheJob(job: Job): Promise<void> {
  const { caseList, workbench, photograph, bundle } = job;
  const name = `case of ${basename(job.scan)}`;

  await test.step("upload the scan and watch it being segmented", async () => {
    await caseList.open();
    await photograph(`${bundle}-1-empty-list`);
    await Promise.all([caseList.seeProgress(name), caseList.send(bundle, job.scan, name)]);
    await expect(caseList.row(name)).toBeVisible();
    await photograph(`${bundle}-2-segmenting`);
    await caseList.waitForPresegmentation(name);
  });

  const planes = await test.step("open the case: slices are offered by rank", async () => {
    await caseList.openCase(name);
    await workbench.waitForSlices();
    const planes = await workbench.planes();
    expect(planes.length).toBeGreaterThanOrEqual(3);
    await photograph(`${bundle}-3-workbench`);
    return planes;
  });

  await test.step("download the presegmentation, to compare with later", async () => {
    await workbench.download(job.outputPath("before.nii.gz"));
  });

  const chosen = planes.slice(0, 3);
  const painted: Painted[] = [];
  await test.step("correct three slices with the brush", async () => {
    await workbench.takeBrush(3);
    for (const plane of chosen) {
      painted.push(await correct(workbench, plane, chosen));
      await workbench.markDone(plane);
    }
    await workbench.waitUntilSaved();
    await photograph(`${bundle}-4-corrected`);
  });

  await test.step("reload the page: nothing is lost", async () => {
    await job.reload();
    await workbench.waitForSlices();
    for (const plane of chosen) await expect(workbench.slice(plane)).toHaveAttribute("data-state", "done");
  });

  await test.step("download: what is seen, corrections and all", async () => {
    await workbench.download(job.outputPath("corrected.nii.gz"));
    await workbench.downloadForSlicer(job.outputPath("corrected.seg.nrrd"));
    const head = readFileSync(job.outputPath("corrected.seg.nrrd"), "latin1");
    expect(head.startsWith("NRRD0004\n")).toBe(true);
    expect(head).toMatch(/\nSegment1_Name:=\w+\n/);
  });

  await test.step("refine", async () => {
    await workbench.refineAndWait();
    await photograph(`${bundle}-5-refined`);
  });

  await test.step("compare before and after", async () => {
    await expect(workbench.compare).toHaveText(/After/);
    await workbench.compare.click();
    await expect(workbench.compare).toHaveText(/Before/);
    await photograph(`${bundle}-6-before`);
    await workbench.compare.click();
    await expect(workbench.compare).toHaveText(/After/);
  });

  await test.step("download: the scan's geometry, the expert's labels", async () => {
    await workbench.download(job.outputPath("refined.nii.gz"));
    await checkDownload(job, painted);
  });
}

async function checkDownload(job: Job, painted: Painted[]): Promise<void> {
  const scan = await readNifti(job.scan);
  const before = await readNifti(job.outputPath("before.nii.gz"));
  const corrected = await readNifti(job.outputPath("corrected.nii.gz"));
  const refined = await readNifti(job.outputPath("refined.nii.gz"));
  for (const segmentation of [before, corrected, refined]) {
    expect(segmentation.dims).toEqual(scan.dims);
    expectNear(segmentation.spacingMm, scan.spacingMm);
    expect(segmentation.sform === undefined).toBe(scan.sform === undefined);
    expectNear(segmentation.sform?.flat() ?? [], scan.sform?.flat() ?? []);
    expect(segmentation.qform.code).toBe(scan.qform.code);
    expectNear(
      [...segmentation.qform.quaternion, ...segmentation.qform.offset],
      [...scan.qform.quaternion, ...scan.qform.offset],
    );
  }
  expect(painted).toHaveLength(3);
  for (const { voxel, label } of painted) {
    expect(before.voxel(voxel), `presegmentation at ${voxel.join(", ")}`).not.toBe(label);
    expect(corrected.voxel(voxel), `before the refinement at ${voxel.join(", ")}`).toBe(label);
    expect(refined.voxel(voxel), `refinement at ${voxel.join(", ")}`).toBe(label);
  }
  const counts = refined.histogram();
  expect(counts.get(1) ?? 0).toBeGreaterThan(0);
  expect(counts.get(0) ?? 0).toBeGreaterThan(counts.get(1) ?? 0);
}

/** Affine entries and millimetres agree to single precision. */
function expectNear(values: number[], expected: number[]): void {
  expect(values).toHaveLength(expected.length);
  values.forEach((value, at) => {
    expect(
      Math.abs(value - (expected[at] ?? Number.NaN)),
      `entry ${at}: ${value} and ${expected[at]}`,
    ).toBeLessThanOrEqual(1e-4);
  });
}
