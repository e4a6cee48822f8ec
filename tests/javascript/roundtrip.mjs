// Subscribes and publishes over WebSocket: node roundtrip.mjs URL VERSION COUNT
// Prints the payloads' sizes in the order of their arrival.
import mqtt from 'mqtt';

const [url, version, count] = process.argv.slice(2);
const client = await mqtt.connectAsync(url, { protocolVersion: Number(version), reconnectPeriod: 0 });
const sizes = [];
const all = new Promise((resolve) => {
  client.on('message', (topic, payload) => {
    sizes.push(payload.length);
    if (sizes.length === Number(count)) resolve();
  });
});
await client.subscribeAsync('js/#', { qos: 1 });
for (let n = 0; n < Number(count); n += 1) {
  await client.publishAsync('js/one', Buffer.alloc(n * 1000), { qos: 1 });
}
await all;
await client.endAsync();
console.log(JSON.stringify(sizes));
