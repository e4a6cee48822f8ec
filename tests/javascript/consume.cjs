// Reads a thing as node-wot does, from the description that the platform serves: node consume.cjs URL TOKEN
const { Servient } = require("@node-wot/core");
const { HttpClientFactory } = require("@node-wot/binding-http");

const [url, token] = process.argv.slice(2);

async function main() {
  const headers = { Authorization: `Bearer ${token}` };
  const description = await (await fetch(url, { headers })).json();
  const servient = new Servient();
  servient.addClientFactory(new HttpClientFactory(null));
  servient.addCredentials({ [description.id]: { token } });
  const thing = await (await servient.start()).consume(description);
  const found = { one: {}, all: {} };
  for (const name of Object.keys(description.properties)) {
    found.one[name] = await (await thing.readProperty(name)).value();
  }
  for (const [name, output] of await thing.readAllProperties()) {
    found.all[name] = await output.value();
  }
  console.log(JSON.stringify(found));
  await servient.shutdown();
}

main().catch((error) => {
  console.error(error);
  process.exitCode = 1;
});
