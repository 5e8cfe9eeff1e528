/** CORS, tags, and what is not configured, over HTTP. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { signHeader } from "./support/s3-signer.ts";
import { Belongings } from "./support/store.ts";

type Headers = { readonly [name: string]: string };

const belongings = new Belongings();
const keys = { accessKey: "tester", secretKey: "testers-secret" };
let endpoint: string;

beforeAll(async () => {
  const running = await belongings.router({ root: await belongings.directory(), s3: { port: 0 }, rootKeys: keys });
  endpoint = `http://127.0.0.1:${running.s3Port}`;
});
afterAll(() => belongings.giveBack());

interface Answer {
  readonly told: string;
  readonly headers: globalThis.Headers;
  readonly text: string;
}

async function ask(method: string, path: string, body?: string, headers: Headers = {}): Promise<Answer> {
  const url = `${endpoint}${path}`;
  const content = body === undefined ? {} : { body };
  const { host: _, ...rest } = signHeader(keys, { method, url, headers, ...content }).headers;
  return received(await fetch(url, { method, headers: rest, ...content }));
}

/** Without a signature, as browsers send it. */
async function plainly(method: string, path: string, headers: Headers): Promise<Answer> {
  return received(await fetch(`${endpoint}${path}`, { method, headers }));
}

async function received(answer: Response): Promise<Answer> {
  const text = await answer.text();
  const code = /<Code>(.*?)<\/Code>/.exec(text)?.[1];
  return {
    told: code === undefined ? String(answer.status) : `${answer.status} ${code}`,
    headers: answer.headers,
    text,
  };
}

let bucketCount = 0;
async function bucket(): Promise<string> {
  const path = `/settings-${bucketCount++}`;
  expect((await ask("PUT", path)).told).toBe("200");
  return path;
}

