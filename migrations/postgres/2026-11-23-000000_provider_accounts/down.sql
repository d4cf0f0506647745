drop table provider_peers, provider_groups, provider_accounts;
