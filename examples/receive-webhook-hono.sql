-- Which messages have come: ids are forgotten after four days, when none can come again.
create table seen (id text primary key, at integer not null);
-- Who holds what, as of the event with that number.
create table holders (
  award text primary key,
  badge text not null,
  email text not null,
  isHeld integer not null,
  sequence integer not null
);