describe("CORS", () => {
  type Rule = { readonly [element: string]: readonly string[] };
  const configuration = (...rules: readonly Rule[]): string => {
    const inside = (rule: Rule): string =>
      Object.entries(rule)
        .flatMap(([name, values]) => values.map((value) => `<${name}>${value}</${name}>`))
        .join("");
    return `<CORSConfiguration>${rules.map((rule) => `<CORSRule>${inside(rule)}</CORSRule>`).join("")}</CORSConfiguration>`;
  };
  const get: Rule = { AllowedMethod: ["GET"], AllowedOrigin: ["*"] };

  test("is given back as it was put, and gone when deleted", async () => {
    const path = await bucket();
    expect((await ask("GET", `${path}?cors`)).told).toBe("404 NoSuchCORSConfiguration");
    const rules = [
      { ID: ["one"], AllowedHeader: ["x-*", "*"], AllowedMethod: ["GET", "PUT"], AllowedOrigin: ["https://a.example"] },
      { AllowedMethod: ["HEAD"], AllowedOrigin: ["http://*.example"], ExposeHeader: ["ETag"], MaxAgeSeconds: ["300"] },
    ];
    expect((await ask("PUT", `${path}?cors`, configuration(...rules))).told).toBe("200");
    const { text } = await ask("GET", `${path}?cors`);
    expect(text).toContain(configuration(...rules).replace(/<\/?CORSConfiguration>/g, ""));
    expect((await ask("DELETE", `${path}?cors`)).told).toBe("204");
    expect((await ask("GET", `${path}?cors`)).told).toBe("404 NoSuchCORSConfiguration");
  });

  test.each<[string, readonly Rule[], string]>([
    ["no rule", [], "400 MalformedXML"],
    ["too many rules", Array.from({ length: 101 }, () => get), "400 MalformedXML"],
    ["no origin", [{ AllowedMethod: ["GET"] }], "400 MalformedXML"],
    ["no method", [{ AllowedOrigin: ["*"] }], "400 MalformedXML"],
    ["an unknown method", [{ ...get, AllowedMethod: ["PATCH"] }], "400 InvalidRequest"],
    ["two wildcards in an origin", [{ ...get, AllowedOrigin: ["http://*.*"] }], "400 InvalidRequest"],
    ["two wildcards in a header", [{ ...get, AllowedHeader: ["x-*-*"] }], "400 InvalidRequest"],
    ["a wildcard in what is exposed", [{ ...get, ExposeHeader: ["x-*"] }], "400 InvalidRequest"],
    ["a header that would be two", [{ ...get, ExposeHeader: ["a&#13;&#10;b: c"] }], "400 InvalidRequest"],
    ["an unknown element", [{ ...get, AllowCredentials: ["true"] }], "400 MalformedXML"],
    ["an age that is no number", [{ ...get, MaxAgeSeconds: ["long"] }], "400 MalformedXML"],
  ])("refuses %s", async (_, rules, expected) => {
    const path = await bucket();
    expect((await ask("PUT", `${path}?cors`, configuration(...rules))).told).toBe(expected);
    expect((await ask("GET", `${path}?cors`)).told).toBe("404 NoSuchCORSConfiguration");
  });

  test("matches origins with their wildcard, by the method that is asked for", async () => {
    const path = await bucket();
    const rule = (method: string, origin: string): Rule => ({ AllowedMethod: [method], AllowedOrigin: [origin] });
    const rules = [rule("GET", "*suffix"), rule("GET", "start*end"), rule("GET", "prefix*"), rule("PUT", "*.put")];
    await ask("PUT", `${path}?cors`, configuration(...rules));
    const tried = async (method: string, origin: string | undefined, wanted?: string): Promise<(string | null)[]> => {
      const headers = {
        ...(origin === undefined ? {} : { origin }),
        ...(wanted === undefined ? {} : { "access-control-request-method": wanted }),
      };
      const answer = await plainly(method, `${path}/key`, headers);
      return [
        answer.told.slice(0, 3),
        answer.headers.get("access-control-allow-origin"),
        answer.headers.get("access-control-allow-methods"),
      ];
    };
    const none = [null, null];
    expect(await tried("GET", undefined)).toEqual(["403", ...none]);
    expect(await tried("GET", "foo.suffix")).toEqual(["403", "foo.suffix", "GET"]);
    expect(await tried("GET", "foo.bar")).toEqual(["403", ...none]);
    expect(await tried("GET", "startend")).toEqual(["403", "startend", "GET"]);
    expect(await tried("GET", "start12end")).toEqual(["403", "start12end", "GET"]);
    expect(await tried("GET", "0start12end")).toEqual(["403", ...none]);
    expect(await tried("GET", "prefix.suffix")).toEqual(["403", "prefix.suffix", "GET"]);
    expect(await tried("PUT", "foo.suffix")).toEqual(["403", ...none]);
    expect(await tried("PUT", "foo.suffix", "GET")).toEqual(["403", "foo.suffix", "GET"]);
    expect(await tried("PUT", "foo.put", "PUT")).toEqual(["403", "foo.put", "PUT"]);
    expect(await tried("OPTIONS", undefined)).toEqual(["400", ...none]);
    expect(await tried("OPTIONS", "foo.suffix")).toEqual(["400", ...none]);
    expect(await tried("OPTIONS", "foo.suffix", "GET")).toEqual(["200", "foo.suffix", "GET"]);
    expect(await tried("OPTIONS", "foo.put", "GET")).toEqual(["403", ...none]);
    expect(await tried("OPTIONS", "foo.put", "PUT")).toEqual(["200", "foo.put", "PUT"]);
  });

  test("a preflight tells what the browser wants to know", async () => {
    const path = await bucket();
    const preflight = { origin: "https://a.example", "access-control-request-method": "PUT" };
    const before = await plainly("OPTIONS", `${path}/key`, preflight);
    expect(before.told).toBe("403 AccessForbidden");
    expect(before.text).toContain("CORSResponse: CORS is not enabled for this bucket.");
    expect((await plainly("OPTIONS", "/no-such-bucket-here/key", preflight)).told).toBe(before.told);
    const rule = {
      AllowedHeader: ["content-*"],
      AllowedMethod: ["PUT", "GET"],
      AllowedOrigin: ["https://a.example"],
      ExposeHeader: ["ETag", "x-amz-version-id"],
      MaxAgeSeconds: ["3000"],
    };
    await ask("PUT", `${path}?cors`, configuration(rule));
    const { told, headers } = await plainly("OPTIONS", `${path}/key`, {
      ...preflight,
      "access-control-request-headers": "Content-Type, content-md5",
    });
    expect(told).toBe("200");
    expect(Object.fromEntries([...headers].filter(([name]) => /^access-control|^vary/.test(name)))).toEqual({
      "access-control-allow-origin": "https://a.example",
      "access-control-allow-credentials": "true",
      "access-control-allow-methods": "PUT, GET",
      "access-control-allow-headers": "content-type, content-md5",
      "access-control-expose-headers": "ETag, x-amz-version-id",
      "access-control-max-age": "3000",
      vary: "Origin, Access-Control-Request-Headers, Access-Control-Request-Method",
    });
    const other = { ...preflight, "access-control-request-headers": "content-type, x-other" };
    const refused = await plainly("OPTIONS", `${path}/key`, other);
    expect([refused.told, refused.headers.get("access-control-allow-origin")]).toEqual(["403 AccessForbidden", null]);
    expect((await plainly("OPTIONS", `${path}/key`, { ...preflight, "access-control-request-method": "X" })).told).toBe(
      "400 BadRequest",
    );
  });

  test("for any origin, credentials are not spoken of", async () => {
    const path = await bucket();
    await ask("PUT", `${path}?cors`, configuration(get));
    const { told, headers } = await ask("GET", path, undefined, { origin: "https://any.example" });
    expect([told, headers.get("access-control-allow-origin"), headers.get("access-control-allow-credentials")]).toEqual(
      ["200", "*", null],
    );
  });
});

