-- Views over history, for the SQL endpoint of the lakehouse (T-SQL): run this once, and again after a change of it.
-- Days, months and years are UTC. Table Alerts may hold a row twice; an alert is counted once.

CREATE OR ALTER VIEW alert_history AS
SELECT
    alertId,
    MAX(ruleId) AS ruleId,
    MIN(severity) AS severity,
    MAX(cityId) AS cityId,
    MAX(workspaceId) AS workspaceId,
    MAX(workspaceName) AS room,
    MAX(entityId) AS entityId,
    MAX(name) AS name,
    MIN(startedAt) AS startedAt,
    MIN(CASE WHEN state = 'resolved' THEN observedAt END) AS resolvedAt
FROM Alerts
WHERE entityId NOT LIKE 'drill-%'
GROUP BY alertId;
GO

-- Incidents of a room and of its devices, by the year they began; minutes are of those that are over.
CREATE OR ALTER VIEW incidents_per_room_and_year AS
SELECT
    cityId,
    workspaceId,
    MAX(room) AS room,
    YEAR(startedAt) AS beganIn,
    COUNT(*) AS incidents,
    SUM(CASE WHEN resolvedAt IS NULL THEN 1 ELSE 0 END) AS stillOpen,
    SUM(DATEDIFF(SECOND, startedAt, resolvedAt)) / 60.0 AS minutes
FROM alert_history
WHERE workspaceId <> ''
GROUP BY cityId, workspaceId, YEAR(startedAt);
GO

-- From the beginning of a breach to its end, by city, rule and the month it began in. NULL where none is over.
CREATE OR ALTER VIEW time_to_repair_by_city AS
SELECT
    cityId,
    ruleId,
    YEAR(startedAt) AS beganInYear,
    MONTH(startedAt) AS beganInMonth,
    COUNT(resolvedAt) AS repaired,
    SUM(CASE WHEN resolvedAt IS NULL THEN 1 ELSE 0 END) AS stillOpen,
    AVG(DATEDIFF(SECOND, startedAt, resolvedAt) / 60.0) AS meanMinutes,
    MAX(DATEDIFF(SECOND, startedAt, resolvedAt) / 60.0) AS longestMinutes
FROM alert_history
GROUP BY cityId, ruleId, YEAR(startedAt), MONTH(startedAt);
GO

-- Rooms that were observed on at least ten of the last 90 days and in use on none. A room that says nothing of its use is not known
-- to be unused, so it is not here.
CREATE OR ALTER VIEW rooms_nobody_uses AS
SELECT
    cityId,
    workspaceId,
    MAX(name) AS room,
    COUNT(DISTINCT date) AS daysObserved,
    MAX(observedAt) AS lastObserved
FROM readings
WHERE entity = 'workspace' AND signal = 'inUse' AND value IS NOT NULL
    AND date >= CONVERT(VARCHAR(10), DATEADD(DAY, -90, SYSUTCDATETIME()), 23)
GROUP BY cityId, workspaceId
HAVING MAX(value) = 0 AND COUNT(DISTINCT date) >= 10;
GO

-- An incident and its times; NULL where nobody has acknowledged it, or while it goes on. Table IncidentSteps may hold a row twice.
CREATE OR ALTER VIEW incident_history AS
SELECT
    cityId,
    incidentId,
    MAX(ruleId) AS ruleId,
    MAX(workspaceId) AS workspaceId,
    MIN(startedAt) AS startedAt,
    MIN(CASE WHEN step IN ('acknowledged', 'taken-over') THEN observedAt END) AS acknowledgedAt,
    MAX(CASE WHEN step = 'ended' THEN observedAt END) AS endedAt
FROM IncidentSteps
WHERE entityId NOT LIKE 'drill-%'
GROUP BY cityId, incidentId;
GO

-- From the beginning of what is wrong to the first acknowledgement, by city and the month it began in. NULL where there was none.
CREATE OR ALTER VIEW time_to_acknowledge_by_city AS
SELECT
    cityId,
    YEAR(startedAt) AS beganInYear,
    MONTH(startedAt) AS beganInMonth,
    COUNT(*) AS incidents,
    COUNT(acknowledgedAt) AS acknowledged,
    AVG(DATEDIFF(SECOND, startedAt, acknowledgedAt) / 60.0) AS meanMinutes,
    MAX(DATEDIFF(SECOND, startedAt, acknowledgedAt) / 60.0) AS longestMinutes
FROM incident_history
GROUP BY cityId, YEAR(startedAt), MONTH(startedAt);
GO

-- How a city was on a day, from what was observed of it in each minute. NULL where a minute never said so.
CREATE OR ALTER VIEW city_days AS
SELECT
    cityId,
    CAST(windowEnd AS DATE) AS day,
    COUNT(DISTINCT CASE WHEN signal = 'devices' THEN windowEnd END) AS minutesObserved,
    AVG(CASE WHEN signal = 'devices' THEN mean END) AS meanDevices,
    AVG(CASE WHEN signal = 'devicesDown' THEN mean END) AS meanDevicesDown,
    MAX(CASE WHEN signal = 'devicesDown' THEN maximum END) AS mostDevicesDown
FROM CityMinute
GROUP BY cityId, CAST(windowEnd AS DATE);
GO
