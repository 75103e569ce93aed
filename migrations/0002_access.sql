CREATE TABLE `codeMisses` (
	`badgeId` integer NOT NULL,
	`hour` integer NOT NULL,
	`n` integer NOT NULL,
	PRIMARY KEY(`badgeId`, `hour`),
	FOREIGN KEY (`badgeId`) REFERENCES `badges`(`id`) ON UPDATE no action ON DELETE no action
);
--> statement-breakpoint
CREATE INDEX `codeMisses_hour` ON `codeMisses` (`hour`);--> statement-breakpoint
ALTER TABLE `events` ADD `earner` text collate nocase GENERATED ALWAYS AS (coalesce(json_extract(replace("data", char(1), 'null'), '$.instance.email'), json_extract(replace("data", char(1), 'null'), '$.claimCode.email'), json_extract(replace("data", char(1), 'null'), '$.application.learner'))) VIRTUAL;--> statement-breakpoint
ALTER TABLE `events` ADD `author` text collate nocase GENERATED ALWAYS AS (json_extract(replace("data", char(1), 'null'), '$.review.author')) VIRTUAL;--> statement-breakpoint
ALTER TABLE `events` ADD `assignedTo` text collate nocase GENERATED ALWAYS AS (json_extract(replace("data", char(1), 'null'), '$.application.assignedTo')) VIRTUAL;--> statement-breakpoint
CREATE INDEX `events_earner` ON `events` (`systemId`,`earner`) WHERE "earner" is not null;--> statement-breakpoint
CREATE INDEX `events_author` ON `events` (`systemId`,`author`) WHERE "author" is not null;--> statement-breakpoint
CREATE INDEX `events_assignedTo` ON `events` (`systemId`,`assignedTo`) WHERE "assignedTo" is not null;--> statement-breakpoint
CREATE INDEX `applications_assignedTo` ON `applications` (`systemId`,`assignedTo`) WHERE "assignedTo" is not null;--> statement-breakpoint
CREATE INDEX `audit_unsealed` ON `audit` (`systemId`) WHERE "sealedAt" is null;--> statement-breakpoint
CREATE INDEX `claimCodes_email` ON `claimCodes` (`systemId`,`email`) WHERE "email" is not null;--> statement-breakpoint
CREATE INDEX `reviews_author` ON `reviews` (`author`);