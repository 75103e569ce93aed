ALTER TABLE `claimCodes` ADD `validFrom` integer;--> statement-breakpoint
ALTER TABLE `claimCodes` ADD `validUntil` integer;--> statement-breakpoint
ALTER TABLE `claimCodes` ADD `maxUses` integer;--> statement-breakpoint
ALTER TABLE `claimCodes` ADD `reserved` integer DEFAULT 0 NOT NULL;--> statement-breakpoint
CREATE INDEX `claimCodes_claimed` ON `claimCodes` (`badgeId`,`claimed`);--> statement-breakpoint
ALTER TABLE `systems` ADD `claimUrl` text;