CREATE TABLE `credentials` (
	`id` integer PRIMARY KEY NOT NULL,
	`awardId` integer,
	`created` integer NOT NULL,
	`ed25519KeyId` integer NOT NULL,
	`proof` blob,
	`rs256KeyId` integer NOT NULL,
	`jwt` blob,
	`statusListId` integer NOT NULL,
	`statusIndex` integer NOT NULL,
	`ended` integer DEFAULT 0 NOT NULL,
	FOREIGN KEY (`awardId`) REFERENCES `badgeInstances`(`id`) ON UPDATE no action ON DELETE no action,
	FOREIGN KEY (`ed25519KeyId`) REFERENCES `signingKeys`(`id`) ON UPDATE no action ON DELETE no action,
	FOREIGN KEY (`rs256KeyId`) REFERENCES `signingKeys`(`id`) ON UPDATE no action ON DELETE no action,
	FOREIGN KEY (`statusListId`) REFERENCES `statusLists`(`id`) ON UPDATE no action ON DELETE no action
);
--> statement-breakpoint
CREATE UNIQUE INDEX `credentials_awardId_unique` ON `credentials` (`awardId`);--> statement-breakpoint
CREATE UNIQUE INDEX `credentials_index` ON `credentials` (`statusListId`,`statusIndex`);--> statement-breakpoint
CREATE INDEX `credentials_ended` ON `credentials` (`statusListId`,`statusIndex`) WHERE "ended" = 1;--> statement-breakpoint
CREATE INDEX `credentials_ed25519KeyId` ON `credentials` (`ed25519KeyId`);--> statement-breakpoint
CREATE INDEX `credentials_rs256KeyId` ON `credentials` (`rs256KeyId`);--> statement-breakpoint
CREATE TABLE `signingKeys` (
	`id` integer PRIMARY KEY AUTOINCREMENT NOT NULL,
	`thumbprint` text NOT NULL,
	`systemId` integer NOT NULL,
	`issuerUid` text NOT NULL,
	`algorithm` text NOT NULL,
	`publicKey` text NOT NULL,
	`sealed` text,
	`createdAt` integer NOT NULL,
	`retiredAt` integer,
	`withdrawnAt` integer
);
--> statement-breakpoint
CREATE UNIQUE INDEX `signingKeys_thumbprint_unique` ON `signingKeys` (`thumbprint`);--> statement-breakpoint
CREATE UNIQUE INDEX `signingKeys_active` ON `signingKeys` (`issuerUid`,`algorithm`) WHERE "retiredAt" is null;--> statement-breakpoint
CREATE INDEX `signingKeys_issuerUid` ON `signingKeys` (`issuerUid`);--> statement-breakpoint
CREATE INDEX `signingKeys_systemId` ON `signingKeys` (`systemId`);--> statement-breakpoint
CREATE TABLE `statusLists` (
	`id` integer PRIMARY KEY AUTOINCREMENT NOT NULL,
	`uid` text NOT NULL,
	`systemId` integer NOT NULL,
	`issuerUid` text NOT NULL,
	`revision` integer DEFAULT 1 NOT NULL,
	`signedRevision` integer DEFAULT 0 NOT NULL,
	`validFrom` integer,
	`encodedList` text,
	`proof` blob,
	`keyId` integer,
	`createdAt` integer NOT NULL,
	FOREIGN KEY (`keyId`) REFERENCES `signingKeys`(`id`) ON UPDATE no action ON DELETE no action
);
--> statement-breakpoint
CREATE UNIQUE INDEX `statusLists_uid_unique` ON `statusLists` (`uid`);--> statement-breakpoint
CREATE INDEX `statusLists_issuerUid` ON `statusLists` (`issuerUid`);--> statement-breakpoint
CREATE INDEX `statusLists_systemId` ON `statusLists` (`systemId`);--> statement-breakpoint
CREATE INDEX `statusLists_keyId` ON `statusLists` (`keyId`);--> statement-breakpoint
CREATE INDEX `statusLists_stale` ON `statusLists` (`revision`) WHERE "signedRevision" < "revision";