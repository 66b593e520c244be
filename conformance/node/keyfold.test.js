// The server that VAULT_ADDR names, driven with node-vault.
import assert from "node:assert/strict";
import { test } from "node:test";
import nodeVault from "node-vault";

const endpoint = process.env.VAULT_ADDR;
const client = (token) => nodeVault({ apiVersion: "v1", endpoint, token });
const root = client(process.env.VAULT_TOKEN);
const base64 = (text) => Buffer.from(text).toString("base64");

test("the seal is open", async () => {
  const health = await root.health();
  assert.equal(health.initialized, true);
  assert.equal(health.sealed, false);
});

test("approle: login, renew, and what the policy says", async () => {
  await root.addPolicy({ name: "node", rules: 'path "secret/data/node/*" { capabilities = ["read"] }' });
  await root.enableAuth({ mount_point: "node-approle", type: "approle" });
  await root.addApproleRole({ mount_point: "node-approle", role_name: "job", policies: "node", token_ttl: 1200 });
  const { data: role } = await root.getApproleRoleId({ mount_point: "node-approle", role_name: "job" });
  const { data: secret } = await root.getApproleRoleSecret({ mount_point: "node-approle", role_name: "job" });
  const login = await client().approleLogin({
    mount_point: "node-approle",
    role_id: role.role_id,
    secret_id: secret.secret_id,
  });
  assert.deepEqual(login.auth.policies, ["default", "node"]);
  const job = client(login.auth.client_token);
  assert.equal((await job.tokenLookupSelf()).data.path, "auth/node-approle/login");
  assert.equal((await job.tokenRenewSelf({ increment: 600 })).auth.lease_duration, 600);
  await root.write("secret/data/node/a", { data: { password: "hunter2" } });
  assert.equal((await job.read("secret/data/node/a")).data.data.password, "hunter2");
  await assert.rejects(job.write("secret/data/node/a", { data: {} }), { message: /permission denied/ });
  await job.tokenRevokeSelf();
  await assert.rejects(job.tokenLookupSelf(), (error) => error.response.statusCode === 403);
  await assert.rejects(
    client().approleLogin({ mount_point: "node-approle", role_id: role.role_id, secret_id: "wrong" }),
    (error) => error.response.statusCode === 400,
  );
});

test("userpass: login", async () => {
  await root.enableAuth({ mount_point: "node-userpass", type: "userpass" });
  await root.write("auth/node-userpass/users/ann", { password: "correct horse", policies: "default" });
  const login = await client().userpassLogin({ mount_point: "node-userpass", username: "ann", password: "correct horse" });
  assert.equal(login.auth.metadata.username, "ann");
  assert.equal(login.auth.renewable, true);
  await assert.rejects(
    client().userpassLogin({ mount_point: "node-userpass", username: "ann", password: "wrong" }),
    (error) => error.response.statusCode === 400,
  );
});

test("KV version 2: versions, deletion, list", async () => {
  await root.write("secret/data/node/k", { data: { n: 1 } });
  const second = await root.write("secret/data/node/k", { data: { n: 2 }, options: { cas: 1 } });
  assert.equal(second.data.version, 2);
  await assert.rejects(root.write("secret/data/node/k", { data: {}, options: { cas: 1 } }), { message: /check-and-set/ });
  assert.ok((await root.list("secret/metadata/node")).data.keys.includes("k"));
  await root.delete("secret/data/node/k");
  await assert.rejects(root.read("secret/data/node/k"), (error) => error.response.statusCode === 404);
  await root.write("secret/undelete/node/k", { versions: [2] });
  assert.equal((await root.read("secret/data/node/k")).data.data.n, 2);
});

test("transit: encrypt, rotate, rewrap, decrypt", async () => {
  await root.mount({ mount_point: "transit", type: "transit" });
  await root.transitCreateKey({ name: "orders" });
  const sealed = await root.encryptData({ name: "orders", plaintext: base64("hello") });
  await root.write("transit/keys/orders/rotate", {});
  const rewrapped = await root.write("transit/rewrap/orders", { ciphertext: sealed.data.ciphertext });
  assert.match(rewrapped.data.ciphertext, /^vault:v2:/);
  const opened = await root.decryptData({ name: "orders", ciphertext: rewrapped.data.ciphertext });
  assert.equal(opened.data.plaintext, base64("hello"));
});

test("transit: data keys, signatures", async () => {
  await root.transitCreateKey({ name: "wraps" });
  const dek = await root.write("transit/datakey/plaintext/wraps", {});
  const opened = await root.decryptData({ name: "wraps", ciphertext: dek.data.ciphertext });
  assert.equal(opened.data.plaintext, dek.data.plaintext);
  await root.transitCreateKey({ name: "signs", type: "ed25519" });
  const signed = await root.write("transit/sign/signs", { input: base64("hello") });
  for (const [text, valid] of [["hello", true], ["hallo", false]]) {
    const verified = await root.write("transit/verify/signs", { input: base64(text), signature: signed.data.signature });
    assert.equal(verified.data.valid, valid);
  }
});

test("a wrapped answer is unwrapped once", async () => {
  const wrapped = await root.write("sys/wrapping/wrap", { a: "b" }, { headers: { "X-Vault-Wrap-TTL": "60s" } });
  assert.equal(wrapped.wrap_info.ttl, 60);
  const carrier = client(wrapped.wrap_info.token);
  assert.equal((await carrier.unwrap()).data.a, "b");
  await assert.rejects(carrier.unwrap(), (error) => [400, 403].includes(error.response.statusCode));
});

test("a revoked token is dead", async () => {
  // A client takes on the token that it creates.
  const { auth } = await client(process.env.VAULT_TOKEN).tokenCreate({ policies: ["default"], ttl: "10m" });
  await root.tokenRevoke({ token: auth.client_token });
  await assert.rejects(client(auth.client_token).tokenLookupSelf(), (error) => error.response.statusCode === 403);
});
