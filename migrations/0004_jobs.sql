CREATE TABLE `jobChunks` (
	`jobId` integer NOT NULL,
	`first` integer NOT NULL,
	`end` integer NOT NULL,
	`rows` text NOT NULL,
	PRIMARY KEY(`jobId`, `first`),
	FOREIGN KEY (`jobId`) REFERENCES `jobs`(`id`) ON UPDATE no action ON DELETE no action
);
--> statement-breakpoint
CREATE TABLE `jobs` (
	`id` integer PRIMARY KEY AUTOINCREMENT NOT NULL,
	`uid` text NOT NULL,
	`systemId` integer NOT NULL,
	`badgeId` integer NOT NULL,
	`kind` text NOT NULL,
	`state` text NOT NULL,
	`key` text NOT NULL,
	`reason` text,
	`rows` integer NOT NULL,
	`next` integer DEFAULT 0 NOT NULL,
	`succeeded` integer DEFAULT 0 NOT NULL,
	`skipped` integer DEFAULT 0 NOT NULL,
	`failed` integer DEFAULT 0 NOT NULL,
	`endedAt` integer,
	`forgotten` integer DEFAULT 0 NOT NULL,
	`version` integer DEFAULT 1 NOT NULL,
	`op` text NOT NULL,
	`createdAt` integer NOT NULL,
	`updatedAt` integer NOT NULL,
	FOREIGN KEY (`systemId`) REFERENCES `systems`(`id`) ON UPDATE no action ON DELETE no action,
	FOREIGN KEY (`badgeId`) REFERENCES `badges`(`id`) ON UPDATE no action ON DELETE no action
);
--> statement-breakpoint
CREATE UNIQUE INDEX `jobs_uid_unique` ON `jobs` (`uid`);--> statement-breakpoint
CREATE INDEX `jobs_ended` ON `jobs` (`endedAt`) WHERE "forgotten" = 0;--> statement-breakpoint
CREATE INDEX `jobs_systemId` ON `jobs` (`systemId`);--> statement-breakpoint
CREATE INDEX `jobs_badgeId` ON `jobs` (`badgeId`);--> statement-breakpoint
CREATE INDEX `jobs_open` ON `jobs` (`updatedAt`) WHERE "state" in ('receiving', 'running');