/** What an HTTP server is limited to where nobody says otherwise. */
import * as limits from "../core/limits.ts";
import type { HttpLimits } from "./http.ts";

export const httpDefaults: HttpLimits = {
  connectionsMax: limits.connectionsMax,
  connectionsPerPeerMax: limits.httpConnectionsPerPeerMax,
  requestsMax: limits.httpRequestsMax,
  requestsPerConnectionMax: limits.httpRequestsPerConnectionMax,
  headerTimeoutMs: limits.httpHeaderTimeoutMs,
  headerSizeMax: limits.httpHeaderSizeMax,
  bodyIdleTimeoutMs: limits.httpBodyIdleTimeoutMs,
  keepAliveTimeoutMs: limits.httpKeepAliveTimeoutMs,
  writeStallMs: limits.writeStallMs,
  unreadTimeoutMs: limits.httpUnreadTimeoutMs,
  unreadSizeMax: limits.httpUnreadSizeMax,
  drainTimeoutMs: limits.drainTimeoutMs,
};
