alter table operations drop column origin;
