CREATE TABLE `awardChanges` (
	`id` integer PRIMARY KEY AUTOINCREMENT NOT NULL,
	`systemId` integer NOT NULL,
	`awardId` integer NOT NULL,
	`kind` text NOT NULL,
	`at` integer NOT NULL,
	`key` text NOT NULL,
	`reason` text,
	`before` text,
	`after` text,
	`op` text NOT NULL,
	FOREIGN KEY (`systemId`) REFERENCES `systems`(`id`) ON UPDATE no action ON DELETE no action,
	FOREIGN KEY (`awardId`) REFERENCES `badgeInstances`(`id`) ON UPDATE no action ON DELETE no action
);
--> statement-breakpoint
CREATE INDEX `awardChanges_awardId` ON `awardChanges` (`awardId`);--> statement-breakpoint
CREATE INDEX `awardChanges_systemId` ON `awardChanges` (`systemId`);--> statement-breakpoint
ALTER TABLE `badgeInstances` ADD `suspensionReason` text;--> statement-breakpoint
ALTER TABLE `badgeInstances` ADD `amendedAt` integer;--> statement-breakpoint
CREATE INDEX `badgeInstances_suspended` ON `badgeInstances` (`badgeId`) WHERE "suspendedAt" is not null;--> statement-breakpoint
CREATE INDEX `badgeInstances_renews` ON `badgeInstances` (`renews`) WHERE "renews" is not null;--> statement-breakpoint
ALTER TABLE `badges` ADD `validFor` text;--> statement-breakpoint
CREATE INDEX `applications_waiting` ON `applications` (`systemId`,`createdAt`) WHERE "processed" is null;