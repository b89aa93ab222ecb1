/** The page at `/`: send a scan, watch how far it is, open it. */
import { expect } from "@playwright/test";
import type { Locator, Page } from "@playwright/test";

/** Presegmentation and refinement on two busy cores. */
const JOB_LIMIT_MS = 300_000;

/** A file made in the test. */
export interface MadeFile {
  name: string;
  mimeType: string;
  buffer: Buffer;
}

export class CaseListPage {
  private readonly page: Page;
  readonly trouble: Locator;

  constructor(page: Page) {
    this.page = page;
    this.trouble = page.getByTestId("trouble");
  }

  async open(): Promise<void> {
    await this.page.goto("/");
    await expect(this.page.getByRole("heading", { name: "New case" })).toBeVisible();
  }

  /** Chooses a bundle and a file, gives the case a name and sends it. */
  async send(bundle: string, file: string | MadeFile, name: string): Promise<void> {
    const choice = this.page.getByTestId("bundle");
    const option = choice.locator("option", { hasText: bundle });
    await expect(option).toHaveCount(1);
    await choice.selectOption(await option.getAttribute("value"));
    await this.page.getByTestId("upload-input").setInputFiles(file);
    await this.page.getByTestId("upload-name").fill(name);
    await this.page.getByTestId("upload-start").click();
  }

  row(name: string): Locator {
    return this.page.getByTestId("case-row").filter({ hasText: name });
  }

  get rows(): Locator {
    return this.page.getByTestId("case-row");
  }

  /** Waits until the presegmentation is there, having seen that the list tells how far it is. */
  async waitForPresegmentation(name: string): Promise<void> {
    await expect(this.row(name).getByTestId("job-progress")).toHaveAttribute("data-state", /queued|running/);
    await expect(this.row(name)).toHaveAttribute("data-stage", "correcting", { timeout: JOB_LIMIT_MS });
  }

  async openCase(name: string): Promise<void> {
    await this.row(name).getByTestId("open-case").click();
  }
}
