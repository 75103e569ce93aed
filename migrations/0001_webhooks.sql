DROP INDEX `deliveries_due`;--> statement-breakpoint
ALTER TABLE `deliveries` ADD `format` text;--> statement-breakpoint
ALTER TABLE `deliveries` ADD `restartedAt` integer;--> statement-breakpoint
ALTER TABLE `deliveries` ADD `restartedFrom` integer;--> statement-breakpoint
CREATE INDEX `deliveries_waiting` ON `deliveries` (`webhookId`,`nextAt`) WHERE "state" = 'pending';--> statement-breakpoint
CREATE INDEX `deliveries_unsettled` ON `deliveries` (`systemId`) WHERE "state" <> 'delivered';--> statement-breakpoint
DROP INDEX `events_createdAt`;--> statement-breakpoint
CREATE INDEX `events_systemId_createdAt` ON `events` (`systemId`,`createdAt`);--> statement-breakpoint
CREATE INDEX `events_kept` ON `events` (`createdAt`) WHERE "data" is not null;--> statement-breakpoint
ALTER TABLE `badgeInstances` ADD `remindedAt` integer;--> statement-breakpoint
CREATE INDEX `badgeInstances_expires` ON `badgeInstances` (`expires`) WHERE "expires" is not null and "revokedAt" is null and "remindedAt" is null;