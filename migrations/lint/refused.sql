-- What the former release would not survive, or what locks a large table for long. Each statement is refused by the rule
-- that stands above it; `cargo xtask migrations` sees to that.

-- ban-drop-column
alter table chats drop column description;

-- ban-drop-table
drop table people;

-- renaming-column
alter table chats rename column description to about;

-- renaming-table
alter table people rename to persons;

-- changing-column-type
alter table operations alter column attempts type bigint;

-- adding-required-field
alter table operations add column priority bigint not null;

-- adding-not-nullable-field
alter table operations alter column progress set not null;

-- constraint-missing-not-valid
alter table operations add constraint attempted check (attempts >= 0);

-- adding-foreign-key-constraint
alter table operations add constraint of_person foreign key (tenant_id, person_id) references people (tenant_id, id);

-- disallowed-unique-constraint
alter table people add constraint one_id unique (id);

-- require-concurrent-index-creation
create index operations_by_kind on operations (kind);
