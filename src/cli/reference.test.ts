import { expect, it } from "vitest";
import { configurationReference } from "./reference.ts";

it("docs/configuration.md says what the table says", async () => {
  await expect(configurationReference()).toMatchFileSnapshot("../../docs/configuration.md");
});
