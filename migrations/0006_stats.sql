CREATE TABLE `tallies` (
	`systemId` integer NOT NULL,
	`name` text NOT NULL,
	`ownerId` integer NOT NULL,
	`day` integer NOT NULL,
	`n` integer NOT NULL,
	PRIMARY KEY(`systemId`, `name`, `ownerId`, `day`)
);
--> statement-breakpoint
CREATE INDEX `applications_updatedAt` ON `applications` (`badgeId`,`updatedAt`);--> statement-breakpoint
CREATE INDEX `badgeInstances_issuedOn` ON `badgeInstances` (`badgeId`,`issuedOn`);--> statement-breakpoint
INSERT INTO tallies (systemId, name, ownerId, day, n)
WITH ofAwards (badgeId, what, day, n) AS (
	SELECT badgeId, 'awarded', createdAt / 86400000, 1 FROM badgeInstances
	UNION ALL SELECT badgeId, 'revoked', revokedAt / 86400000, 1 FROM badgeInstances WHERE revokedAt IS NOT NULL
), ofCodes (badgeId, what, day, n) AS (
	SELECT badgeId, 'codes', createdAt / 86400000, 1 FROM claimCodes
	UNION ALL SELECT badgeId, 'claimed', coalesce(claimedAt, updatedAt) / 86400000, max(uses, 1) FROM claimCodes WHERE claimed = 1
), ofApplications (badgeId, what, day, n) AS (
	SELECT badgeId, 'applied', createdAt / 86400000, 1 FROM applications
	UNION ALL SELECT badgeId, 'processed', processed / 86400000, 1 FROM applications WHERE processed IS NOT NULL
), happened AS (
	SELECT * FROM ofAwards UNION ALL SELECT * FROM ofCodes UNION ALL SELECT * FROM ofApplications
), daily AS (
	SELECT badgeId, what, day, sum(n) AS n FROM happened GROUP BY badgeId, what, day
), owned AS (
	SELECT b.systemId, d.what, 'badge' AS owner, b.id AS ownerId, d.day, d.n FROM daily d JOIN badges b ON b.id = d.badgeId
	UNION ALL SELECT b.systemId, d.what, 'system', b.systemId, d.day, d.n FROM daily d JOIN badges b ON b.id = d.badgeId
	UNION ALL SELECT b.systemId, d.what, 'issuer', b.issuerId, d.day, d.n FROM daily d JOIN badges b ON b.id = d.badgeId WHERE b.issuerId IS NOT NULL
	UNION ALL SELECT b.systemId, d.what, 'program', b.programId, d.day, d.n FROM daily d JOIN badges b ON b.id = d.badgeId WHERE b.programId IS NOT NULL
)
SELECT systemId, owner || '.' || what, ownerId, day,
	sum(sum(n)) OVER (PARTITION BY systemId, owner, what, ownerId ORDER BY day)
FROM owned GROUP BY systemId, owner, what, ownerId, day;
--> statement-breakpoint
INSERT INTO counters (systemId, name, ownerId, n)
SELECT systemId, 'open', badgeId, count(*) FROM applications WHERE processed IS NULL GROUP BY systemId, badgeId;
