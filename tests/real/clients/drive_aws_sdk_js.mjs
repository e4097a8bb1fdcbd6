// aws-sdk-js v3: every operation of a door, one after the other; asked on stdin, told on stdout, both JSON.
import { createHash } from "node:crypto";
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";

const require = createRequire(`${process.env.CLIENT_HOME}/package.json`);
const { S3Client, GetObjectCommand, paginateListObjectsV2 } = require("@aws-sdk/client-s3");
const ask = JSON.parse(readFileSync(0, "utf8"));
const digest = (data) => createHash("sha256").update(data).digest("hex");

function operations(door) {
  const s3 = new S3Client({
    region: ask.region,
    endpoint: `${door.scheme}://${door.host}:${door.port}`,
    forcePathStyle: door.style === "path",
  });
  const big = { Bucket: ask.bucket, Key: ask.big };

  async function under(prefix) {
    const found = {};
    for await (const page of paginateListObjectsV2({ client: s3 }, { Bucket: ask.bucket, Prefix: prefix })) {
      for (const one of page.Contents ?? []) found[one.Key] = one.Size;
    }
    return found;
  }

  async function read(what) {
    const reply = await s3.send(new GetObjectCommand(what));
    return digest(await reply.Body.transformToByteArray());
  }

  async function asked(condition) {
    try {
      return await read({ ...big, ...condition });
    } catch (refused) {
      if (refused.$metadata === undefined) throw refused;
      return refused.$metadata.httpStatusCode;
    }
  }

  return {
    list: async () => Object.assign({}, ...(await Promise.all(ask.prefixes.map(under)))),
    pages: async () => {
      const keys = Object.keys(await under(ask.many));
      return [keys.length, digest(keys.join("\n"))];
    },
    read: async () => {
      const found = {};
      for (const key of ask.keys) found[key] = await read({ Bucket: ask.bucket, Key: key });
      return found;
    },
    ranges: () => Promise.all(ask.ranges.map(([start, end]) => read({ ...big, Range: `bytes=${start}-${end - 1}` }))),
    conditions: async () => ({
      "If-Match, same": await asked({ IfMatch: ask.etag }),
      "If-Match, other": await asked({ IfMatch: '"other"' }),
      "If-None-Match, same": await asked({ IfNoneMatch: ask.etag }),
      "If-None-Match, other": await asked({ IfNoneMatch: '"other"' }),
    }),
  };
}

const saw = {};
for (const door of ask.doors) {
  const told = (saw[`${door.scheme} ${door.style}`] = {});
  for (const [name, operation] of Object.entries(operations(door))) {
    try {
      told[name] = { saw: await operation() };
    } catch (fault) {
      told[name] = { fault: String(fault.stack ?? fault) };
    }
  }
}
process.stdout.write(JSON.stringify(saw));
