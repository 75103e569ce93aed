CREATE TABLE `alignments` (
	`id` integer PRIMARY KEY AUTOINCREMENT NOT NULL,
	`badgeId` integer NOT NULL,
	`name` text NOT NULL,
	`url` text NOT NULL,
	`description` text,
	FOREIGN KEY (`badgeId`) REFERENCES `badges`(`id`) ON UPDATE no action ON DELETE no action
);
--> statement-breakpoint
CREATE INDEX `alignments_badgeId` ON `alignments` (`badgeId`);--> statement-breakpoint
CREATE TABLE `applications` (
	`id` integer PRIMARY KEY AUTOINCREMENT NOT NULL,
	`slug` text collate nocase NOT NULL,
	`systemId` integer NOT NULL,
	`badgeId` integer NOT NULL,
	`learner` text collate nocase NOT NULL,
	`assignedTo` text collate nocase,
	`assignedExpiration` integer,
	`processed` integer,
	`version` integer DEFAULT 1 NOT NULL,
	`op` text NOT NULL,
	`createdAt` integer NOT NULL,
	`updatedAt` integer NOT NULL,
	FOREIGN KEY (`systemId`) REFERENCES `systems`(`id`) ON UPDATE no action ON DELETE no action,
	FOREIGN KEY (`badgeId`) REFERENCES `badges`(`id`) ON UPDATE no action ON DELETE no action
);
--> statement-breakpoint
CREATE UNIQUE INDEX `applications_slug_unique` ON `applications` (`slug`);--> statement-breakpoint
CREATE INDEX `applications_systemId` ON `applications` (`systemId`,`badgeId`,`createdAt`);--> statement-breakpoint
CREATE INDEX `applications_badgeId` ON `applications` (`badgeId`,`createdAt`);--> statement-breakpoint
CREATE INDEX `applications_open` ON `applications` (`badgeId`,`createdAt`) WHERE "processed" is null;--> statement-breakpoint
CREATE INDEX `applications_closed` ON `applications` (`badgeId`,`createdAt`) WHERE "processed" is not null;--> statement-breakpoint
CREATE INDEX `applications_learner` ON `applications` (`systemId`,`learner`);--> statement-breakpoint
CREATE TABLE `attempts` (
	`deliveryId` integer NOT NULL,
	`n` integer NOT NULL,
	`at` integer NOT NULL,
	`ms` integer NOT NULL,
	`status` integer,
	`error` text,
	`answer` text,
	PRIMARY KEY(`deliveryId`, `n`),
	FOREIGN KEY (`deliveryId`) REFERENCES `deliveries`(`id`) ON UPDATE no action ON DELETE no action
);
--> statement-breakpoint
CREATE INDEX `attempts_at` ON `attempts` (`at`);--> statement-breakpoint
CREATE TABLE `audit` (
	`id` integer PRIMARY KEY AUTOINCREMENT NOT NULL,
	`op` text NOT NULL,
	`systemId` integer,
	`at` integer NOT NULL,
	`key` text NOT NULL,
	`action` text NOT NULL,
	`target` text NOT NULL,
	`requestId` text NOT NULL,
	`sealedAt` integer,
	`previousHash` text,
	`hash` text
);
--> statement-breakpoint
CREATE UNIQUE INDEX `audit_op_unique` ON `audit` (`op`);--> statement-breakpoint
CREATE INDEX `audit_systemId` ON `audit` (`systemId`);--> statement-breakpoint
CREATE TABLE `badgeInstances` (
	`id` integer PRIMARY KEY NOT NULL,
	`slug` text collate nocase NOT NULL,
	`systemId` integer NOT NULL,
	`badgeId` integer NOT NULL,
	`versionId` integer NOT NULL,
	`email` text collate nocase NOT NULL,
	`issuedOn` integer NOT NULL,
	`expires` integer,
	`claimCode` text collate nocase,
	`once` integer DEFAULT 1 NOT NULL,
	`salt` text NOT NULL,
	`narrative` text,
	`evidence` text,
	`recipientType` text,
	`recipient` text,
	`revokedAt` integer,
	`revocationReason` text,
	`suspendedAt` integer,
	`renews` integer,
	`version` integer DEFAULT 1 NOT NULL,
	`op` text NOT NULL,
	`createdAt` integer NOT NULL,
	`updatedAt` integer NOT NULL,
	FOREIGN KEY (`systemId`) REFERENCES `systems`(`id`) ON UPDATE no action ON DELETE no action,
	FOREIGN KEY (`badgeId`) REFERENCES `badges`(`id`) ON UPDATE no action ON DELETE no action,
	FOREIGN KEY (`versionId`) REFERENCES `badgeVersions`(`id`) ON UPDATE no action ON DELETE no action
);
--> statement-breakpoint
CREATE UNIQUE INDEX `badgeInstances_slug_unique` ON `badgeInstances` (`slug`);--> statement-breakpoint
CREATE UNIQUE INDEX `badgeInstances_once` ON `badgeInstances` (`badgeId`,`email`) WHERE "once" = 1 and "revokedAt" is null;--> statement-breakpoint
CREATE INDEX `badgeInstances_badgeId` ON `badgeInstances` (`badgeId`,`revokedAt`);--> statement-breakpoint
CREATE INDEX `badgeInstances_earner` ON `badgeInstances` (`systemId`,`email`,`badgeId`);--> statement-breakpoint
CREATE INDEX `badgeInstances_versionId` ON `badgeInstances` (`versionId`);--> statement-breakpoint
CREATE TABLE `badgeVersions` (
	`id` integer PRIMARY KEY AUTOINCREMENT NOT NULL,
	`badgeId` integer NOT NULL,
	`hash` text NOT NULL,
	`badge` text NOT NULL,
	`issuerUid` text NOT NULL,
	`imageId` integer,
	`createdAt` integer NOT NULL,
	FOREIGN KEY (`badgeId`) REFERENCES `badges`(`id`) ON UPDATE no action ON DELETE no action,
	FOREIGN KEY (`imageId`) REFERENCES `images`(`id`) ON UPDATE no action ON DELETE no action
);
--> statement-breakpoint
CREATE UNIQUE INDEX `badgeVersions_hash` ON `badgeVersions` (`badgeId`,`hash`);--> statement-breakpoint
CREATE INDEX `badgeVersions_imageId` ON `badgeVersions` (`imageId`);--> statement-breakpoint
CREATE TABLE `badges` (
	`id` integer PRIMARY KEY AUTOINCREMENT NOT NULL,
	`uid` text NOT NULL,
	`slug` text collate nocase NOT NULL,
	`systemId` integer NOT NULL,
	`issuerId` integer,
	`programId` integer,
	`name` text NOT NULL,
	`strapline` text,
	`earnerDescription` text NOT NULL,
	`consumerDescription` text NOT NULL,
	`issuerUrl` text,
	`rubricUrl` text,
	`criteriaUrl` text NOT NULL,
	`timeValue` integer,
	`timeUnits` text,
	`evidenceType` text,
	`limit` integer,
	`unique` integer DEFAULT 0 NOT NULL,
	`type` text DEFAULT '' NOT NULL,
	`archived` integer DEFAULT 0 NOT NULL,
	`imageId` integer,
	`image` text,
	`lists` text DEFAULT '{"criteria":[],"alignments":[],"categories":[],"tags":[]}' NOT NULL,
	`awarded` integer DEFAULT 0 NOT NULL,
	`status` text DEFAULT 'published' NOT NULL,
	`publishAt` integer,
	`expiresAfter` integer,
	`language` text,
	`translations` text,
	`version` integer DEFAULT 1 NOT NULL,
	`op` text NOT NULL,
	`createdAt` integer NOT NULL,
	`updatedAt` integer NOT NULL,
	`deletedAt` integer,
	FOREIGN KEY (`systemId`) REFERENCES `systems`(`id`) ON UPDATE no action ON DELETE no action,
	FOREIGN KEY (`issuerId`) REFERENCES `issuers`(`id`) ON UPDATE no action ON DELETE no action,
	FOREIGN KEY (`programId`) REFERENCES `programs`(`id`) ON UPDATE no action ON DELETE no action,
	FOREIGN KEY (`imageId`) REFERENCES `images`(`id`) ON UPDATE no action ON DELETE no action
);
--> statement-breakpoint
CREATE UNIQUE INDEX `badges_uid_unique` ON `badges` (`uid`);--> statement-breakpoint
CREATE UNIQUE INDEX `badges_slug` ON `badges` (`systemId`,`slug`) WHERE "deletedAt" is null;--> statement-breakpoint
CREATE INDEX `badges_systemId` ON `badges` (`systemId`,`deletedAt`);--> statement-breakpoint
CREATE INDEX `badges_issuerId` ON `badges` (`issuerId`,`deletedAt`);--> statement-breakpoint
CREATE INDEX `badges_programId` ON `badges` (`programId`,`deletedAt`);--> statement-breakpoint
CREATE INDEX `badges_systemId_archived` ON `badges` (`systemId`,`deletedAt`,`archived`);--> statement-breakpoint
CREATE INDEX `badges_issuerId_archived` ON `badges` (`issuerId`,`deletedAt`,`archived`);--> statement-breakpoint
CREATE INDEX `badges_programId_archived` ON `badges` (`programId`,`deletedAt`,`archived`);--> statement-breakpoint
CREATE INDEX `badges_archived` ON `badges` (`deletedAt`,`archived`);--> statement-breakpoint
CREATE INDEX `badges_imageId` ON `badges` (`imageId`);--> statement-breakpoint
CREATE TABLE `categories` (
	`id` integer PRIMARY KEY AUTOINCREMENT NOT NULL,
	`badgeId` integer NOT NULL,
	`value` text NOT NULL,
	FOREIGN KEY (`badgeId`) REFERENCES `badges`(`id`) ON UPDATE no action ON DELETE no action
);
--> statement-breakpoint
CREATE INDEX `categories_badgeId` ON `categories` (`badgeId`);--> statement-breakpoint
CREATE TABLE `claimCodes` (
	`id` integer PRIMARY KEY AUTOINCREMENT NOT NULL,
	`systemId` integer NOT NULL,
	`badgeId` integer NOT NULL,
	`code` text collate nocase NOT NULL,
	`claimed` integer DEFAULT 0 NOT NULL,
	`multiuse` integer DEFAULT 0 NOT NULL,
	`email` text collate nocase,
	`claimedAt` integer,
	`uses` integer DEFAULT 0 NOT NULL,
	`version` integer DEFAULT 1 NOT NULL,
	`op` text NOT NULL,
	`createdAt` integer NOT NULL,
	`updatedAt` integer NOT NULL,
	FOREIGN KEY (`systemId`) REFERENCES `systems`(`id`) ON UPDATE no action ON DELETE no action,
	FOREIGN KEY (`badgeId`) REFERENCES `badges`(`id`) ON UPDATE no action ON DELETE no action
);
--> statement-breakpoint
CREATE UNIQUE INDEX `claimCodes_code` ON `claimCodes` (`systemId`,`code`,`badgeId`);--> statement-breakpoint
CREATE INDEX `claimCodes_badgeId` ON `claimCodes` (`badgeId`);--> statement-breakpoint
CREATE TABLE `counters` (
	`systemId` integer NOT NULL,
	`name` text NOT NULL,
	`ownerId` integer NOT NULL,
	`n` integer NOT NULL,
	PRIMARY KEY(`systemId`, `name`, `ownerId`)
);
--> statement-breakpoint
CREATE TABLE `criteria` (
	`id` integer PRIMARY KEY AUTOINCREMENT NOT NULL,
	`badgeId` integer NOT NULL,
	`description` text NOT NULL,
	`required` integer DEFAULT 0 NOT NULL,
	`note` text DEFAULT '' NOT NULL,
	FOREIGN KEY (`badgeId`) REFERENCES `badges`(`id`) ON UPDATE no action ON DELETE no action
);
--> statement-breakpoint
CREATE INDEX `criteria_badgeId` ON `criteria` (`badgeId`);--> statement-breakpoint
CREATE TABLE `deliveries` (
	`id` integer PRIMARY KEY AUTOINCREMENT NOT NULL,
	`systemId` integer NOT NULL,
	`eventId` text NOT NULL,
	`webhookId` integer NOT NULL,
	`subject` text NOT NULL,
	`seq` integer NOT NULL,
	`state` text DEFAULT 'pending' NOT NULL,
	`attempts` integer DEFAULT 0 NOT NULL,
	`nextAt` integer NOT NULL,
	`leaseUntil` integer DEFAULT 0 NOT NULL,
	`leaseToken` text,
	`createdAt` integer NOT NULL,
	`endedAt` integer,
	FOREIGN KEY (`systemId`) REFERENCES `systems`(`id`) ON UPDATE no action ON DELETE no action,
	FOREIGN KEY (`eventId`) REFERENCES `events`(`id`) ON UPDATE no action ON DELETE no action,
	FOREIGN KEY (`webhookId`) REFERENCES `webhooks`(`id`) ON UPDATE no action ON DELETE no action
);
--> statement-breakpoint
CREATE UNIQUE INDEX `deliveries_event` ON `deliveries` (`eventId`,`webhookId`);--> statement-breakpoint
CREATE INDEX `deliveries_systemId` ON `deliveries` (`systemId`);--> statement-breakpoint
CREATE INDEX `deliveries_webhookId` ON `deliveries` (`webhookId`);--> statement-breakpoint
CREATE INDEX `deliveries_due` ON `deliveries` (`nextAt`) WHERE "state" = 'pending';--> statement-breakpoint
CREATE INDEX `deliveries_order` ON `deliveries` (`webhookId`,`subject`,`seq`) WHERE "state" = 'pending';--> statement-breakpoint
CREATE TABLE `events` (
	`id` text PRIMARY KEY NOT NULL,
	`systemId` integer NOT NULL,
	`seq` integer NOT NULL,
	`type` text NOT NULL,
	`subject` text NOT NULL,
	`body` text,
	`data` text,
	`versionId` integer,
	`createdAt` integer NOT NULL,
	FOREIGN KEY (`systemId`) REFERENCES `systems`(`id`) ON UPDATE no action ON DELETE no action,
	FOREIGN KEY (`versionId`) REFERENCES `badgeVersions`(`id`) ON UPDATE no action ON DELETE no action
);
--> statement-breakpoint
CREATE UNIQUE INDEX `events_seq` ON `events` (`systemId`,`seq`);--> statement-breakpoint
CREATE INDEX `events_createdAt` ON `events` (`createdAt`);--> statement-breakpoint
CREATE INDEX `events_versionId` ON `events` (`versionId`);--> statement-breakpoint
CREATE TABLE `evidence` (
	`id` integer PRIMARY KEY AUTOINCREMENT NOT NULL,
	`applicationId` integer NOT NULL,
	`url` text,
	`mediaType` text,
	`reflection` text,
	FOREIGN KEY (`applicationId`) REFERENCES `applications`(`id`) ON UPDATE no action ON DELETE no action
);
--> statement-breakpoint
CREATE INDEX `evidence_applicationId` ON `evidence` (`applicationId`);--> statement-breakpoint
CREATE TABLE `heartbeats` (
	`name` text PRIMARY KEY NOT NULL,
	`at` integer NOT NULL
);
--> statement-breakpoint
CREATE TABLE `idempotency` (
	`key` text NOT NULL,
	`idempotencyKey` text NOT NULL,
	`fingerprint` text NOT NULL,
	`op` text NOT NULL,
	`status` integer NOT NULL,
	`createdAt` integer NOT NULL,
	PRIMARY KEY(`key`, `idempotencyKey`)
);
--> statement-breakpoint
CREATE INDEX `idempotency_createdAt` ON `idempotency` (`createdAt`);--> statement-breakpoint
CREATE TABLE `images` (
	`id` integer PRIMARY KEY AUTOINCREMENT NOT NULL,
	`slug` text collate nocase NOT NULL,
	`systemId` integer NOT NULL,
	`hash` text NOT NULL,
	`url` text,
	`mimetype` text,
	`data` blob,
	`createdAt` integer NOT NULL,
	FOREIGN KEY (`systemId`) REFERENCES `systems`(`id`) ON UPDATE no action ON DELETE no action
);
--> statement-breakpoint
CREATE UNIQUE INDEX `images_slug_unique` ON `images` (`slug`);--> statement-breakpoint
CREATE UNIQUE INDEX `images_hash` ON `images` (`systemId`,`hash`);--> statement-breakpoint
CREATE TABLE `issuers` (
	`id` integer PRIMARY KEY AUTOINCREMENT NOT NULL,
	`uid` text NOT NULL,
	`slug` text collate nocase NOT NULL,
	`name` text NOT NULL,
	`url` text NOT NULL,
	`description` text,
	`email` text collate nocase,
	`imageId` integer,
	`image` text,
	`language` text,
	`translations` text,
	`version` integer DEFAULT 1 NOT NULL,
	`op` text NOT NULL,
	`createdAt` integer NOT NULL,
	`updatedAt` integer NOT NULL,
	`deletedAt` integer,
	`systemId` integer NOT NULL,
	FOREIGN KEY (`imageId`) REFERENCES `images`(`id`) ON UPDATE no action ON DELETE no action,
	FOREIGN KEY (`systemId`) REFERENCES `systems`(`id`) ON UPDATE no action ON DELETE no action
);
--> statement-breakpoint
CREATE UNIQUE INDEX `issuers_uid_unique` ON `issuers` (`uid`);--> statement-breakpoint
CREATE UNIQUE INDEX `issuers_slug` ON `issuers` (`systemId`,`slug`) WHERE "deletedAt" is null;--> statement-breakpoint
CREATE INDEX `issuers_systemId` ON `issuers` (`systemId`,`deletedAt`);--> statement-breakpoint
CREATE INDEX `issuers_imageId` ON `issuers` (`imageId`);--> statement-breakpoint
CREATE INDEX `issuers_deletedAt` ON `issuers` (`deletedAt`);--> statement-breakpoint
CREATE TABLE `keySecrets` (
	`id` text PRIMARY KEY NOT NULL,
	`keyId` integer NOT NULL,
	`sealed` text NOT NULL,
	`createdAt` integer NOT NULL,
	`retiresAt` integer,
	FOREIGN KEY (`keyId`) REFERENCES `keys`(`id`) ON UPDATE no action ON DELETE no action
);
--> statement-breakpoint
CREATE INDEX `keySecrets_keyId` ON `keySecrets` (`keyId`);--> statement-breakpoint
CREATE TABLE `keys` (
	`id` integer PRIMARY KEY AUTOINCREMENT NOT NULL,
	`key` text NOT NULL,
	`systemId` integer NOT NULL,
	`issuerId` integer,
	`programId` integer,
	`role` text NOT NULL,
	`description` text,
	`expires` integer,
	`disabledAt` integer,
	`allowNoExp` integer DEFAULT 0 NOT NULL,
	`lastUsed` integer,
	`version` integer DEFAULT 1 NOT NULL,
	`op` text NOT NULL,
	`createdAt` integer NOT NULL,
	`updatedAt` integer NOT NULL,
	`deletedAt` integer,
	FOREIGN KEY (`systemId`) REFERENCES `systems`(`id`) ON UPDATE no action ON DELETE no action,
	FOREIGN KEY (`issuerId`) REFERENCES `issuers`(`id`) ON UPDATE no action ON DELETE no action,
	FOREIGN KEY (`programId`) REFERENCES `programs`(`id`) ON UPDATE no action ON DELETE no action
);
--> statement-breakpoint
CREATE UNIQUE INDEX `keys_key_unique` ON `keys` (`key`);--> statement-breakpoint
CREATE INDEX `keys_systemId` ON `keys` (`systemId`,`deletedAt`);--> statement-breakpoint
CREATE INDEX `keys_issuerId` ON `keys` (`issuerId`);--> statement-breakpoint
CREATE INDEX `keys_programId` ON `keys` (`programId`);--> statement-breakpoint
CREATE TABLE `milestoneBadges` (
	`id` integer PRIMARY KEY AUTOINCREMENT NOT NULL,
	`milestoneId` integer NOT NULL,
	`badgeId` integer NOT NULL,
	FOREIGN KEY (`milestoneId`) REFERENCES `milestones`(`id`) ON UPDATE no action ON DELETE no action,
	FOREIGN KEY (`badgeId`) REFERENCES `badges`(`id`) ON UPDATE no action ON DELETE no action
);
--> statement-breakpoint
CREATE UNIQUE INDEX `milestoneBadges_badge` ON `milestoneBadges` (`milestoneId`,`badgeId`);--> statement-breakpoint
CREATE INDEX `milestoneBadges_badgeId` ON `milestoneBadges` (`badgeId`);--> statement-breakpoint
CREATE TABLE `milestones` (
	`id` integer PRIMARY KEY AUTOINCREMENT NOT NULL,
	`systemId` integer NOT NULL,
	`primaryBadgeId` integer NOT NULL,
	`numberRequired` integer NOT NULL,
	`action` text DEFAULT 'issue' NOT NULL,
	`version` integer DEFAULT 1 NOT NULL,
	`op` text NOT NULL,
	`createdAt` integer NOT NULL,
	`updatedAt` integer NOT NULL,
	FOREIGN KEY (`systemId`) REFERENCES `systems`(`id`) ON UPDATE no action ON DELETE no action,
	FOREIGN KEY (`primaryBadgeId`) REFERENCES `badges`(`id`) ON UPDATE no action ON DELETE no action
);
--> statement-breakpoint
CREATE INDEX `milestones_systemId` ON `milestones` (`systemId`);--> statement-breakpoint
CREATE INDEX `milestones_primaryBadgeId` ON `milestones` (`primaryBadgeId`);--> statement-breakpoint
CREATE TABLE `programs` (
	`id` integer PRIMARY KEY AUTOINCREMENT NOT NULL,
	`uid` text NOT NULL,
	`slug` text collate nocase NOT NULL,
	`name` text NOT NULL,
	`url` text NOT NULL,
	`description` text,
	`email` text collate nocase,
	`imageId` integer,
	`image` text,
	`language` text,
	`translations` text,
	`version` integer DEFAULT 1 NOT NULL,
	`op` text NOT NULL,
	`createdAt` integer NOT NULL,
	`updatedAt` integer NOT NULL,
	`deletedAt` integer,
	`systemId` integer NOT NULL,
	`issuerId` integer NOT NULL,
	FOREIGN KEY (`imageId`) REFERENCES `images`(`id`) ON UPDATE no action ON DELETE no action,
	FOREIGN KEY (`systemId`) REFERENCES `systems`(`id`) ON UPDATE no action ON DELETE no action,
	FOREIGN KEY (`issuerId`) REFERENCES `issuers`(`id`) ON UPDATE no action ON DELETE no action
);
--> statement-breakpoint
CREATE UNIQUE INDEX `programs_uid_unique` ON `programs` (`uid`);--> statement-breakpoint
CREATE UNIQUE INDEX `programs_slug` ON `programs` (`issuerId`,`slug`) WHERE "deletedAt" is null;--> statement-breakpoint
CREATE INDEX `programs_issuerId` ON `programs` (`issuerId`,`deletedAt`);--> statement-breakpoint
CREATE INDEX `programs_systemId` ON `programs` (`systemId`);--> statement-breakpoint
CREATE INDEX `programs_imageId` ON `programs` (`imageId`);--> statement-breakpoint
CREATE INDEX `programs_deletedAt` ON `programs` (`deletedAt`);--> statement-breakpoint
CREATE TABLE `queueFaults` (
	`id` integer PRIMARY KEY AUTOINCREMENT NOT NULL,
	`queue` text NOT NULL,
	`message` text NOT NULL,
	`at` integer NOT NULL
);
--> statement-breakpoint
CREATE TABLE `reviewItems` (
	`id` integer PRIMARY KEY AUTOINCREMENT NOT NULL,
	`reviewId` integer NOT NULL,
	`criterionId` integer NOT NULL,
	`satisfied` integer DEFAULT 0 NOT NULL,
	`comment` text,
	FOREIGN KEY (`reviewId`) REFERENCES `reviews`(`id`) ON UPDATE no action ON DELETE no action
);
--> statement-breakpoint
CREATE INDEX `reviewItems_reviewId` ON `reviewItems` (`reviewId`);--> statement-breakpoint
CREATE TABLE `reviews` (
	`id` integer PRIMARY KEY AUTOINCREMENT NOT NULL,
	`slug` text collate nocase NOT NULL,
	`applicationId` integer NOT NULL,
	`author` text collate nocase NOT NULL,
	`comment` text,
	`version` integer DEFAULT 1 NOT NULL,
	`op` text NOT NULL,
	`createdAt` integer NOT NULL,
	`updatedAt` integer NOT NULL,
	FOREIGN KEY (`applicationId`) REFERENCES `applications`(`id`) ON UPDATE no action ON DELETE no action
);
--> statement-breakpoint
CREATE UNIQUE INDEX `reviews_slug_unique` ON `reviews` (`slug`);--> statement-breakpoint
CREATE INDEX `reviews_applicationId` ON `reviews` (`applicationId`);--> statement-breakpoint
CREATE TABLE `systems` (
	`id` integer PRIMARY KEY AUTOINCREMENT NOT NULL,
	`uid` text NOT NULL,
	`slug` text collate nocase NOT NULL,
	`name` text NOT NULL,
	`url` text NOT NULL,
	`description` text,
	`email` text collate nocase,
	`imageId` integer,
	`image` text,
	`language` text,
	`translations` text,
	`version` integer DEFAULT 1 NOT NULL,
	`op` text NOT NULL,
	`createdAt` integer NOT NULL,
	`updatedAt` integer NOT NULL,
	`deletedAt` integer,
	`test` integer DEFAULT 0 NOT NULL,
	FOREIGN KEY (`imageId`) REFERENCES `images`(`id`) ON UPDATE no action ON DELETE no action
);
--> statement-breakpoint
CREATE UNIQUE INDEX `systems_uid_unique` ON `systems` (`uid`);--> statement-breakpoint
CREATE UNIQUE INDEX `systems_slug` ON `systems` (`slug`) WHERE "deletedAt" is null;--> statement-breakpoint
CREATE INDEX `systems_imageId` ON `systems` (`imageId`);--> statement-breakpoint
CREATE INDEX `systems_deletedAt` ON `systems` (`deletedAt`);--> statement-breakpoint
CREATE TABLE `tags` (
	`id` integer PRIMARY KEY AUTOINCREMENT NOT NULL,
	`badgeId` integer NOT NULL,
	`value` text NOT NULL,
	FOREIGN KEY (`badgeId`) REFERENCES `badges`(`id`) ON UPDATE no action ON DELETE no action
);
--> statement-breakpoint
CREATE INDEX `tags_badgeId` ON `tags` (`badgeId`);--> statement-breakpoint
CREATE TABLE `tombstones` (
	`kind` text NOT NULL,
	`uid` text collate nocase NOT NULL,
	`revokedAt` integer NOT NULL,
	`revocationReason` text,
	PRIMARY KEY(`kind`, `uid`)
);
--> statement-breakpoint
CREATE TABLE `usedTokens` (
	`key` text NOT NULL,
	`jti` text NOT NULL,
	`expires` integer,
	PRIMARY KEY(`key`, `jti`)
);
--> statement-breakpoint
CREATE INDEX `usedTokens_expires` ON `usedTokens` (`expires`);--> statement-breakpoint
CREATE TABLE `webhookSecrets` (
	`id` text PRIMARY KEY NOT NULL,
	`webhookId` integer NOT NULL,
	`sealed` text NOT NULL,
	`primary` integer DEFAULT 1 NOT NULL,
	`createdAt` integer NOT NULL,
	`retiresAt` integer,
	FOREIGN KEY (`webhookId`) REFERENCES `webhooks`(`id`) ON UPDATE no action ON DELETE no action
);
--> statement-breakpoint
CREATE INDEX `webhookSecrets_webhookId` ON `webhookSecrets` (`webhookId`);--> statement-breakpoint
CREATE TABLE `webhooks` (
	`id` integer PRIMARY KEY AUTOINCREMENT NOT NULL,
	`systemId` integer NOT NULL,
	`url` text NOT NULL,
	`events` text,
	`format` text DEFAULT 'badgekit-1' NOT NULL,
	`state` text DEFAULT 'active' NOT NULL,
	`disabledAt` integer,
	`disabledReason` text,
	`failures` integer DEFAULT 0 NOT NULL,
	`failingSince` integer,
	`blockedUntil` integer DEFAULT 0 NOT NULL,
	`version` integer DEFAULT 1 NOT NULL,
	`op` text NOT NULL,
	`createdAt` integer NOT NULL,
	`updatedAt` integer NOT NULL,
	`deletedAt` integer,
	FOREIGN KEY (`systemId`) REFERENCES `systems`(`id`) ON UPDATE no action ON DELETE no action
);
--> statement-breakpoint
CREATE UNIQUE INDEX `webhooks_url` ON `webhooks` (`systemId`,`url`) WHERE "deletedAt" is null;--> statement-breakpoint
CREATE INDEX `webhooks_systemId` ON `webhooks` (`systemId`,`state`);