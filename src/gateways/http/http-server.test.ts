/** The HTTP server over the Host's network: the contract of all of them. */
import { httpContract } from "../../env/http.contract.ts";
import { nodeClock } from "../../env/node-clock.ts";
import { makeNodeNetwork, nodeNetwork } from "../../env/node-network.ts";
import { openHttpServer } from "./http-server.ts";

httpContract("ours", (options, handler) =>
  openHttpServer({ network: nodeNetwork, clock: nodeClock }, options, handler),
);
httpContract("ours, read by data events", (options, handler) =>
  openHttpServer({ network: makeNodeNetwork({ movesHandles: false }), clock: nodeClock }, options, handler),
);
