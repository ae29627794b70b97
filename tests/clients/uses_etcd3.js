// A user of npm's etcd3: keys, transactions, leases, watches, locks, elections, auth; prints "done".
// Run with HOST:PORT of the members.
const assert = require("node:assert");
const { once } = require("node:events");
const {
  Etcd3, EtcdAuthenticationFailedError, EtcdLockFailedError, EtcdPermissionDeniedError,
} = require("etcd3");

async function keys(client) {
  await client.put("js/a").value("1");
  await client.put("js/b").value("2");
  assert.equal(await client.get("js/a").string(), "1");
  assert.deepEqual(await client.getAll().prefix("js/").strings(), { "js/a": "1", "js/b": "2" });
  assert.deepEqual(await client.getAll().prefix("js/").sort("Key", "Descend").limit(1).keys(), ["js/b"]);
  assert.equal((await client.put("js/a").value("3").getPrevious()).value.toString(), "1");
  assert.equal(await client.getAll().prefix("js/").count(), 2);
  assert.equal((await client.delete().prefix("js/")).deleted, "2");
  assert.equal(await client.get("js/a"), null);
}

async function transactions(client) {
  const first = await client
    .if("jstxn/a", "Create", "==", 0)
    .then(client.put("jstxn/a").value("new"))
    .else(client.get("jstxn/a"))
    .commit();
  assert.equal(first.succeeded, true);
  const second = await client
    .if("jstxn/a", "Create", "==", 0)
    .then(client.put("jstxn/a").value("newer"))
    .else(client.get("jstxn/a"))
    .commit();
  assert.equal(second.succeeded, false);
  assert.equal(second.responses[0].response_range.kvs[0].value.toString(), "new");
  const counted = await client.stm().transact(async (tx) => {
    const value = await tx.get("jstxn/a").string();
    await tx.put("jstxn/b").value(value + "!");
    return value;
  });
  assert.equal(counted, "new");
  assert.equal(await client.get("jstxn/b").string(), "new!");
}

async function leases(client) {
  const lease = client.lease(600);
  await lease.put("jslease/a").value("1");
  await lease.keepaliveOnce();
  const id = await lease.grant();
  const told = await client.leaseClient.leaseTimeToLive({ ID: id, keys: true });
  assert.deepEqual([told.grantedTTL, told.keys.map(String)], ["600", ["jslease/a"]]);
  await lease.revoke();
  assert.equal(await client.get("jslease/a"), null);
}

async function watches(client) {
  const watcher = await client.watch().prefix("jswatch/").withPreviousKV().create();
  const put = once(watcher, "put");
  await client.put("jswatch/a").value("1");
  assert.equal((await put)[0].value.toString(), "1");
  const gone = once(watcher, "delete");
  await client.delete().key("jswatch/a");
  const [event, previous] = await gone;
  assert.deepEqual([event.key.toString(), previous.value.toString()], ["jswatch/a", "1"]);
  await watcher.cancel();
}

async function locks(client, other) {
  const held = await client.lock("jsmutex").ttl(60).acquire();
  await assert.rejects(other.lock("jsmutex").acquire(), EtcdLockFailedError);
  await held.release();
  assert.equal(await other.lock("jsmutex").do(async () => "mine"), "mine");
}

async function elections(client) {
  const election = client.election("jselection", 60);
  const campaign = election.campaign("one");
  await once(campaign, "elected");
  assert.equal(await election.leader(), "one");
  await campaign.proclaim("two");
  assert.equal(await election.leader(), "two");
  await campaign.resign();
  assert.equal(await election.leader(), undefined);
}

// All on one member: another may hear a moment later that auth is enabled, as in etcd.
async function users(client, hosts) {
  const as = (username, password) => new Etcd3({ hosts, auth: { username, password } });
  await client.put("jsauth/").value("0");
  await client.put("jsauth0").value("0");
  for (const name of ["root", "js"]) {
    await client.user(name).create(`${name}'s`);
    await client.role(name).create();
    await client.user(name).addRole(name);
  }
  const range = client.range({ prefix: "jsauth/" });
  await client.role("js").grant({ permission: "Readwrite", range });
  const [told] = await client.role("js").permissions();
  assert.deepEqual([told.permission, String(told.range.start), String(told.range.end)],
    ["Readwrite", "jsauth/", "jsauth0"]);
  await client.auth.authEnable();
  await assert.rejects(client.get("jsauth/"), /user name is empty/);
  const wrong = as("js", "no");
  await assert.rejects(wrong.get("jsauth/"), EtcdAuthenticationFailedError);
  wrong.close();
  const js = as("js", "js's");
  const watcher = await js.watch().prefix("jsauth/").create();
  const put = once(watcher, "put");
  await js.put("jsauth/a").value("1");
  assert.equal(await js.get("jsauth/a").string(), "1");
  assert.equal((await put)[0].value.toString(), "1");
  await watcher.cancel();
  await assert.rejects(js.put("jsauth0").value("1"), EtcdPermissionDeniedError);
  await assert.rejects(js.get("jsauth0"), EtcdPermissionDeniedError);
  js.close();
  const root = as("root", "root's");
  assert.equal(await root.get("jsauth0").string(), "0");
  assert.deepEqual((await root.user("js").roles()).map((role) => role.name), ["js"]);
  await root.auth.authDisable();
  root.close();
  assert.equal((await client.delete().prefix("jsauth")).deleted, "3");
  for (const name of ["root", "js"]) {
    await client.user(name).delete();
    await client.role(name).delete();
  }
}

async function main() {
  const hosts = process.argv.slice(2);
  const client = new Etcd3({ hosts });
  const other = new Etcd3({ hosts });
  await keys(client);
  await transactions(client);
  await leases(client);
  await watches(client);
  await locks(client, other);
  await elections(client);
  const single = new Etcd3({ hosts: hosts[0] });
  await users(single, hosts[0]);
  single.close();
  client.close();
  other.close();
  console.log("done");
  process.exit(0); // all sockets are closed, but a timer of the library may run for 30 s more
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
