drop table provider_peers;
drop table provider_groups;
drop table provider_accounts;
