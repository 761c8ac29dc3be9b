// Connects as Cisco's own SDK does, and says each thing it was told as a line of JSON; ends when its input does.
const jwks = require('jwks-rsa');

// The SDK takes keys from Cisco's hosts alone; here they are the simulator's. What it checks with them is its own.
const { JwksClient } = jwks;
jwks.JwksClient = class extends JwksClient {
  constructor(options) {
    super({ ...options, jwksUri: process.argv[3] });
  }
};
const { connect } = require('workspace-integrations');

function say(what) {
  process.stdout.write(JSON.stringify(what) + '\n');
}

// Of a health check the SDK writes a line and calls nobody; of polls that fail it writes, and tries again.
console.log = (...words) => (String(words[0]).startsWith('xapi:') ? say({ said: words.join(' ') }) : console.error(...words));

async function main() {
  const integration = await connect({ ...JSON.parse(process.argv[2]), notifications: 'longpolling' });
  for (const path of ['RoomAnalytics', 'Standby', 'SystemUnit']) {
    integration.xapi.status.on(path, (deviceId, key, value, { timestamp }) => say({ deviceId, key, value, timestamp }));
  }
  integration.xapi.event.on('BootEvent', (deviceId, key, value) => say({ deviceId, key, value }));
  integration.onAction(({ action, manifestVersion }) => say({ action, manifestVersion }));
  integration.onError((text) => say({ error: text }));
  say({ manifestVersion: (await integration.getAppInfo()).manifestVersion });
}

process.stdin.on('end', () => process.exit(0)).resume();
main().catch((fault) => {
  say({ error: String(fault) });
  process.exit(1);
});