describe("tags", () => {
  const tagging = (...tags: readonly (readonly [string, string])[]): string =>
    `<Tagging><TagSet>${tags.map(([key, value]) => `<Tag><Key>${key}</Key><Value>${value}</Value></Tag>`).join("")}</TagSet></Tagging>`;
  const many = (count: number): [string, string][] => Array.from({ length: count }, (_, index) => [`k${index}`, "v"]);

  test("of a bucket", async () => {
    const path = `${await bucket()}?tagging`;
    expect((await ask("GET", path)).told).toBe("404 NoSuchTagSet");
    expect((await ask("PUT", path, tagging(["Hello", "World"], ["größe", "5 + 3"]))).told).toBe("200");
    expect((await ask("GET", path)).text).toContain(
      tagging(["Hello", "World"], ["größe", "5 + 3"]).replace(/<\/?Tagging>/g, ""),
    );
    expect((await ask("PUT", path, tagging(...many(50)))).told).toBe("200");
    expect((await ask("PUT", path, tagging(...many(51)))).told).toBe("400 BadRequest");
    expect((await ask("DELETE", path)).told).toBe("204");
    expect((await ask("GET", path)).told).toBe("404 NoSuchTagSet");
  });

  test("of an object, of each version", async () => {
    const path = await bucket();
    const at = `${path}/a?tagging`;
    expect((await ask("GET", at)).told).toBe("404 NoSuchKey");
    await ask(
      "PUT",
      `${path}?versioning`,
      "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>",
    );
    const header = { "x-amz-tagging": "a=b%20c&d+e=&f" };
    const first = (await ask("PUT", `${path}/a`, "x", header)).headers.get("x-amz-version-id")!;
    await ask("PUT", `${path}/a`, "y");
    expect((await ask("GET", at)).text).toContain("<TagSet></TagSet>");
    const old = await ask("GET", `${at}&versionId=${first}`);
    expect(old.text).toContain(tagging(["a", "b c"], ["d e", ""], ["f", ""]).replace(/<\/?Tagging>/g, ""));
    expect(old.headers.get("x-amz-version-id")).toBe(first);
    expect((await ask("GET", `${path}/a?versionId=${first}`)).headers.get("x-amz-tagging-count")).toBe("3");
    const put = await ask("PUT", `${at}&versionId=${first}`, tagging(["x", "y"]));
    expect([put.told, put.headers.get("x-amz-version-id")]).toEqual(["200", first]);
    expect((await ask("GET", at)).text).toContain("<TagSet></TagSet>");
    expect((await ask("DELETE", `${at}&versionId=${first}`)).told).toBe("204");
    expect((await ask("GET", `${at}&versionId=${first}`)).text).toContain("<TagSet></TagSet>");
    await ask("DELETE", `${path}/a`);
    expect((await ask("GET", at)).told).toBe("404 NoSuchKey");
    expect((await ask("GET", `${at}&versionId=9999999999999999`)).told).toBe("404 NoSuchVersion");
  });

  test.each<[string, readonly (readonly [string, string])[], string]>([
    ["ten", many(10), "200"],
    ["eleven", many(11), "400 InvalidTag"],
    ["the longest", [["k".repeat(128), "v".repeat(256)]], "200"],
    ["a key too long", [["k".repeat(129), "v"]], "400 InvalidTag"],
    ["a value too long", [["k", "v".repeat(257)]], "400 InvalidTag"],
    ["an empty key", [["", "v"]], "400 InvalidTag"],
    [
      "the same key twice",
      [
        ["k", "1"],
        ["k", "2"],
      ],
      "400 InvalidTag",
    ],
    ["a key of the system's", [["aws:k", "v"]], "400 InvalidTag"],
    ["characters that are not allowed", [["k{}", "v"]], "400 InvalidTag"],
    ["a key like an object's own", [["__proto__", "v"]], "200"],
  ])("on an object: %s", async (_, tags, expected) => {
    const path = await bucket();
    await ask("PUT", `${path}/a`, "x");
    expect((await ask("PUT", `${path}/a?tagging`, tagging(...tags))).told).toBe(expected);
    const header = tags.map((tag) => tag.map(encodeURIComponent).join("=")).join("&");
    expect((await ask("PUT", `${path}/b`, "x", { "x-amz-tagging": header })).told).toBe(expected);
    const isTaken = expected === "200";
    const inside = isTaken ? tagging(...tags).replace(/<\/?Tagging>/g, "") : "<TagSet></TagSet>";
    expect((await ask("GET", `${path}/a?tagging`)).text).toContain(inside);
    expect((await ask("GET", `${path}/b?tagging`)).told).toBe(isTaken ? "200" : "404 NoSuchKey");
  });

  test("in XML that is not understood", async () => {
    const path = await bucket();
    expect((await ask("PUT", `${path}?tagging`, "<Tagging/>")).told).toBe("400 MalformedXML");
    expect(
      (await ask("PUT", `${path}?tagging`, "<Tagging><TagSet><Tag><Key>a</Key></Tag></TagSet></Tagging>")).told,
    ).toBe("400 MalformedXML");
    expect((await ask("PUT", `${path}?tagging`, "<Tagging><TagSet><Taq/></TagSet></Tagging>")).told).toBe(
      "400 MalformedXML",
    );
  });
});

