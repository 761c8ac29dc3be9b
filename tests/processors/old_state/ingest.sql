PRAGMA user_version = 2;
BEGIN TRANSACTION;
CREATE TABLE device (
  id TEXT PRIMARY KEY, device TEXT NOT NULL, place TEXT NOT NULL, status_since TEXT NOT NULL, missed_polls INTEGER NOT NULL,
  condition TEXT NOT NULL DEFAULT '[]'
);
INSERT INTO "device" VALUES('device-1','["device-1", "Room 1", "roomdesk", "Cisco Room Kit EQ", "RoomOS 26.8.1.4", "connected", ["missingdisplay"], "workspace-1", "location-1", null, null, ["upcoming", "2026-11-24T09:00:00Z", "2026-11-24T11:00:00Z"], true, false]','["lyon", "location-1", "Lyon Part-Dieu", "workspace-1", "Room 1"]','2026-11-24T10:00:00.000Z',2,'[["2026-11-24T09:30:00.000Z"], "2026-11-24T09:00:00.000Z", true, true, 61, true, false, 2.5, 12.0]');
INSERT INTO "device" VALUES('device-2','["device-2", "Salle \u00c9ole", "roomdesk", "Cisco Room Kit EQ", "RoomOS 26.8.1.4", "disconnected", [], null, "location-1", null, null, null, true, true]','["lyon", "location-1", "Lyon Part-Dieu", null, null]','2026-11-24T10:00:00.000Z',0,'[[], null, false, false, null, false, null, 0.0, 0.0]');
CREATE TABLE mark (name TEXT PRIMARY KEY, time TEXT NOT NULL);
INSERT INTO "mark" VALUES('city:lyon','2026-11-24T10:00:00.000Z');
INSERT INTO "mark" VALUES('snapshot','2026-11-24T10:00:00.000Z');
CREATE TABLE uncertain (id TEXT PRIMARY KEY);
INSERT INTO "uncertain" VALUES('device-2');
INSERT INTO "uncertain" VALUES('device-3');
CREATE TABLE watermark (
  workspace_id TEXT NOT NULL, metric TEXT NOT NULL, read_to TEXT, asked_at TEXT NOT NULL, PRIMARY KEY (workspace_id, metric)
);
INSERT INTO "watermark" VALUES('workspace-1','tvoc',NULL,'2026-11-24T10:00:00.000Z');
INSERT INTO "watermark" VALUES('workspace-2','tvoc','2026-11-24T09:58:00.000Z','2026-11-24T10:00:00.000Z');
COMMIT;
