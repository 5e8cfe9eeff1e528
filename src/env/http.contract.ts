/** What every HTTP server below the gateways does: run by node-http.test.ts. Clients are raw sockets: they send anything. */
import { afterEach, describe } from "vitest";
import { answerFacts } from "./http-answers.contract.ts";
import { clientFacts } from "./http-clients.contract.ts";
import { HttpFixture, type Listen } from "./http-fixture.contract.ts";
import { limitFacts } from "./http-limits.contract.ts";
import { requestFacts } from "./http-requests.contract.ts";

export function httpContract(name: string, listen: Listen): void {
  describe(`an HTTP server: ${name}`, () => {
    const http = new HttpFixture(listen);
    afterEach(() => http.end());
    requestFacts(http);
    answerFacts(http);
    clientFacts(http);
    limitFacts(http);
  });
}
