/** What cannot be segmented is refused with a reason, and leaves nothing behind. */
import { readFile } from "node:fs/promises";
import { gunzipSync, gzipSync } from "node:zlib";

import { expect, test } from "../fixtures/test.ts";
import type { MadeFile } from "../pages/case-list.ts";

function made(name: string, buffer: Buffer): MadeFile {
  return { name, mimeType: "application/octet-stream", buffer };
}

/** Says what is in the files and what the message must speak of. */
const REFUSED: { title: string; file: (phantom: Buffer) => MadeFile; message: RegExp }[] = [
  {
    title: "a text file with a NIfTI's name",
    file: () => made("notes.nii.gz", Buffer.from("not a scan")),
    message: /NIfTI/i,
  },
  {
    title: "a scan whose upload was cut off",
    file: (phantom) => made("cut.nii.gz", phantom.subarray(0, phantom.length / 2)),
    message: /truncated|cut|ends|incomplete|damaged/i,
  },
  {
    title: "a scan whose voxels are missing",
    file: (phantom) => made("short.nii.gz", gzipSync(gunzipSync(phantom).subarray(0, 5000))),
    message: /truncated|cut|ends|incomplete|damaged|short/i,
  },
  { title: "an empty file", file: () => made("empty.nii.gz", Buffer.alloc(0)), message: /empty|NIfTI/i },
];

for (const { title, file, message } of REFUSED) {
  test(`${title} is refused with a reason`, async ({ caseList, phantomScan, photograph }) => {
    await caseList.open();
    await caseList.send("phantom", file(await readFile(phantomScan)), "refused");
    await expect(caseList.trouble).toBeVisible();
    await expect(caseList.trouble).toContainText(message);
    await expect(caseList.rows).toHaveCount(0);
    await photograph(`refused-${title.replaceAll(" ", "-")}`);
  });
}
