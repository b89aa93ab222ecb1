/**
 * After trunk has built a release (Trunk.toml calls this): lays each file of the client once more beside itself, as
 * small as Brotli makes it, for the server to send. Once for all who will ever load it, so it may take its seconds.
 */
import { readFile, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { brotliCompress, constants } from "node:zlib";

const { TRUNK_PROFILE, TRUNK_STAGING_DIR: folder } = process.env;

if (TRUNK_PROFILE === "release") {
  const names = (await readdir(folder)).filter((name) => /\.(wasm|js|css)$/.test(name));
  await Promise.all(names.map(compress));
}

async function compress(name) {
  const file = await readFile(join(folder, name));
  const params = {
    [constants.BROTLI_PARAM_QUALITY]: constants.BROTLI_MAX_QUALITY,
    [constants.BROTLI_PARAM_LGWIN]: constants.BROTLI_MAX_WINDOW_BITS,
    [constants.BROTLI_PARAM_SIZE_HINT]: file.length,
  };
  const smaller = await promisify(brotliCompress)(file, { params });
  await writeFile(join(folder, `${name}.br`), smaller);
  console.log(`${name}: ${file.length} bytes, ${smaller.length} as Brotli`);
}
