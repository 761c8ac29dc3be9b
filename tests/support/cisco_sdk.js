// Connects as Cisco's own SDK does, and says each thing it was told as a line of JSON; ends when its input does.
const { connect } = require('workspace-integrations');

function say(what) {
  process.stdout.write(JSON.stringify(what) + '\n');
}

async function main() {
  const integration = await connect({ ...JSON.parse(process.argv[2]), notifications: 'longpolling' });
  for (const path of ['RoomAnalytics', 'Standby', 'SystemUnit']) {
    integration.xapi.status.on(path, (deviceId, key, value, { timestamp }) => say({ deviceId, key, value, timestamp }));
  }
  integration.xapi.event.on('BootEvent', (deviceId, key, value) => say({ deviceId, key, value }));
  integration.onError((text) => say({ error: text }));
  say({ manifestVersion: (await integration.getAppInfo()).manifestVersion });
}

process.stdin.on('end', () => process.exit(0)).resume();
main().catch((fault) => {
  say({ error: String(fault) });
  process.exit(1);
});