describe("what is not configured", () => {
  test.each([
    ["website", "404 NoSuchWebsiteConfiguration"],
    ["replication", "404 ReplicationConfigurationNotFoundError"],
    ["analytics&id=a", "404 NoSuchConfiguration"],
    ["inventory&id=a", "404 NoSuchConfiguration"],
    ["metrics&id=a", "404 NoSuchConfiguration"],
    ["intelligent-tiering&id=a", "404 NoSuchConfiguration"],
    ["object-lock", "404 ObjectLockConfigurationNotFoundError"],
  ])("GET ?%s says %s", async (query, expected) => {
    expect((await ask("GET", `${await bucket()}?${query}`)).told).toBe(expected);
  });

  test.each([
    ["logging", /<BucketLoggingStatus xmlns="[^"]+"><\/BucketLoggingStatus>$/],
    ["accelerate", /<AccelerateConfiguration xmlns="[^"]+"><\/AccelerateConfiguration>$/],
    ["requestPayment", /<Payer>BucketOwner<\/Payer>/],
    ["notification", /<NotificationConfiguration xmlns="[^"]+"><\/NotificationConfiguration>$/],
    ["analytics", /<ListBucketAnalyticsConfigurationResult [^>]*><IsTruncated>false</],
    ["inventory", /<ListInventoryConfigurationsResult [^>]*><IsTruncated>false</],
    ["metrics", /<ListMetricsConfigurationsResult [^>]*><IsTruncated>false</],
    ["intelligent-tiering", /<ListBucketIntelligentTieringConfigurationsResult [^>]*><IsTruncated>false</],
  ])("GET ?%s is empty", async (query, expected) => {
    const answer = await ask("GET", `${await bucket()}?${query}`);
    expect(answer.told).toBe("200");
    expect(answer.text).toMatch(expected);
  });

  test("is not configured by trying, and deleted without trouble", async () => {
    const path = await bucket();
    for (const query of ["website", "replication", "accelerate"]) {
      expect((await ask("PUT", `${path}?${query}`, "<X/>")).told).toBe("501 NotImplemented");
    }
    for (const query of ["analytics", "inventory", "metrics", "intelligent-tiering"]) {
      expect((await ask("PUT", `${path}?${query}&id=a`, "<X/>")).told).toBe("501 NotImplemented");
      expect((await ask("DELETE", `${path}?${query}&id=a`)).told).toBe("404 NoSuchConfiguration");
    }
    for (const query of ["website", "replication"]) expect((await ask("DELETE", `${path}?${query}`)).told).toBe("204");
    for (const place of [path, "/"]) {
      const listening = "events=s3%3AObjectCreated%3A%2A&prefix=a&suffix=b&ping=10";
      expect((await ask("GET", `${place}?${listening}`)).told).toBe("501 NotImplemented");
    }
    expect((await ask("GET", `${path}/a?torrent`)).told).toBe("501 NotImplemented");
    expect((await ask("POST", `${path}/a?restore`, "<X/>")).told).toBe("501 NotImplemented");
    expect((await ask("POST", `${path}/a?select&select-type=2`, "<X/>")).told).toBe("501 NotImplemented");
  });
});

