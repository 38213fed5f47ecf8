-- Which incarnation of the database the epoch was made for: what the database said of itself then (sql/epoch.ts). A
-- database that says something else was restored from a backup or has taken over from another server: its log may end
-- earlier, and go on otherwise, than nodes and clients remember; whoever connects first gives it another epoch.
alter table epoch add column incarnation text;
