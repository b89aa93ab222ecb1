/** The page at `/`: send a scan, watch how far it is, open it. */
import { expect } from "@playwright/test";
import type { Locator, Page } from "@playwright/test";

/** Presegmentation and refinement on two busy cores. */
const JOB_LIMIT_MS = 300_000;

/** A job that waits or runs. */
export const UNDER_WAY = '[data-testid="job-progress"]:is([data-state="queued"], [data-state="running"])';

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

  /** Holds once the list has told how far the case is; to be called before there is something to tell, because a small scan is quickly done. */
  async seeProgress(name: string): Promise<void> {
    await this.row(name).locator(UNDER_WAY).waitFor({ state: "attached" });
  }

  async waitForPresegmentation(name: string): Promise<void> {
    await expect(this.row(name)).toHaveAttribute("data-stage", "correcting", { timeout: JOB_LIMIT_MS });
  }

  async openCase(name: string): Promise<void> {
    await this.row(name).getByTestId("open-case").click();
  }
}