test.each([
  [
    "logging",
    "BucketLoggingStatus",
    "",
    "<LoggingEnabled><TargetBucket>b</TargetBucket><TargetPrefix/></LoggingEnabled>",
  ],
  ["requestPayment", "RequestPaymentConfiguration", "<Payer>BucketOwner</Payer>", "<Payer>Requester</Payer>"],
  ["notification", "NotificationConfiguration", "", "<EventBridgeConfiguration/>"],
])("?%s can be asked to stay as it is, and nothing else", async (query, root, same, other) => {
  const path = `${await bucket()}?${query}`;
  const put = async (inner: string): Promise<string> => (await ask("PUT", path, `<${root}>${inner}</${root}>`)).told;
  const before = (await ask("GET", path)).text;
  expect([await put(same), await put(other)]).toEqual(["200", "501 NotImplemented"]);
  expect((await ask("PUT", path, "<X/>")).told).toBe("400 MalformedXML");
  expect((await ask("GET", path)).text).toBe(before);
});

test("settings that are changed at the same time are all changed", async () => {
  const path = await bucket();
  const tagging = "<Tagging><TagSet><Tag><Key>a</Key><Value>b</Value></Tag></TagSet></Tagging>";
  const cors =
    "<CORSConfiguration><CORSRule><AllowedMethod>GET</AllowedMethod><AllowedOrigin>*</AllowedOrigin></CORSRule></CORSConfiguration>";
  const controls =
    "<OwnershipControls><Rule><ObjectOwnership>ObjectWriter</ObjectOwnership></Rule></OwnershipControls>";
  const block =
    "<PublicAccessBlockConfiguration><BlockPublicAcls>true</BlockPublicAcls></PublicAccessBlockConfiguration>";
  const bodies = { tagging, cors, ownershipControls: controls, publicAccessBlock: block };
  const put = await Promise.all(Object.entries(bodies).map(([name, body]) => ask("PUT", `${path}?${name}`, body)));
  expect(put.map(({ told }) => told)).toEqual(["200", "200", "200", "200"]);
  for (const name of Object.keys(bodies)) expect((await ask("GET", `${path}?${name}`)).told).toBe("200");
  expect((await ask("GET", `${path}?ownershipControls`)).text).toContain("ObjectWriter");
});

test("tags of one object that are put at the same time are those of one of them, and its ACL stays", async () => {
  const path = await bucket();
  await ask("PUT", `${path}/a`, "x");
  const tagging = (value: number): string =>
    `<Tagging><TagSet><Tag><Key>k</Key><Value>${value}</Value></Tag></TagSet></Tagging>`;
  const put = await Promise.all([1, 2, 3, 4, 5].map((value) => ask("PUT", `${path}/a?tagging`, tagging(value))));
  expect(put.map(({ told }) => told)).toEqual(["200", "200", "200", "200", "200"]);
  expect((await ask("GET", `${path}/a?tagging`)).text).toMatch(/<Key>k<\/Key><Value>[1-5]<\/Value>/);
});
